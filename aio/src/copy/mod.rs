//! `aio copy`: copies files, each whole or not at all.
//!
//! The order of the steps keeps both files whole. All refusals precede the first write
//! (`target.rs`). The data goes into a draft (`output.rs`), moved by the kernel
//! (`kernel.rs`) or through AIO (`by_aio.rs`). The draft takes the target's name after
//! an fsync. Names are resolved once; after that, descriptors stand for files and
//! directories.

mod by_aio;
mod direct;
mod kernel;
mod names;
mod options;
mod output;
mod parts;
mod pipeline;
mod preserve;
mod progress;
mod reserve;
mod signals;
mod slot;
mod stream;
mod target;

use core::fmt;

use linux_aio::Errno;
use linux_raw_sys::general::{S_IFBLK, S_IFDIR, S_IFMT, S_IFREG};

use crate::args::{Arguments, Bytes, Done};
use crate::diagnosis::Diagnosis;
use crate::os::{self, CWD, File, Stat};
use crate::path::{Path, Shown};
use crate::print::{Text, complain};

use by_aio::ByAio;
use names::Names;
pub(crate) use options::GRAMMAR;
use options::{Engine, Options, Sparse};
use output::Output;
use parts::Part;
use pipeline::{Side, Stop};
use progress::Progress;
use signals::Signals;
use target::Target;

/// An error and the name of the file that it concerns.
struct Failure<'a> {
    name: &'a [u8],
    what: What,
}

enum What {
    Errno(Errno),
    Text(&'static str),
    Context(Errno, u32),
    /// A signal that ends the process; no message is printed.
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
            What::Context(errno, requested) => Diagnosis::find(errno, requested).fmt(f),
            What::Signal => Ok(()),
        }
    }
}

/// A result whose error can be attributed to a file.
trait Named<T> {
    fn about(self, name: &[u8]) -> Result<T, Failure<'_>>;
}

impl<T, E: Into<What>> Named<T> for Result<T, E> {
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

pub(crate) fn run(arguments: Arguments) -> Result<i32, Done> {
    let (mut options, sources) = options::parse(arguments.clone())?;
    let (mut number, mut status) = (0, 0);
    let Ok(mut copied_names) = Names::new(sources) else {
        complain(format_args!("copy: buffers: {}", Errno::NOMEM));
        return Ok(1);
    };
    options::each_name(arguments, &mut |name| {
        number += 1;
        if number > sources {
            return;
        }
        options.source = name;
        let mut signals = Signals::new();
        let copied = if copied_names.has(name) {
            Err(What::Text(
                "its name in DST is another's that was copied now",
            ))
            .about(name)
        } else {
            copy(&options, &mut signals)
        };
        if copied.is_ok() {
            copied_names.add(name);
        }
        match copied {
            Ok(()) if number == sources && status == 0 => signals.keep(),
            Ok(()) => {}
            Err(failure) => {
                if !matches!(failure.what, What::Signal) {
                    complain(format_args!("copy: {failure}"));
                }
                status = 1;
            }
        }
        // `signals` is dropped here: a pending signal ends the process now, when no
        // incomplete file is left.
    })?;
    Ok(status)
}

fn copy(options: &Options, signals: &mut Signals) -> Result<(), Failure<'static>> {
    if options.source == b"-" || options.target == b"-" {
        return stream::copy(options, signals);
    }
    let (source, stat) = open_source(options.source).about(options.source)?;
    let size = if kind(&stat) == S_IFBLK {
        os::device_size(&source).about(options.source)?
    } else {
        stat.stx_size
    };

    // Refuses targets that must not be replaced, without changing anything.
    let target = Target::find(options, &stat)?;
    if options.sparse != Sparse::Never && kind(&stat) == S_IFREG {
        parts::settle(&source, size).map_err(|stop| stop.explain(options))?;
    }
    let mut by_aio = match options.engine {
        Engine::Aio => Some(ByAio::new(options, size)?),
        Engine::Kernel => None,
    };
    let output = Output::open(target, &stat, signals).about(options.target)?;
    // A device has no holes: where nothing is written, it keeps its old data.
    let holes = options.sparse != Sparse::Never
        && kind(&os::stat_file(&output.file).about(options.target)?) == S_IFREG;
    let job = Job {
        options,
        source: &source,
        stat: &stat,
        size,
        holes,
        zeros: holes && options.sparse == Sparse::Always,
        target: &output.file,
        draft: output.is_draft(),
        signals,
    };
    let mut progress = Progress::new(size, options.shows);
    let way = match &mut by_aio {
        Some(by_aio) => by_aio.copy(&job, &mut progress)?,
        None => kernel::copy(&job, &mut progress)?,
    };
    let preserve = options.preserve;
    preserve.apply(options, &source, &stat, &output.file);
    progress.sync();
    os::fsync(&output.file).about(options.target)?;

    let replaced = output.is_draft();
    finish(options, output, signals)?;
    progress.end();
    if options.verbose {
        say(options, way, replaced);
    }
    Ok(())
}

/// Gives the copy its name, after all its data is on the disk.
fn finish(
    options: &Options,
    output: Output,
    signals: &mut Signals,
) -> Result<(), Failure<'static>> {
    if output.is_draft() {
        signals.hold();
        // After this point the copy can no longer be abandoned.
        if signals.arrived() {
            return Err(Stop::Signal.explain(options));
        }
    }
    output.publish().about(options.target)
}

/// The source, the target and the parameters of one copy.
struct Job<'a> {
    options: &'a Options,
    source: &'a File,
    /// The status of the source at the beginning.
    stat: &'a Stat,
    size: u64,
    /// True if holes of the source become holes of the target; then the same for zeros.
    holes: bool,
    zeros: bool,
    target: &'a File,
    /// True if the target is a draft, which is removed if the copy fails.
    draft: bool,
    signals: &'a Signals,
}

impl Job<'_> {
    /// Returns the next part to copy; `None` if only a hole follows.
    fn next(&self, from: u64) -> Result<Option<Part>, Stop> {
        if self.holes {
            Part::next(self.source, from, self.size)
        } else {
            Ok(Some(Part { from, to: None }))
        }
    }

    /// Calls `copy` for each part from `at` on, which returns the offset where the part
    /// ended. Returns the offset where the file ended.
    fn each(
        &self,
        mut at: u64,
        copy: &mut dyn FnMut(Part) -> Result<u64, Stop>,
    ) -> Result<u64, Stop> {
        loop {
            let Some(part) = self.next(at)? else {
                // Only a hole follows, up to the current end of the file.
                let end = os::stat_file(self.source).map(|now| now.stx_size);
                let end = end.map_err(|errno| Stop::At(Side::Source, errno))?;
                if end < self.size {
                    return Err(Stop::Shrunk);
                }
                let cut = os::truncate(self.target, end);
                cut.map_err(|errno| Stop::At(Side::Target, errno))?;
                return Ok(end);
            };
            at = copy(part)?;
            if part.to.is_none_or(|to| at < to) {
                return Ok(at);
            }
        }
    }

    /// Sets the size of a target whose last bytes may be zeros that were not written.
    fn cut(&self, end: u64) -> Result<(), Stop> {
        if !self.zeros {
            return Ok(());
        }
        os::truncate(self.target, end).map_err(|errno| Stop::At(Side::Target, errno))
    }

    /// Checks that the end of the file is plausible.
    ///
    /// An end before the size is valid for some files (those in /sys report a whole
    /// page as their size). It is an error if the size has changed, or if the size was
    /// reliable and the target has been allocated with it.
    fn check_end(&self, end: u64, allocated: bool) -> Result<(), Stop> {
        let changed =
            || os::stat_file(self.source).is_ok_and(|now| now.stx_size != self.stat.stx_size);
        if end < self.size && (allocated || changed()) {
            return Err(Stop::Shrunk);
        }
        Ok(())
    }
}

/// The mechanism that moved the data, and the number of bytes, for `--verbose`.
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
    // The file is examined before it is opened: opening a tape rewinds it, and opening
    // a named pipe waits for its writer.
    let held = os::open(CWD, path.as_c(), os::O_PATH, 0)?;
    let checked = os::stat_file(&held)?;
    check_source(&checked)?;
    let flags = os::O_RDONLY | os::O_NOCTTY;
    let file = match os::open_held(&held, flags) {
        // Without /proc, the file is opened by its name again.
        Err(Errno::NOENT) => os::open(CWD, path.as_c(), flags | os::O_NONBLOCK, 0)?,
        other => other?,
    };
    let stat = os::stat_file(&file)?;
    if !is_same(&stat, &checked) {
        return Err(What::Text("became another file while it was opened"));
    }
    Ok((file, stat))
}

fn check_source(stat: &Stat) -> Result<(), What> {
    match kind(stat) {
        S_IFREG | S_IFBLK => Ok(()),
        S_IFDIR => Err(What::Text("a directory, and only files are copied")),
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
