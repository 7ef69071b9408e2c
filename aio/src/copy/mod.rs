//! `aio copy`: a file through AIO, reads and writes in flight together.
//!
//! The order is what keeps both files whole: everything that can be refused is
//! refused before anything is written (`target.rs`); the data goes into a draft
//! (`output.rs`), block by block (`pipeline.rs`); only when the disk has it all
//! does that take the target's name. Names are looked at once; after that, files
//! and directories that are held stand for them.

mod direct;
mod output;
mod pipeline;
mod progress;
mod signals;
mod slot;
mod target;

use core::fmt;

use linux_aio::opcode::FSync;
use linux_aio::{Context, Errno, Event};
use linux_raw_sys::general::{S_IFBLK, S_IFDIR, S_IFMT, S_IFREG};

use crate::args::{self, Bytes, Done, Grammar};
use crate::os::{self, CWD, File, Stat};
use crate::path::{Path, Shown};
use crate::print::{Text, complain};
use crate::why::Why;

use direct::{allocate, go_direct, say_refused};
use output::Output;
use pipeline::{Pipeline, Side, Stop};
use progress::Progress;
use signals::Signals;
use target::Target;

pub(crate) const GRAMMAR: Grammar = Grammar {
    command: "copy",
    flags: &[("depth", true), ("block", true), ("direct", false)],
    help: "\
Copy a file through AIO, with reads and writes in flight together.

Usage: aio copy [--depth N] [--block BYTES] [--direct] SRC DST

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
      --depth N      blocks in flight at a time (16)
      --block BYTES  bytes of a block; K, M, G for 1024, 1024^2, 1024^3 (256K)
      --direct       go around the page cache (O_DIRECT), except for the
                     unaligned end; says so where a file system refuses it
  -h, --help         print this help

Exit status: 0; 1 if the copy failed; 2 for a wrong command line.
",
};

/// The largest depth: that many events are fs.aio-max-nr of a default system.
const MOST_DEPTH: u64 = 65_536;
/// The kernel moves less than 2 GiB at a time.
const MOST_BLOCK: u64 = 1 << 30;

struct Options {
    depth: u32,
    block: usize,
    direct: bool,
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
    let mut names: [Option<Bytes>; 2] = [None; 2];
    GRAMMAR.parse(
        arguments,
        &mut |flag, value| {
            let (place, least, most) = match flag {
                "depth" => (&mut depth, 1, MOST_DEPTH),
                "block" => (&mut block, 512, MOST_BLOCK),
                _ => {
                    direct = true;
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
    let depth = blocks_needed(options, size);
    let mut context = Context::new(depth).map_err(|errno| Failure {
        name: b"",
        what: What::Context(errno, depth),
    })?;

    let output = Output::open(target, &stat, signals).about(options.target)?;
    let (mut align, mut allocated) = (None, false);
    if options.direct {
        let real;
        (align, real) = go_direct(options, &source, &stat, &output.file).about(options.target)?;
        allocated = real && allocate(&output.file, size).about(options.target)?;
    }

    let mut progress = Progress::new(size);
    let mut pipeline = Pipeline::new(
        &mut context,
        &source,
        &output.file,
        depth as usize,
        options.block.next_multiple_of(align.unwrap_or(1)),
        size,
        signals,
        &mut progress,
    )
    .map_err(|errno| Failure {
        name: b"buffers",
        what: What::Errno(errno),
    })?;
    let moved = pipeline.direct(align).and_then(|from| {
        if let Some((side, errno)) = pipeline.refusal() {
            say_refused(side.name(options), errno);
        }
        if align.is_some() {
            // What is left is not aligned.
            os::set_direct(&source, false).map_err(|errno| Stop::At(Side::Source, errno))?;
            os::set_direct(&output.file, false).map_err(|errno| Stop::At(Side::Target, errno))?;
        }
        let end = pipeline.buffered(from)?;
        // An early end may be how the file is (those of /sys tell a whole page
        // as their size), unless the size has changed.
        if end < size && (allocated || has_changed(&source, &stat)) {
            return Err(Stop::Shrunk);
        }
        Ok(())
    });
    moved.map_err(|stop| stop.explain(options))?;

    sync(&mut context, &output.file).about(options.target)?;
    if output.is_draft() {
        signals.hold();
        // The last moment to go back.
        if signals.arrived() {
            return Err(Stop::Signal.explain(options));
        }
    }
    output.publish().about(options.target)?;
    progress.end();
    Ok(())
}

/// Whether the file tells another size than it did.
fn has_changed(source: &File, before: &Stat) -> bool {
    os::stat_file(source).is_ok_and(|now| now.stx_size != before.stx_size)
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

/// No more slots than the file has blocks, and one to find its end.
fn blocks_needed(options: &Options, size: u64) -> u32 {
    let blocks = size / options.block as u64 + 1;
    blocks.min(options.depth.into()) as u32
}

/// Waits until the disk has the file: through AIO, or by fsync(2) on a kernel
/// or a file system that has no such operation.
fn sync(context: &mut Context, file: &File) -> Result<(), Errno> {
    let mut iocb = FSync::new(file.raw()).build();
    // SAFETY: an fsync has no buffer.
    let submitted = unsafe { context.submit(&mut [&mut iocb]) };
    let synced = submitted.and_then(|count| {
        if count == 0 {
            return Err(Errno::AGAIN);
        }
        let mut events = [Event::EMPTY];
        loop {
            match context.ring().wait(1, &mut events) {
                Ok([event, ..]) => return event.result().map(drop),
                Ok([]) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    });
    match synced {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::AGAIN) => os::fsync(file),
        other => other,
    }
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
            Stop::Signal => (&b""[..], What::Signal),
        };
        Failure { name, what }
    }
}
