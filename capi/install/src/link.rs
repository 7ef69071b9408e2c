//! From cargo's static library to libaio's two: one relocatable object of what
//! is exported and what that needs, its other symbols made local; in an
//! archive, and linked once more with the versions.
//!
//! rustc cannot do the last step: it passes a version script of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::abi;

/// A C compiler, and the binary tools that belong to it.
pub(crate) struct Toolchain {
    cc: String,
}

impl Toolchain {
    pub(crate) fn new(cc: &str) -> Toolchain {
        Toolchain { cc: cc.to_owned() }
    }

    /// The compiler; its name may carry flags, as `CC` does.
    fn cc(&self) -> Command {
        let mut words = self.cc.split_whitespace();
        let mut cc = Command::new(words.next().unwrap_or("cc"));
        cc.args(words);
        cc
    }

    fn tool(&self, name: &str) -> Result<Command> {
        let path = output(self.cc().arg(format!("-print-prog-name={name}")))?;
        Ok(Command::new(path.trim()))
    }

    /// Bits of a pointer.
    pub(crate) fn bits(&self) -> Result<u32> {
        let macros = output(self.cc().args(["-dM", "-E", "-xc", "/dev/null"]))?;
        let size = macros
            .lines()
            .find_map(|line| line.strip_prefix("#define __SIZEOF_POINTER__ "));
        match size {
            Some("8") => Ok(64),
            Some("4") => Ok(32),
            _ => bail!("{} does not report the size of a pointer", self.cc),
        }
    }

    /// One object in `folder` with the functions `keep`, and nothing else that
    /// has a name for others.
    fn object(&self, library: &Path, folder: &Path, keep: &[&str]) -> Result<PathBuf> {
        let path = folder.join("libaio.o");
        let mut link = self.cc();
        link.args(["-r", "-nostdlib", "-Wl,--gc-sections", "-o"]);
        link.arg(&path);
        link.args(keep.iter().map(|name| format!("-Wl,--undefined={name}")));
        run(link.arg(library))?;
        let mut objcopy = self.tool("objcopy")?;
        objcopy.args(["--strip-unneeded", "--remove-section=.comment"]);
        // 32-bit Arm's tables for unwinding ask for functions of the C
        // compiler's own library.
        objcopy.args(["--remove-section=.ARM.ex*", "--remove-section=.rel.ARM.ex*"]);
        objcopy.args(
            keep.iter()
                .map(|name| format!("--keep-global-symbol={name}")),
        );
        run(objcopy.arg(&path))?;
        Ok(path)
    }

    /// `libaio.a`, of the current generation alone: there are no versions in an
    /// archive.
    pub(crate) fn archive(&self, library: &Path, folder: &Path) -> Result<PathBuf> {
        let current = abi::symbols(self.bits()?).filter(|symbol| symbol.current);
        let keep: Vec<_> = current.map(|symbol| symbol.rust).collect();
        let object = self.object(library, folder, &keep)?;
        let archive = folder.join("libaio.a");
        if archive.exists() {
            fs::remove_file(&archive)?;
        }
        run(self.tool("ar")?.arg("rcsD").arg(&archive).arg(object))?;
        Ok(archive)
    }

    /// `libaio.so`, with every symbol at its version.
    pub(crate) fn shared(&self, library: &Path, folder: &Path, soname: &str) -> Result<PathBuf> {
        let bits = self.bits()?;
        let keep: Vec<_> = abi::symbols(bits).map(|symbol| symbol.rust).collect();
        let object = self.object(library, folder, &keep)?;
        let mut objcopy = self.tool("objcopy")?;
        for symbol in abi::symbols(bits) {
            let at = if symbol.current { "@@" } else { "@" };
            let (rust, name, node) = (symbol.rust, symbol.name, symbol.node);
            objcopy.arg(format!("--redefine-sym={rust}={name}{at}{node}"));
        }
        run(objcopy.arg(&object))?;
        let script = folder.join("libaio.map");
        fs::write(&script, abi::version_script(bits))?;
        let shared = folder.join("libaio.so");
        let mut link = self.cc();
        link.args(["-shared", "-nostdlib", "-o"]).arg(&shared);
        link.arg(format!("-Wl,--version-script={}", script.display()));
        link.arg(format!("-Wl,-soname={soname}"));
        // Nothing undefined, nothing to relocate in the code, and nothing
        // writable once it is loaded.
        link.args(["-Wl,-z,defs", "-Wl,-z,text", "-Wl,-z,relro", "-Wl,-z,now"]);
        link.args(["-Wl,-z,noexecstack", "-Wl,--fatal-warnings"]);
        run(link.arg(object))?;
        Ok(shared)
    }
}

fn run(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// What a command printed; its failure with what it complained of.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| program.clone())?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("{program}: {}\n{}", output.status, complaint.trim_end());
    }
    Ok(String::from_utf8(output.stdout)?)
}
