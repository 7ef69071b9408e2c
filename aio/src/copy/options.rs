//! The command line of `aio copy`.

use super::preserve::Preserve;
use crate::args::{self, Arguments, Bytes, Done, Grammar};
use crate::path::Shown;
use crate::print::{Text, be_quiet};

pub(crate) const GRAMMAR: Grammar = Grammar {
    command: "copy",
    flags: &[
        ("engine", true),
        ("depth", true),
        ("block", true),
        ("direct", false),
        ("preserve", true),
        ("sparse", true),
        ("verbose", false),
        ("quiet", false),
        ("progress", false),
        ("no-progress", false),
    ],
    help: include_str!("../../help/copy.txt"),
};

/// The largest depth: the default of fs.aio-max-nr.
const MOST_DEPTH: u64 = 65_536;
/// The largest block: the kernel moves less than 2 GiB at a time.
const MOST_BLOCK: u64 = 1 << 30;

/// The mechanism that moves the data.
#[derive(Clone, Copy)]
pub(super) enum Engine {
    Aio,
    Kernel,
}

/// The places where the target has holes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sparse {
    /// Where the source has holes.
    Auto,
    /// Where the source has holes or blocks of zeros.
    Always,
    Never,
}

pub(super) struct Options {
    pub(super) engine: Engine,
    pub(super) depth: u32,
    pub(super) block: usize,
    pub(super) direct: bool,
    pub(super) preserve: Preserve,
    pub(super) sparse: Sparse,
    pub(super) verbose: bool,
    pub(super) shows: Shows,
    pub(super) source: Bytes,
    pub(super) target: Bytes,
    /// True if DST must be a directory.
    pub(super) into: bool,
}

/// When progress is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shows {
    OnTerminal,
    Always,
    Never,
}

/// Parses the command line, and returns the options, with DST, and the number of
/// sources.
pub(super) fn parse(mut arguments: Arguments) -> Result<(Options, usize), Done> {
    let (mut depth, mut block, mut direct) = (16, 256 << 10, false);
    let (mut engine, mut by_aio, mut sparse, mut verbose) = (None, false, Sparse::Auto, false);
    let mut preserve = Preserve::default();
    let mut shows = Shows::OnTerminal;
    let (mut target, mut count) = (&b""[..], 0);
    GRAMMAR.parse(
        &mut arguments,
        &mut |flag, value| {
            let words = match flag {
                "engine" => "'aio', 'kernel' or 'auto'",
                "preserve" => "a list of 'mode', 'ownership', 'timestamps', 'xattr' and 'all'",
                "sparse" => "'auto', 'always' or 'never'",
                _ => "",
            };
            match (flag, value) {
                ("engine", b"aio") => engine = Some(Engine::Aio),
                ("engine", b"kernel") => engine = Some(Engine::Kernel),
                ("engine", b"auto") => engine = None,
                ("sparse", b"auto") => sparse = Sparse::Auto,
                ("sparse", b"always") => sparse = Sparse::Always,
                ("sparse", b"never") => sparse = Sparse::Never,
                ("preserve", list) if Preserve::parse(list).is_some() => {
                    preserve = Preserve::parse(list).unwrap_or_default();
                }
                ("engine" | "preserve" | "sparse", _) => {
                    return Err(GRAMMAR.wrong(format_args!(
                        "'--{}' is {}, not '{}'",
                        Text(flag),
                        Text(words),
                        Shown(value)
                    )));
                }
                ("verbose", _) => verbose = true,
                ("quiet", _) => {
                    be_quiet();
                    shows = Shows::Never;
                }
                ("progress", _) => shows = Shows::Always,
                ("no-progress", _) => shows = Shows::Never,
                _ => by_aio = true,
            }
            let (place, least, most) = match flag {
                "depth" => (&mut depth, 1, MOST_DEPTH),
                "block" => (&mut block, 512, MOST_BLOCK),
                _ => {
                    direct |= flag == "direct";
                    return Ok(());
                }
            };
            match args::number(value) {
                Some(number) if (least..=most).contains(&number) => *place = number,
                _ => {
                    return Err(GRAMMAR.wrong(format_args!(
                        "'--{}' is a number from {least} to {most}, not '{}'",
                        Text(flag),
                        Shown(value)
                    )));
                }
            }
            Ok(())
        },
        &mut |argument| {
            (target, count) = (argument, count + 1);
            Ok(())
        },
    )?;
    let sources = match count {
        0 => return Err(GRAMMAR.wrong(format_args!("SRC and DST are missing"))),
        1 => return Err(GRAMMAR.wrong(format_args!("DST is missing"))),
        _ => count - 1,
    };
    let options = Options {
        engine: match engine {
            Some(engine) => engine,
            None if by_aio => Engine::Aio,
            None => Engine::Kernel,
        },
        preserve,
        sparse,
        verbose,
        shows,
        depth: depth as u32,
        block: block as usize,
        direct,
        source: b"",
        target,
        into: sources > 1,
    };
    Ok((options, sources))
}

/// Calls `name` for each name, DST last. [`parse`] must have accepted the arguments.
pub(super) fn each_name(mut arguments: Arguments, name: &mut dyn FnMut(Bytes)) -> Result<(), Done> {
    GRAMMAR.parse(&mut arguments, &mut |_, _| Ok(()), &mut |argument| {
        name(argument);
        Ok(())
    })
}
