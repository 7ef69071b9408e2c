//! The command line of `aio copy`.

use super::preserve::Preserve;
use crate::args::{self, Arguments, Bytes, Done, Grammar};
use crate::path::Shown;
use crate::print::Text;

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
    ],
    help: "\
Copy files, each whole or not at all; through AIO if requested.

Usage: aio copy [--engine WAY] [--depth N] [--block BYTES] [--direct]
                [--preserve LIST] [--sparse WHEN] [--verbose] SRC... DST

SRC is a regular file or a block device. If DST is a directory, the copy gets
SRC's name in it; so do the copies of several. '-' as SRC is standard input, as
DST standard output: those are read and written in order.

The data goes into a file that has no name yet, which takes DST's at the end,
after an fsync: DST is the old file or the whole new one, never half of it,
however the copy ends. (Where there are no such files, or no /proc, it is
.DST.aio-XXXXXXXXXXXXX until then.) On a terminal, progress is shown.

A new file gets SRC's permissions without those of the umask, and never
set-user-ID or set-group-ID. An old one keeps its owner, group and permissions.
What replacing it would lose or is not allowed is written as it is, as cp does,
and an end in the middle leaves part of it: a file with other names, access
lists or attributes; one that is mounted on, or in a directory that may not be
written; a block device; an open file by way of /proc/self/fd or /dev/stdout.
A symbolic link to nothing is refused.

INT, TERM and other signals end it at once. What the kernel does not interrupt
it cannot: a disk or a network file system that does not answer.

Flags:
      --engine WAY   what moves the data: 'aio', reads and writes in flight
                     together; 'kernel', copy_file_range(2), which is faster
                     through the page cache; 'auto' (the default): 'aio' if one
                     of the next three flags is given, else 'kernel'
      --depth N      blocks in flight at a time (16)
      --block BYTES  bytes of a block; K, M, G for 1024, 1024^2, 1024^3 (256K)
      --direct       go around the page cache (O_DIRECT), except for the
                     unaligned end; says so where a file system refuses it
      --preserve LIST
                     keep more of SRC: 'mode' (permissions and access list),
                     'ownership', 'timestamps', 'xattr' (those of users) with
                     commas between, or 'all'; refusals are reported
      --sparse WHEN  'auto' (the default): holes of SRC are holes of DST;
                     'always': so are zeros; 'never': there are none
      --verbose      say how many bytes went which way
  -h, --help         print this help

Exit status: 0; 1 if a copy failed; 2 for a wrong command line.
",
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
    pub(super) source: Bytes,
    pub(super) target: Bytes,
    /// True if DST must be a directory.
    pub(super) into: bool,
}

/// Parses the command line, and returns the options, with DST, and the number of
/// sources.
pub(super) fn parse(mut arguments: Arguments) -> Result<(Options, usize), Done> {
    let (mut depth, mut block, mut direct) = (16, 256 << 10, false);
    let (mut engine, mut by_aio, mut sparse, mut verbose) = (None, false, Sparse::Auto, false);
    let mut preserve = Preserve::default();
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
