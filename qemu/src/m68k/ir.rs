//! Rewrites LLVM's intermediate representation into forms that LLVM compiles correctly
//! for m68k.

use std::fmt::Write as _;

use anyhow::{Result, bail, ensure};

/// The function that swaps the bytes of 32 bits, with the instructions that LLVM also
/// uses.
const SWAP: &str = r#"
define internal i32 @swap.i32(i32 %x) noinline nounwind {
  %y = call i32 asm "rol.w #8, $0\0Aswap $0\0Arol.w #8, $0", "=d,0,~{ccr}"(i32 %x)
  ret i32 %y
}
"#;

/// The function that swaps the bytes of twice as many bits: it swaps each half's bytes,
/// and then the halves.
const SWAP_HALVES: &str = r#"
define internal iWHOLE @swap.iWHOLE(iWHOLE %x) noinline nounwind {
  %low = trunc iWHOLE %x to iHALF
  %upper = lshr iWHOLE %x, HALF
  %high = trunc iWHOLE %upper to iHALF
  %a = call iHALF @swap.iHALF(iHALF %low)
  %b = call iHALF @swap.iHALF(iHALF %high)
  %c = zext iHALF %a to iWHOLE
  %d = shl iWHOLE %c, HALF
  %e = zext iHALF %b to iWHOLE
  %y = or iWHOLE %d, %e
  ret iWHOLE %y
}
"#;

/// Rewrites IR so that LLVM compiles it correctly.
pub(super) fn treated(ir: &str) -> Result<String> {
    let mut text = String::with_capacity(ir.len());
    for line in ir.lines() {
        if line.starts_with("define ") && line.contains(" byval(") {
            bail!("an argument in the caller's frame: {line}");
        }
        // Lifetimes name the object itself. LLVM does not require them: without
        // lifetimes, no two objects share a place.
        if line.contains("@llvm.lifetime.") {
            continue;
        }
        match line.trim_start().split_once(" = alloca ") {
            Some((name, what)) if name.starts_with('%') => {
                let bare = name.trim_start_matches('%').trim_matches('"');
                let object = format!("%\"frame {bare}\"");
                writeln!(text, "  {object} = alloca {what}")?;
                writeln!(text, "  {name} = call ptr asm \"\", \"=a,0\"(ptr {object})")?;
            }
            _ => writeln!(text, "{}", with_swaps(line)?)?,
        }
    }
    text += SWAP;
    for (half, whole) in [("32", "64"), ("64", "128")] {
        text += &SWAP_HALVES.replace("HALF", half).replace("WHOLE", whole);
    }
    Ok(text)
}

/// Rewrites a line to call the functions above. The halves of 16 bits are swapped in
/// place, which LLVM compiles correctly.
fn with_swaps(line: &str) -> Result<String> {
    const NAME: &str = "@llvm.bswap.";
    let Some((_, width)) = line.split_once(NAME) else {
        return Ok(line.to_owned());
    };
    if line.starts_with("declare ") || width.starts_with("i16(") {
        return Ok(line.to_owned());
    }
    let widths = ["i32(", "i64(", "i128("];
    let is_there = widths.iter().any(|known| width.starts_with(known));
    ensure!(is_there, "bytes of another width are swapped: {line}");
    Ok(line.replace(NAME, "@swap."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_on_the_stack_is_known_by_a_register() {
        let ir = "\
@a = constant [12 x i8] c\"%b = alloca \"
define void @f() {
start:
  %buf = alloca [40 x i8], align 4
  %1 = alloca i32, align 4
  %\"a b\" = alloca i8, align 1
  call void @llvm.lifetime.start.p0(ptr nonnull %buf)
  %at = getelementptr i8, ptr %buf, i32 %i
}
";
        let expected = "\
@a = constant [12 x i8] c\"%b = alloca \"
define void @f() {
start:
  %\"frame buf\" = alloca [40 x i8], align 4
  %buf = call ptr asm \"\", \"=a,0\"(ptr %\"frame buf\")
  %\"frame 1\" = alloca i32, align 4
  %1 = call ptr asm \"\", \"=a,0\"(ptr %\"frame 1\")
  %\"frame a b\" = alloca i8, align 1
  %\"a b\" = call ptr asm \"\", \"=a,0\"(ptr %\"frame a b\")
  %at = getelementptr i8, ptr %buf, i32 %i
}
";
        let made = treated(ir).unwrap();
        let added = made.strip_prefix(expected).unwrap();
        for width in ["i32", "i64", "i128"] {
            let function = format!("define internal {width} @swap.{width}({width} %x)");
            assert_eq!(added.matches(&function).count(), 1, "{function}");
        }
        assert!(!added.contains("WHOLE") && !added.contains("HALF"));
    }

    #[test]
    fn an_object_in_the_callers_frame_is_refused() {
        let by_value = "define void @f(ptr byval([8 x i8]) %a) {\n";
        assert!(treated(by_value).is_err());
        assert!(treated("  call void @f(ptr byval([8 x i8]) %a)\n").is_ok());
    }

    #[test]
    fn bytes_are_swapped_by_a_function() {
        let swapped = |line| with_swaps(line).unwrap();
        let call = "  %y = tail call noundef i64 @llvm.bswap.i64(i64 %x), !a !1";
        let mended = "  %y = tail call noundef i64 @swap.i64(i64 %x), !a !1";
        assert_eq!(swapped(call), mended);
        for same in [
            "  %y = call i16 @llvm.bswap.i16(i16 %x)",
            "declare i32 @llvm.bswap.i32(i32) #3",
            "  %y = call i32 @f(i32 %x)",
        ] {
            assert_eq!(swapped(same), same);
        }
        assert!(with_swaps("  %y = call i48 @llvm.bswap.i48(i48 %x)").is_err());
    }
}
