//! What LLVM gets wrong for m68k, and how a program is made without it.
//!
//! - Most moves change the condition codes there. LLVM puts copies between a
//!   comparison and its branch, and only since version 24 keeps the codes. So
//!   rustc hands over LLVM's bitcode, and Debian's newest LLVM compiles that.
//! - An index into an object on the stack is lost: of a frame's address plus a
//!   register, the register is left out (version 24 does so too). So each such
//!   address goes through an empty `asm!` first. What comes out is a register
//!   like any other, to which nothing of the kind happens.
//! - Version 24 loses the upper half of a number that is still needed after
//!   its bytes are swapped. So they are swapped by a function.
//!
//! All this takes place as rustc links: its linker is a script that comes back
//! to this program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::cache::{Cache, hash};
use crate::command::output;
use crate::debian::Suite;
use crate::toolchain::write_script;

mod ir;

/// Where the newest LLVM is: not yet released, it is in the second alone.
const SUITES: &str = "sid+experimental";
/// From version 24.
const PACKAGE: &str = "^llvm-(2[4-9]|[3-9][0-9])$";

/// What rustc's linker is called with.
#[derive(Args)]
pub(crate) struct Link {
    /// LLVM and all that it runs with
    llvm: PathBuf,
    /// The linker of what LLVM has compiled
    ld: PathBuf,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// A linker for rustc. Of a changed treatment, or another LLVM, the name is
/// another as well: else cargo would take a program for finished.
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

/// Links, with each object of rustc's compiled anew.
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

/// Where `--emit=llvm-bc` puts what an object or a library is compiled from;
/// `None` for what is neither.
fn bitcode(input: &Path) -> Option<PathBuf> {
    let name = input.file_name()?.to_str()?;
    let stem = match name.strip_suffix(".rlib") {
        Some(library) => library.strip_prefix("lib")?,
        None => name.strip_suffix(".rcgu.o")?.split('.').next()?,
    };
    Some(input.with_file_name(format!("{stem}.bc")))
}

/// To text, which the newer LLVM writes in its own way, and to an object.
fn compile(llvm: &Path, bitcode: &Path) -> Result<PathBuf> {
    let (ir, object) = (bitcode.with_extension("ll"), bitcode.with_extension("o"));
    output(tool(llvm, "llvm-dis-")?.arg("-o").arg(&ir).arg(bitcode))?;
    let text = fs::read_to_string(&ir).with_context(|| ir.display().to_string())?;
    fs::write(&ir, ir::treated(&text)?)?;
    let mut llc = tool(llvm, "llc-")?;
    // The MC68000 cannot save the condition codes in a way that later ones
    // can run. Sections, as rustc makes them: what is not called is not linked.
    llc.args(["-O2", "-mcpu=M68010", "-filetype=obj"]);
    llc.args(["-relocation-model=static", "-code-model=medium"]);
    llc.args(["-function-sections", "-data-sections"]);
    output(llc.arg("-o").arg(&object).arg(&ir))?;
    Ok(object)
}

/// One of LLVM's programs. They are another release's, so that release's
/// loader starts them.
fn tool(llvm: &Path, prefix: &str) -> Result<Command> {
    let libraries = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let libraries = llvm.join(libraries);
    let mut command = Command::new(beginning(&libraries, "ld-linux-")?);
    command.arg("--library-path").arg(libraries);
    command.arg(beginning(&llvm.join("usr/bin"), prefix)?);
    Ok(command)
}

/// The file in a folder whose name begins so.
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
