//! `cargo capi-install`: makes `libaio.so.1` and `libaio.a` of the crate
//! `linux-aio-capi`, and puts them and `libaio.h` in place.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use clap::Parser;

mod abi;
mod link;

use link::{Toolchain, output};

/// libaio's version whose interface this is.
const VERSION: &str = "0.3.113";

/// Installs libaio.so.1, libaio.a, libaio.h and libaio.pc, made from Rust.
///
/// The library is found by both of Debian's names, libaio.so.1 and (since
/// Debian 13) libaio.so.1t64.
#[derive(Parser)]
#[command(name = "cargo capi-install", bin_name = "cargo capi-install")]
struct Cli {
    /// The folder to install under, as if it were /
    #[arg(long, default_value = "/")]
    destdir: PathBuf,
    #[arg(long, default_value = "/usr/local")]
    prefix: PathBuf,
    /// Where libraries go; below the prefix if relative
    #[arg(long, default_value = "lib")]
    libdir: PathBuf,
    /// Name the library libaio.so.1t64 in itself, so that programs linked with
    /// it ask for that
    #[arg(long)]
    t64: bool,
    /// Build for this target of rustc; CC must be its C compiler
    #[arg(long)]
    target: Option<String>,
    /// The C compiler, which is used only to link
    #[arg(long, env = "CC", default_value = "cc")]
    cc: String,
    /// More arguments for cargo
    #[arg(last = true)]
    cargo: Vec<String>,
}

fn main() -> ExitCode {
    match install(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo capi-install: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn install(cli: &Cli) -> Result<()> {
    let library = build(cli)?;
    let folder = library.with_file_name("libaio");
    fs::create_dir_all(&folder)?;
    let toolchain = Toolchain::new(&cli.cc);
    let soname = if cli.t64 {
        "libaio.so.1t64"
    } else {
        "libaio.so.1"
    };
    let archive = toolchain.archive(&library, &folder)?;
    let shared = toolchain.shared(&library, &folder, soname)?;

    let prefix = under(&cli.destdir, &cli.prefix);
    let libdir = under(&cli.destdir, &cli.prefix.join(&cli.libdir));
    let include = prefix.join("include");
    let pkgconfig = libdir.join("pkgconfig");
    fs::create_dir_all(&include)?;
    fs::create_dir_all(&pkgconfig)?;
    let file = "libaio.so.1.0.2";
    put(&shared, &libdir.join(file))?;
    for name in ["libaio.so", "libaio.so.1", "libaio.so.1t64"] {
        let path = libdir.join(name);
        if path.symlink_metadata().is_ok() {
            fs::remove_file(&path).with_context(|| path.display().to_string())?;
        }
        symlink(file, &path).with_context(|| path.display().to_string())?;
    }
    put(&archive, &libdir.join("libaio.a"))?;
    put(
        &sources().join("include/libaio.h"),
        &include.join("libaio.h"),
    )?;
    let text = pkg_config(&cli.prefix, &cli.libdir);
    let path = pkgconfig.join("libaio.pc");
    fs::write(&path, text).with_context(|| path.display().to_string())
}

/// Returns the folder of the crate `linux-aio-capi`: beside this one, unless
/// `LINUX_AIO_COPY` names a copy of the project to be tested.
fn sources() -> PathBuf {
    std::env::var_os("LINUX_AIO_COPY").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join(".."),
        |copy| Path::new(&copy).join("capi"),
    )
}

/// Builds the static library with cargo and returns its path.
fn build(cli: &Cli) -> Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo
        .args(["rustc", "--locked", "--profile", "capi"])
        .arg("--message-format=json-render-diagnostics")
        .arg("--manifest-path")
        .arg(sources().join("Cargo.toml"))
        .stderr(Stdio::inherit());
    if let Some(target) = &cli.target {
        cargo.args(["--target", target]);
    }
    // The tables that debuggers and profilers walk the stack by, out of a
    // callback of io_queue_run.
    cargo
        .args(&cli.cargo)
        .args(["--", "-Cforce-unwind-tables=yes"]);
    let messages = output(&mut cargo)?;
    let file = messages.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once("\"filenames\":[\"")?;
        let (path, _) = rest.split_once('"')?;
        path.ends_with(".a").then(|| PathBuf::from(path))
    });
    file.context("cargo names no static library")
}

/// `path` below `root`, which takes the place of `/`.
fn under(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// A file in place of the old one: programs that run with that keep it.
fn put(from: &Path, to: &Path) -> Result<()> {
    let new = to.with_extension("new");
    fs::copy(from, &new).with_context(|| new.display().to_string())?;
    fs::rename(&new, to).with_context(|| to.display().to_string())
}

fn pkg_config(prefix: &Path, libdir: &Path) -> String {
    let (prefix, libdir) = (prefix.display(), Path::new("${prefix}").join(libdir));
    let libdir = libdir.display();
    format!(
        "prefix={prefix}\n\
         libdir={libdir}\n\
         includedir=${{prefix}}/include\n\
         \n\
         Name: libaio\n\
         Description: Linux native AIO, from Rust\n\
         Version: {VERSION}\n\
         Libs: -L${{libdir}} -laio\n\
         Cflags: -I${{includedir}}\n"
    )
}
