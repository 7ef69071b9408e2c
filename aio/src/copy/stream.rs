//! Copying from standard input or to standard output. They have no offsets, so the data
//! is read and written sequentially.

use linux_aio::Errno;
use linux_raw_sys::general::{S_IFDIR, S_IFREG};

use super::options::Sparse;
use super::output::Output;
use super::pipeline::{Side, Stop};
use super::preserve::Preserve;
use super::signals::Signals;
use super::target::Target;
use super::{Failure, Named, Options, Way, What, is_same, kind, open_source, say};
use crate::os::{self, CWD, Memory};
use crate::path::Path;

const STDIN: i32 = 0;
/// The number of bytes read at a time: the capacity of a pipe.
const BUFFER: usize = 64 << 10;

pub(super) fn copy(options: &Options, signals: &mut Signals) -> Result<(), Failure<'static>> {
    let opened = match options.source {
        b"-" => None,
        name => Some(open_source(name).about(name)?),
    };
    let stat = match &opened {
        Some((_, stat)) => *stat,
        // Standard input has no file permissions to copy: the copy gets the permissions
        // of a new file.
        None => {
            let mut stat = os::stat_descriptor(STDIN).about(options.source)?;
            // The type of standard input does not matter.
            stat.stx_mode = 0o666;
            stat
        }
    };
    let kept = options.preserve != Preserve::default();
    if kept || options.sparse != Sparse::Auto {
        let what = "standard input and output take no --preserve and no --sparse";
        return Err(What::Text(what)).about(b"-");
    }
    let output = match options.target {
        b"-" if options.into => return Err(What::Errno(Errno::NOTDIR)).about(options.target),
        b"-" => {
            // The data written would be read again.
            let stdout = os::stat_descriptor(os::STDOUT).about(options.target)?;
            if kind(&stdout) == S_IFREG && is_same(&stdout, &stat) {
                return Err(What::Text("the same file as SRC")).about(options.target);
            }
            None
        }
        name => {
            // Standard input has no name for a copy in a directory.
            if opened.is_none() && is_directory(name) {
                return Err(What::Errno(Errno::ISDIR)).about(name);
            }
            let target = Target::find(options, &stat)?;
            Some(Output::open(target, &stat, signals).about(name)?)
        }
    };
    let from = opened.as_ref().map_or(STDIN, |(file, _)| file.raw());
    let to = output
        .as_ref()
        .map_or(os::STDOUT, |output| output.file.raw());
    let bytes = all(from, to, signals).map_err(|stop| stop.explain(options))?;
    let mut replaced = true;
    if let Some(output) = output {
        replaced = output.is_draft();
        os::fsync(&output.file).about(options.target)?;
        super::finish(options, output, signals)?;
    }
    if options.verbose {
        let name = "read and write";
        say(options, Way { bytes, name }, replaced);
    }
    Ok(())
}

fn is_directory(name: &[u8]) -> bool {
    let held = Path::new(name).and_then(|path| os::open(CWD, path.as_c(), os::O_PATH, 0));
    held.and_then(|held| os::stat_file(&held))
        .is_ok_and(|stat| kind(&stat) == S_IFDIR)
}

/// Copies to the end of the input, and returns the number of bytes.
fn all(from: i32, to: i32, signals: &Signals) -> Result<u64, Stop> {
    let memory = Memory::new(BUFFER).map_err(Stop::Memory)?;
    // SAFETY: the mapping has BUFFER zeroed bytes, `memory` outlives the slice, and no
    // other reference to them exists.
    let buffer = unsafe { core::slice::from_raw_parts_mut(memory.address(), BUFFER) };
    let mut bytes = 0;
    loop {
        let read = ready(from, Side::Source, signals, || os::read_from(from, buffer))?;
        let mut rest = &buffer[..read];
        if rest.is_empty() {
            return Ok(bytes);
        }
        bytes += read as u64;
        while !rest.is_empty() {
            let written = ready(to, Side::Target, signals, || os::write_to(to, rest))?;
            if written == 0 {
                return Err(Stop::At(Side::Target, Errno::IO));
            }
            rest = &rest[written..];
        }
    }
}

/// Repeats the call until the descriptor is ready: another process may have set
/// O_NONBLOCK.
fn ready(
    fd: i32,
    side: Side,
    signals: &Signals,
    mut call: impl FnMut() -> Result<usize, Errno>,
) -> Result<usize, Stop> {
    loop {
        if signals.arrived() {
            return Err(Stop::Signal);
        }
        signals.wait_ready(fd, side == Side::Target)?;
        match call() {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                os::wait_ready(fd, side == Side::Target);
            }
            other => return other.map_err(|errno| Stop::At(side, errno)),
        }
    }
}
