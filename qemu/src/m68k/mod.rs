//! Workarounds for LLVM's errors on m68k.
//!
//! - Most moves change the condition codes there. LLVM puts copies between a comparison
//!   and its branch, and only since version 24 preserves the codes. So rustc emits
//!   LLVM's bitcode, and Debian's newest LLVM compiles it.
//! - An index into an object on the stack is lost: of a frame's address plus a
//!   register, the register is left out (version 24 does so too). So each such address
//!   passes through an empty `asm!` first. The result is an ordinary register, to which
//!   the error does not apply.
//! - Version 24 loses the upper half of a number that is still needed after its bytes
//!   are swapped. So a function swaps them.
//!
//! All of this happens when rustc links: its linker is a script that runs this program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::cache::{Cache, hash};
use crate::command::{output, write_script};
use crate::debian::Suite;

mod ir;

/// The suites that have the newest LLVM. Before its release, only the second has it.
const SUITES: &str = "sid+experimental";
/// The pattern of LLVM packages from version 24.
const PACKAGE: &str = "^llvm-(2[4-9]|[3-9][0-9])$";

/// The arguments of rustc's linker.
#[derive(Args)]
pub(crate) struct Link {
    /// LLVM and its libraries
    llvm: PathBuf,
    /// The linker of the objects that LLVM has compiled
    ld: PathBuf,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Returns a linker for rustc. Its name changes with the workarounds and with LLVM:
/// otherwise cargo would treat a program as up to date.
pub(crate) fn linker(cache: &Cache, ld: &Path) -> Result<PathBuf> {
    let llvm = cache.entry("llvm", |folder| {
        let suite = Suite::open(cache, SUITES)?;
        let package = suite.newest(PACKAGE)?;
        suite.unpack(&suite.with_everything(&package)?, folder)
    })?;
    let version = output(tool(&llvm, "llc-")?.arg("--version"))?;
    ensure!(version.contains("m68k"), "this LLVM has no m68k: {version}");
    let this = std::env::current_exe()?;
    let words = [&this, Path::new("link"), &llvm, ld].map(|word| format!("\"{}\"", word.display()));
    let script = format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" "));
    let parts: [&[u8]; 4] = [
        script.as_bytes(),
        version.as_bytes(),
        include_bytes!("mod.rs"),
        include_bytes!("ir.rs"),
    ];
    let key = hash(parts);
    let wrapper = llvm.join(format!("link-{}", &key[..8]));
    write_script(&wrapper, &script)?;
    Ok(wrapper)
}

/// Links a program, with each of rustc's objects compiled again.
pub(crate) fn link(link: &Link) -> Result<()> {
    let mut ld = Command::new(&link.ld);
    for word in &link.words {
        match bitcode(Path::new(word)) {
            Some(bitcode) => ld.arg(compile(&link.llvm, &bitcode)?),
            None => ld.arg(word),
        };
    }
    output(&mut ld).map(drop)
}

/// Returns the path at which `--emit=llvm-bc` puts the bitcode of an object or a
/// library; `None` for any other file.
fn bitcode(input: &Path) -> Option<PathBuf> {
    let name = input.file_name()?.to_str()?;
    let stem = match name.strip_suffix(".rlib") {
        Some(library) => library.strip_prefix("lib")?,
        None => name.strip_suffix(".rcgu.o")?.split('.').next()?,
    };
    Some(input.with_file_name(format!("{stem}.bc")))
}

/// Compiles bitcode: first to text, which the newer LLVM writes in its own format, then
/// to an object.
fn compile(llvm: &Path, bitcode: &Path) -> Result<PathBuf> {
    let (ir, object) = (bitcode.with_extension("ll"), bitcode.with_extension("o"));
    output(tool(llvm, "llvm-dis-")?.arg("-o").arg(&ir).arg(bitcode))?;
    let text = fs::read_to_string(&ir).with_context(|| ir.display().to_string())?;
    fs::write(&ir, ir::treated(&text)?)?;
    let mut llc = tool(llvm, "llc-")?;
    // The MC68000 cannot save the condition codes in a way that later processors can
    // run. Functions are in separate sections, as rustc emits them: unused functions
    // are not linked.
    llc.args(["-O2", "-mcpu=M68010", "-filetype=obj"]);
    llc.args(["-relocation-model=static", "-code-model=medium"]);
    llc.args(["-function-sections", "-data-sections"]);
    output(llc.arg("-o").arg(&object).arg(&ir))?;
    Ok(object)
}

/// Returns a command for one of LLVM's programs. They belong to another release, so
/// that release's loader starts them.
fn tool(llvm: &Path, prefix: &str) -> Result<Command> {
    let libraries = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let libraries = llvm.join(libraries);
    let mut command = Command::new(beginning(&libraries, "ld-linux-")?);
    command.arg("--library-path").arg(libraries);
    command.arg(beginning(&llvm.join("usr/bin"), prefix)?);
    Ok(command)
}

/// Returns the file in a folder whose name begins with `prefix`.
fn beginning(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let files = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files = files.filter_map(|file| Some(file.ok()?.path()));
    let begins = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(prefix))
    };
    let file = files.find(begins);
    file.with_context(|| format!("no {prefix}* in {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bitcode_is_beside_what_is_linked() {
        let beside = |path: &str| bitcode(Path::new(path)).map(|path| path.display().to_string());
        let (object, library) = ("/a.b/guest-1.guest.2-cgu.0.rcgu.o", "/a.b/libcore-3.rlib");
        assert_eq!(beside(object).as_deref(), Some("/a.b/guest-1.bc"));
        assert_eq!(beside(library).as_deref(), Some("/a.b/core-3.bc"));
        for other in ["-o", "--gc-sections", "/a.b/guest-1", "/a.b/symbols.o"] {
            assert_eq!(beside(other), None, "{other}");
        }
    }
}
