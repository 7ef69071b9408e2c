//! Links libaio's libraries from cargo's static library: for each exported function one
//! relocatable object with what it needs, whose other symbols are local. The archive
//! contains the objects; the shared library is linked from them with the versions.
//!
//! rustc cannot do the last step, because it passes a version script of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::abi::{self, Symbol};
use crate::unwind;

/// A C compiler with its binary tools, and what it compiles for.
pub(crate) struct Toolchain {
    cc: String,
    /// The width of a pointer.
    bits: u32,
    machine: Machine,
}

/// The machines that differ in how the library is hardened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Machine {
    X86_64,
    Aarch64,
    Other,
}

/// A shared library, stripped, and its symbol table in a file of its own.
pub(crate) struct Shared {
    pub(crate) library: PathBuf,
    pub(crate) debug: PathBuf,
    pub(crate) build_id: String,
}

impl Toolchain {
    pub(crate) fn new(cc: &str) -> Result<Toolchain> {
        let macros = output(compiler(cc).args(["-dM", "-E", "-xc", "/dev/null"]))?;
        let is = |name: &str| {
            let start = format!("#define {name} ");
            macros.lines().any(|line| line.starts_with(&start))
        };
        let size = macros
            .lines()
            .find_map(|line| line.strip_prefix("#define __SIZEOF_POINTER__ "));
        let bits = match size {
            Some("8") => 64,
            Some("4") => 32,
            _ => bail!("{cc} does not report the size of a pointer"),
        };
        let machine = if is("__x86_64__") {
            Machine::X86_64
        } else if is("__aarch64__") {
            Machine::Aarch64
        } else {
            Machine::Other
        };
        Ok(Toolchain {
            cc: cc.to_owned(),
            bits,
            machine,
        })
    }

    fn tool(&self, name: &str) -> Result<Command> {
        let path = output(compiler(&self.cc).arg(format!("-print-prog-name={name}")))?;
        Ok(Command::new(path.trim()))
    }

    /// Returns the options of rustc for the crate `linux-aio-capi`.
    pub(crate) fn crate_options(&self) -> Vec<&'static str> {
        // Debuggers and profilers walk the stack by these tables, out of a callback of
        // io_queue_run.
        let mut options = vec!["-Cforce-unwind-tables=yes"];
        if self.machine == Machine::X86_64 {
            // Landing pads for indirect branches (IBT). The code generator has all of
            // the library at that point.
            options.push("-Cllvm-args=-x86-indirect-branch-tracking");
        }
        options
    }

    /// Returns the options of rustc for all crates, where they are built from source.
    pub(crate) fn options(&self) -> Option<&'static str> {
        (self.machine == Machine::Aarch64).then_some("-Zbranch-protection=bti,pac-ret")
    }

    /// Returns the linker's options that set the properties of the code.
    fn properties(&self) -> &'static [&'static str] {
        match self.machine {
            Machine::X86_64 => &["-Wl,-z,ibt", "-Wl,-z,shstk"],
            _ => &[],
        }
    }

    /// Creates an object in `folder` with one function, whose other symbols are local.
    fn object(
        &self,
        library: &Path,
        folder: &Path,
        symbol: &Symbol,
        name: &str,
    ) -> Result<PathBuf> {
        let path = folder.join(format!("{}.o", symbol.rust));
        let mut link = compiler(&self.cc);
        link.args(["-r", "-nostdlib", "-Wl,--gc-sections", "-o"])
            .arg(&path)
            .arg(format!("-Wl,--undefined={}", symbol.rust))
            .args(self.properties());
        run(link.arg(library))?;
        let mut object = fs::read(&path)?;
        unwind::repair(&mut object).with_context(|| path.display().to_string())?;
        fs::write(&path, object)?;
        let mut objcopy = self.tool("objcopy")?;
        objcopy.args(["--strip-unneeded", "--remove-section=.comment"]);
        // 32-bit Arm's tables for unwinding require functions of the C compiler's own
        // library.
        objcopy.args(["--remove-section=.ARM.ex*", "--remove-section=.rel.ARM.ex*"]);
        objcopy.arg(format!("--keep-global-symbol={}", symbol.rust));
        run(objcopy.arg(&path))?;
        // In a second step, as the first one needs the old names.
        let mut objcopy = self.tool("objcopy")?;
        // The names of sections contain hashes of the path of the source.
        let sections = output(self.tool("readelf")?.arg("-SW").arg(&path))?;
        for section in sections.split_whitespace() {
            let start = section.find("._").or_else(|| section.find("..L"));
            let short = start.and_then(|start| section.get(..start));
            let own = |short: &&str| short.starts_with('.') && !short.starts_with(".rel");
            if let Some(short) = short.filter(own) {
                objcopy.arg(format!("--rename-section={section}={short}"));
            }
        }
        if name != symbol.rust {
            objcopy.arg(format!("--redefine-sym={}={name}", symbol.rust));
        }
        for name in abi::CALLED {
            objcopy.arg(format!(
                "--redefine-sym={}{name}={name}",
                abi::CALLED_PREFIX
            ));
        }
        run(objcopy.arg(&path))?;
        Ok(path)
    }

    /// Creates the objects of `symbols` in the folder `folder`/`name`.
    fn objects<'a>(
        &self,
        library: &Path,
        folder: &Path,
        symbols: impl Iterator<Item = &'a Symbol>,
        name: impl Fn(&Symbol) -> String,
    ) -> Result<Vec<PathBuf>> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        symbols
            .map(|symbol| self.object(library, folder, symbol, &name(symbol)))
            .collect()
    }

    /// Creates `libaio.a` with the current versions only, because an archive has no
    /// versions.
    pub(crate) fn archive(&self, library: &Path, folder: &Path) -> Result<PathBuf> {
        let current = abi::symbols(self.bits).filter(|symbol| symbol.current);
        let name = |symbol: &Symbol| symbol.name.to_owned();
        let objects = self.objects(library, &folder.join("archive"), current, name)?;
        let archive = folder.join("libaio.a");
        if archive.exists() {
            fs::remove_file(&archive)?;
        }
        run(self.tool("ar")?.arg("rcsD").arg(&archive).args(objects))?;
        Ok(archive)
    }

    /// Creates the objects of the shared library, with every symbol at its version.
    pub(crate) fn shared_objects(&self, library: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
        let versioned = |symbol: &Symbol| {
            let at = if symbol.current { "@@" } else { "@" };
            format!("{}{at}{}", symbol.name, symbol.node)
        };
        let symbols = abi::symbols(self.bits);
        self.objects(library, &folder.join("shared"), symbols, versioned)
    }

    /// Links a shared library by the name `soname`. If `strip`, its symbol table is
    /// moved into the debug file.
    pub(crate) fn shared(
        &self,
        objects: &[PathBuf],
        folder: &Path,
        soname: &str,
        strip: bool,
    ) -> Result<Shared> {
        let script = folder.join("libaio.map");
        fs::write(&script, abi::version_script(self.bits))?;
        let library = folder.join(soname);
        let mut link = compiler(&self.cc);
        link.args(["-shared", "-nostdlib", "-o"]).arg(&library);
        link.arg(format!("-Wl,--version-script={}", script.display()));
        link.arg(format!("-Wl,-soname={soname}"));
        // Nothing undefined, nothing to relocate in the code, and nothing writable once
        // it is loaded.
        link.args(["-Wl,-z,defs", "-Wl,-z,text", "-Wl,-z,relro", "-Wl,-z,now"]);
        link.args(["-Wl,-z,noexecstack", "-Wl,--fatal-warnings"]);
        link.args(["-Wl,--hash-style=gnu", "-Wl,--build-id=sha1"]);
        run(link.args(self.properties()).args(objects))?;

        let notes = output(self.tool("readelf")?.arg("-nW").arg(&library))?;
        let build_id = notes
            .lines()
            .find_map(|line| line.split_once("Build ID: "))
            .map(|(_, id)| id.trim().to_owned())
            .filter(|id| id.len() > 2)
            .context("the library has no build id")?;
        let debug = folder.join(format!("{soname}.debug"));
        let mut objcopy = self.tool("objcopy")?;
        objcopy.arg("--only-keep-debug").arg(&library).arg(&debug);
        run(&mut objcopy)?;
        if strip {
            run(self.tool("objcopy")?.arg("--strip-all").arg(&library))?;
        }
        Ok(Shared {
            library,
            debug,
            build_id,
        })
    }
}

/// Returns the compiler as a command. Its name may carry flags, as `CC` does.
fn compiler(cc: &str) -> Command {
    let mut words = cc.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("cc"));
    command.args(words);
    command
}

fn run(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// Returns what a command printed. If it fails, the error contains its messages.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| program.clone())?;
    if !output.status.success() {
        let messages = String::from_utf8_lossy(&output.stderr);
        bail!("{program}: {}\n{}", output.status, messages.trim_end());
    }
    Ok(String::from_utf8(output.stdout)?)
}
