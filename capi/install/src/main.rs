//! `cargo capi-install`: builds libaio's libraries from the crate `linux-aio-capi`, and
//! installs them with `libaio.h`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};

mod abi;
mod cli;
mod link;
mod tree;
mod unwind;

use cli::{Action, Cli};
use link::{Toolchain, output};
use tree::{Content, Tree};

/// The version of libaio whose interface this is.
const VERSION: &str = "0.3.113";
/// Both names of the library. Debian 13 introduced the second.
const SONAMES: [&str; 2] = ["libaio.so.1", "libaio.so.1t64"];

fn main() -> ExitCode {
    match Cli::parse(std::env::args_os().skip(1)).and_then(|cli| run(&cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo capi-install: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let print = |paths: &std::collections::BTreeSet<PathBuf>, indent| {
        for path in paths {
            println!("{indent}{}", path.display());
        }
    };
    match cli.action {
        Action::Help => print!("{}", cli::HELP),
        Action::Uninstall => {
            let removed = tree(cli, Vec::new()).uninstall()?;
            println!("Removed from {}:", cli.destdir.display());
            print(&removed, "  ");
        }
        Action::List => print(&tree(cli, files(cli)?).paths(), ""),
        Action::Install => {
            println!(
                "Building with cargo, and linking with {}, for {}",
                cli.cc,
                cli.target.as_deref().unwrap_or("this machine")
            );
            let tree = tree(cli, files(cli)?);
            println!("Installing below {}:", cli.destdir.display());
            print(&tree.paths(), "  ");
            tree.install(cli.force)?;
            let libdir = cli.prefix.join(&cli.libdir);
            if cli.destdir == Path::new("/") {
                println!(
                    "Installed. Run ldconfig, as root, so that programs find the library;\n\
                     `ldconfig -p | grep libaio` shows which one they take. Or, for one\n\
                     program: LD_LIBRARY_PATH={} PROGRAM",
                    libdir.display()
                );
            } else {
                println!(
                    "Installed. Where {} is /, run ldconfig.",
                    cli.destdir.display()
                );
            }
        }
    }
    Ok(())
}

/// Returns the tree of these files.
fn tree(cli: &Cli, files: Vec<(PathBuf, Content)>) -> Tree {
    // An installation for each folder of libraries, as two architectures may have.
    let name = cli.libdir.to_string_lossy().replace('/', "-");
    Tree {
        destdir: cli.destdir.clone(),
        list: documents(cli).join(format!("files{}", name.trim_start_matches("lib"))),
        files,
    }
}

fn documents(cli: &Cli) -> PathBuf {
    cli.prefix.join("share/doc/linux-aio-capi")
}

/// Builds the libraries, and returns all files to install.
fn files(cli: &Cli) -> Result<Vec<(PathBuf, Content)>> {
    let toolchain = Toolchain::new(&cli.cc)?;
    let library = build(cli, &toolchain)?;
    let folder = library.with_file_name("libaio");
    fs::create_dir_all(&folder)?;
    let libdir = cli.prefix.join(&cli.libdir);
    let mut files = Vec::new();
    let mut add = |path: PathBuf, content| files.push((path, content));

    let objects = toolchain.shared_objects(&library, &folder)?;
    for soname in SONAMES {
        let shared = toolchain.shared(&objects, &folder, soname, cli.strip)?;
        let file = format!("{soname}.0.2");
        add(libdir.join(&file), Content::CopyOf(shared.library));
        add(libdir.join(soname), Content::LinkTo(file));
        if cli.strip {
            let (first, rest) = shared.build_id.split_at(2);
            let debug = format!("lib/debug/.build-id/{first}/{rest}.debug");
            add(cli.prefix.join(debug), Content::CopyOf(shared.debug));
        }
    }
    let linked = SONAMES[usize::from(cli.t64)].to_owned();
    add(libdir.join("libaio.so"), Content::LinkTo(linked));
    let archive = toolchain.archive(&library, &folder)?;
    add(libdir.join("libaio.a"), Content::CopyOf(archive));
    let text = Content::Text(pkg_config(&cli.prefix, &cli.libdir));
    add(libdir.join("pkgconfig/libaio.pc"), text);

    let source = |path: &str| sources().join(path);
    let header = Content::CopyOf(source("include/libaio.h"));
    add(cli.prefix.join("include/libaio.h"), header);
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        let file = source("..").join(licence);
        add(documents(cli).join(licence), Content::CopyOf(file));
    }
    if let Ok(pages) = fs::read_dir(source("man")) {
        for page in pages {
            let page = page?;
            let path = cli.prefix.join("share/man/man3").join(page.file_name());
            add(path, Content::CopyOf(page.path()));
        }
    }
    Ok(files)
}

/// Returns the folder of the crate `linux-aio-capi`, which contains this one, unless
/// `LINUX_AIO_COPY` names a copy of the project to be tested.
fn sources() -> PathBuf {
    std::env::var_os("LINUX_AIO_COPY").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join(".."),
        |copy| Path::new(&copy).join("capi"),
    )
}

/// Builds the static library with cargo and returns its path.
fn build(cli: &Cli, toolchain: &Toolchain) -> Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo
        .args(["rustc", "--locked", "--profile", "capi"])
        .args(["--package", "linux-aio-capi"])
        .arg("--message-format=json-render-diagnostics")
        .arg("--manifest-path")
        .arg(sources().join("Cargo.toml"))
        .stderr(Stdio::inherit());
    if let Some(target) = &cli.target {
        cargo.args(["--target", target]);
    }
    let from_source =
        |argument: &std::ffi::OsString| argument.to_string_lossy().starts_with("-Zbuild-std");
    if let Some(options) = toolchain
        .options()
        .filter(|_| cli.cargo.iter().any(from_source))
    {
        let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
        cargo.env("RUSTFLAGS", format!("{flags} {options}"));
    }
    cargo
        .args(&cli.cargo)
        .arg("--")
        .args(toolchain.crate_options());
    let messages = output(&mut cargo)?;
    let file = messages.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once("\"filenames\":[\"")?;
        let (path, _) = rest.split_once('"')?;
        path.ends_with(".a").then(|| PathBuf::from(path))
    });
    file.context("cargo names no static library")
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
