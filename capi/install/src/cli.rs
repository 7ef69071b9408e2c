//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Result, bail};
use lexopt::prelude::*;

pub(crate) const HELP: &str = "\
Installs libaio.so.1, libaio.so.1t64, libaio.a, libaio.h and libaio.pc, made from Rust.

Usage: cargo capi-install --destdir DIR [OPTIONS] [-- CARGO ARGUMENTS]

Programs of Debian 13 and later load libaio.so.1t64, others libaio.so.1. Each is a file
with that name inside, so that ldconfig finds both.

  --destdir DIR    Install under this folder, as if it were /; required
  --prefix DIR     Default: /usr/local
  --libdir DIR     Where libraries go, below the prefix if relative. Default: lib
  --t64            Link new programs with libaio.so.1t64 (libaio.so refers to it)
  --no-strip       Leave the symbol tables in the libraries; without it they are in
                   files for debuggers, found by the build id
  --force          Replace files that this tool did not install
  --list           Print the files that would be installed, and install nothing
  --uninstall      Remove what was installed with the same --destdir, --prefix and
                   --libdir
  --target TARGET  Build for this target of rustc; --cc must be its C compiler
  --cc CC          The C compiler, which is used only to link. Default: $CC, or cc
  -h, --help       Print this help
";

/// What to do with the files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    Install,
    List,
    Uninstall,
    Help,
}

#[derive(Debug)]
pub(crate) struct Cli {
    pub(crate) action: Action,
    pub(crate) destdir: PathBuf,
    pub(crate) prefix: PathBuf,
    pub(crate) libdir: PathBuf,
    pub(crate) t64: bool,
    pub(crate) strip: bool,
    pub(crate) force: bool,
    pub(crate) target: Option<String>,
    pub(crate) cc: String,
    /// Further arguments of cargo.
    pub(crate) cargo: Vec<OsString>,
}

impl Cli {
    pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli> {
        let mut parser = lexopt::Parser::from_args(arguments);
        let mut destdir = None;
        let mut cli = Cli {
            action: Action::Install,
            destdir: PathBuf::new(),
            prefix: "/usr/local".into(),
            libdir: "lib".into(),
            t64: false,
            strip: true,
            force: false,
            target: None,
            cc: std::env::var("CC").unwrap_or_else(|_| "cc".to_owned()),
            cargo: Vec::new(),
        };
        loop {
            // What follows `--` is not an option of this tool.
            if let Some(rest) = parser.try_raw_args() {
                if rest.peek().is_some_and(|word| word == "--") {
                    cli.cargo = rest.skip(1).collect();
                    break;
                }
            }
            let Some(argument) = parser.next()? else {
                break;
            };
            match argument {
                Long("destdir") => destdir = Some(PathBuf::from(parser.value()?)),
                Long("prefix") => cli.prefix = parser.value()?.into(),
                Long("libdir") => cli.libdir = parser.value()?.into(),
                Long("t64") => cli.t64 = true,
                Long("no-strip") => cli.strip = false,
                Long("force") => cli.force = true,
                Long("list") => cli.action = Action::List,
                Long("uninstall") => cli.action = Action::Uninstall,
                Long("target") => cli.target = Some(parser.value()?.string()?),
                Long("cc") => cli.cc = parser.value()?.string()?,
                Short('h') | Long("help") => {
                    cli.action = Action::Help;
                    return Ok(cli);
                }
                other => return Err(other.unexpected().into()),
            }
        }
        let Some(destdir) = destdir else {
            bail!(
                "--destdir is required: / for this machine, or the folder of a package or \
                 an image (--help)"
            );
        };
        if destdir.as_os_str().is_empty() {
            bail!("--destdir is empty");
        }
        if !cli.prefix.is_absolute() {
            bail!("--prefix is the absolute path in the installed system");
        }
        cli.destdir = destdir;
        Ok(cli)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Cli> {
        Cli::parse(words.split(' ').map(OsString::from))
    }

    #[test]
    fn a_destination_is_required() {
        for words in ["--list", "--uninstall --prefix /usr", "--t64"] {
            let error = parse(words).unwrap_err().to_string();
            assert!(error.starts_with("--destdir is required"), "{error}");
        }
        assert!(parse("--destdir / --prefix usr").is_err());
        assert!(parse("--destdir / --unknown").is_err());
        assert!(parse("--destdir / word").is_err());
        assert_eq!(parse("--help").unwrap().action, Action::Help);
    }

    #[test]
    fn what_follows_two_dashes_is_cargos() {
        let cli = parse("--destdir /x --uninstall -- --offline --help").unwrap();
        assert_eq!(cli.action, Action::Uninstall);
        assert_eq!(cli.cargo, ["--offline", "--help"]);
    }
}
