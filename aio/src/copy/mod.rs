//! `aio copy`: a file through AIO, reads and writes in flight together.
//!
//! The order is what keeps both files whole: everything that can be refused is
//! refused before anything is written (`target.rs`); the data goes into a draft
//! (`output.rs`), block by block (`pipeline.rs`); only when the disk has it all
//! does that take the target's name. Names are looked at once; after that, files
//! and directories that are held stand for them.

mod by_aio;
mod direct;
mod kernel;
mod output;
mod parts;
mod pipeline;
mod progress;
mod signals;
mod slot;
mod target;

use core::fmt;

use linux_aio::Errno;
use linux_raw_sys::general::{S_IFBLK, S_IFDIR, S_IFMT, S_IFREG};

use crate::args::{self, Bytes, Done, Grammar};
use crate::os::{self, CWD, File, Stat};
use crate::path::{Path, Shown};
use crate::print::{Text, complain};
use crate::why::Why;

use by_aio::ByAio;
use output::Output;
use parts::Part;
use pipeline::{Side, Stop};
use progress::Progress;
use signals::Signals;
use target::Target;

pub(crate) const GRAMMAR: Grammar = Grammar {
    command: "copy",
    flags: &[
        ("engine", true),
        ("depth", true),
        ("block", true),
        ("direct", false),
        ("sparse", true),
        ("verbose", false),
    ],
    help: "\
Copy a file through AIO, with reads and writes in flight together.

Usage: aio copy [--engine WAY] [--depth N] [--block BYTES] [--direct]
                [--sparse WHEN] [--verbose] SRC DST

SRC is a regular file or a block device. If DST is a directory, the copy gets
SRC's name in it. The data goes into a file that has no name yet, which takes
DST's at the end, after an fsync: DST is the old file or the whole new one,
never half of it, however the copy ends. (Where the file system has no such
files, it is .DST.aio-XXXXXXXXXXXXX until then.) On a terminal, progress is
shown.

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
      --sparse WHEN  'auto' (the default): holes of SRC are holes of DST;
                     'never': they are filled with zeros
      --verbose      say how many bytes went which way
  -h, --help         print this help

Exit status: 0; 1 if the copy failed; 2 for a wrong command line.
",
};

/// The largest depth: that many events are fs.aio-max-nr of a default system.
const MOST_DEPTH: u64 = 65_536;
/// The kernel moves less than 2 GiB at a time.
const MOST_BLOCK: u64 = 1 << 30;

/// What moves the data.
#[derive(Clone, Copy)]
enum Engine {
    Aio,
    Kernel,
}

struct Options {
    engine: Engine,
    depth: u32,
    block: usize,
    direct: bool,
    sparse: bool,
    verbose: bool,
    source: Bytes,
    target: Bytes,
}

/// What went wrong, and with which file.
struct Failure<'a> {
    name: &'a [u8],
    what: What,
}

enum What {
    Errno(Errno),
    Text(&'static str),
    Context(Errno, u32),
    /// A signal asks the process to end; nothing is said.
    Signal,
}

impl From<Errno> for What {
    fn from(errno: Errno) -> What {
        What::Errno(errno)
    }
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what {
            What::Errno(errno) => write!(f, "{}: {errno}", Shown(self.name)),
            What::Text(text) => write!(f, "{}: {}", Shown(self.name), Text(text)),
            What::Context(errno, asked) => Why::find(errno, asked).fmt(f),
            What::Signal => Ok(()),
        }
    }
}

/// Says which file an error is about.
trait About<T> {
    fn about(self, name: &[u8]) -> Result<T, Failure<'_>>;
}

impl<T, E: Into<What>> About<T> for Result<T, E> {
    fn about(self, name: &[u8]) -> Result<T, Failure<'_>> {
        self.map_err(|error| Failure {
            name,
            what: error.into(),
        })
    }
}

impl From<&'static str> for What {
    fn from(text: &'static str) -> What {
        What::Text(text)
    }
}

pub(crate) fn run(arguments: &mut dyn Iterator<Item = Bytes>) -> Result<i32, Done> {
    let options = parse(arguments)?;
    let mut signals = Signals::new();
    Ok(match copy(&options, &mut signals) {
        Ok(()) => {
            signals.keep();
            0
        }
        Err(failure) => {
            if !matches!(failure.what, What::Signal) {
                complain(format_args!("copy: {failure}"));
            }
            1
        }
    })
    // `signals` is dropped here: one that arrived ends the process now, when
    // nothing half-written is left.
}

fn parse(arguments: &mut dyn Iterator<Item = Bytes>) -> Result<Options, Done> {
    let (mut depth, mut block, mut direct) = (16, 256 << 10, false);
    let (mut engine, mut by_aio, mut sparse, mut verbose) = (None, false, true, false);
    let mut names: [Option<Bytes>; 2] = [None; 2];
    GRAMMAR.parse(
        arguments,
        &mut |flag, value| {
            let words = match flag {
                "engine" => "'aio', 'kernel' or 'auto'",
                "sparse" => "'auto' or 'never'",
                _ => "",
            };
            match (flag, value) {
                ("engine", b"aio") => engine = Some(Engine::Aio),
                ("engine", b"kernel") => engine = Some(Engine::Kernel),
                ("engine", b"auto") => engine = None,
                ("sparse", b"auto") => sparse = true,
                ("sparse", b"never") => sparse = false,
                ("engine" | "sparse", _) => {
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
        &mut |argument| match names.iter_mut().find(|name| name.is_none()) {
            Some(name) => {
                *name = Some(argument);
                Ok(())
            }
            None => Err(GRAMMAR.unexpected(argument)),
        },
    )?;
    match names {
        [Some(source), Some(target)] => Ok(Options {
            engine: match engine {
                Some(engine) => engine,
                None if by_aio => Engine::Aio,
                None => Engine::Kernel,
            },
            sparse,
            verbose,
            depth: depth as u32,
            block: block as usize,
            direct,
            source,
            target,
        }),
        [Some(_), None] => Err(GRAMMAR.wrong(format_args!("DST is missing"))),
        _ => Err(GRAMMAR.wrong(format_args!("SRC and DST are missing"))),
    }
}

fn copy(options: &Options, signals: &mut Signals) -> Result<(), Failure<'static>> {
    let (source, stat) = open_source(options.source).about(options.source)?;
    let size = if kind(&stat) == S_IFBLK {
        os::device_size(&source).about(options.source)?
    } else {
        stat.stx_size
    };

    // Refuses what must not be replaced, and touches nothing.
    let target = Target::find(options, &stat)?;
    let mut by_aio = match options.engine {
        Engine::Aio => Some(ByAio::new(options, size)?),
        Engine::Kernel => None,
    };
    let output = Output::open(target, &stat, signals).about(options.target)?;
    // A device has none, and keeps what it had where nothing is written.
    let holes =
        options.sparse && kind(&os::stat_file(&output.file).about(options.target)?) == S_IFREG;
    let job = Job {
        options,
        source: &source,
        stat: &stat,
        size,
        holes,
        target: &output.file,
        signals,
    };
    let mut progress = Progress::new(size);
    let way = match &mut by_aio {
        Some(by_aio) => by_aio.copy(&job, &mut progress)?,
        None => kernel::copy(&job, &mut progress)?,
    };
    match &mut by_aio {
        Some(by_aio) => by_aio.sync(&output.file),
        None => os::fsync(&output.file),
    }
    .about(options.target)?;

    if output.is_draft() {
        signals.hold();
        // The last moment to go back.
        if signals.arrived() {
            return Err(Stop::Signal.explain(options));
        }
    }
    let replaced = output.is_draft();
    output.publish().about(options.target)?;
    progress.end();
    if options.verbose {
        say(options, way, replaced);
    }
    Ok(())
}

/// What is copied, from where to where.
struct Job<'a> {
    options: &'a Options,
    source: &'a File,
    /// As it was at the beginning.
    stat: &'a Stat,
    size: u64,
    /// Holes of the source become holes of the target.
    holes: bool,
    target: &'a File,
    signals: &'a Signals,
}

impl Job<'_> {
    /// The next part that is to be copied; `None` if only a hole follows.
    fn next(&self, from: u64) -> Result<Option<Part>, Stop> {
        if self.holes {
            Part::next(self.source, from, self.size)
        } else {
            Ok(Some(Part { from, to: None }))
        }
    }

    /// Copies what is left from `at` on, part by part: `copy` is told where one
    /// begins and, if it is known, ends, and tells where it ended. Tells where the
    /// file did.
    fn each(
        &self,
        mut at: u64,
        copy: &mut dyn FnMut(Part) -> Result<u64, Stop>,
    ) -> Result<u64, Stop> {
        loop {
            let Some(part) = self.next(at)? else {
                let cut = os::truncate(self.target, self.size);
                cut.map_err(|errno| Stop::At(Side::Target, errno))?;
                return Ok(self.size);
            };
            at = copy(part)?;
            if part.to.is_none_or(|to| at < to) {
                return Ok(at);
            }
        }
    }

    /// Whether the file ended where it did. An early end may be how it is (files of
    /// /sys tell a whole page as their size), unless the size has changed, or was
    /// true and is the target's already.
    fn check_end(&self, end: u64, allocated: bool) -> Result<(), Stop> {
        let changed =
            || os::stat_file(self.source).is_ok_and(|now| now.stx_size != self.stat.stx_size);
        if end < self.size && (allocated || changed()) {
            return Err(Stop::Shrunk);
        }
        Ok(())
    }
}

/// By what the data went.
#[derive(Clone, Copy)]
struct Way {
    bytes: u64,
    name: &'static str,
}

fn say(options: &Options, way: Way, replaced: bool) {
    let name = Shown(options.target);
    let kept = if replaced { "" } else { ", written in place" };
    complain(format_args!(
        "copy: {name}: {} bytes by {}{}",
        way.bytes,
        Text(way.name),
        Text(kept)
    ));
}

fn kind(stat: &Stat) -> u32 {
    u32::from(stat.stx_mode) & S_IFMT
}

fn open_source(name: &[u8]) -> Result<(File, Stat), What> {
    let path = Path::new(name)?;
    // Looked at before it is opened: opening a tape rewinds it, a named pipe waits
    // for its writer.
    let held = os::open(CWD, path.as_c(), os::O_PATH, 0)?;
    let looked_at = os::stat_file(&held)?;
    check_source(&looked_at)?;
    let flags = os::O_RDONLY | os::O_NOCTTY;
    let file = match os::open_held(&held, flags) {
        // Without /proc, by its name once more.
        Err(Errno::NOENT) => os::open(CWD, path.as_c(), flags | os::O_NONBLOCK, 0)?,
        other => other?,
    };
    let stat = os::stat_file(&file)?;
    if !is_same(&stat, &looked_at) {
        return Err(What::Text("became another file while it was opened"));
    }
    Ok((file, stat))
}

fn check_source(stat: &Stat) -> Result<(), What> {
    match kind(stat) {
        S_IFREG | S_IFBLK => Ok(()),
        S_IFDIR => Err(What::Errno(Errno::ISDIR)),
        _ => Err(What::Text(
            "not a regular file or block device: it has no offsets to copy by",
        )),
    }
}

fn is_same(a: &Stat, b: &Stat) -> bool {
    let identity = |stat: &Stat| (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino);
    identity(a) == identity(b)
}

impl Side {
    fn name(self, options: &Options) -> Bytes {
        match self {
            Side::Source => options.source,
            Side::Target => options.target,
        }
    }
}

impl Stop {
    fn explain(self, options: &Options) -> Failure<'static> {
        let (name, what) = match self {
            Stop::At(side, errno) => (side.name(options), What::Errno(errno)),
            Stop::Context(errno) => (&b"AIO context"[..], What::Errno(errno)),
            Stop::Shrunk => (
                options.source,
                What::Text("became shorter while it was copied"),
            ),
            Stop::Memory(errno) => (&b"buffers"[..], What::Errno(errno)),
            Stop::Signal => (&b""[..], What::Signal),
        };
        Failure { name, what }
    }
}
