//! Standard input and output, which have no offsets: read and written in order.

use linux_aio::Errno;

use super::output::Output;
use super::pipeline::{Side, Stop};
use super::signals::Signals;
use super::target::Target;
use super::{About, Failure, Options, open_source};
use crate::os;

const STDIN: i32 = 0;
/// Bytes read at a time; what a pipe holds.
const BUFFER: usize = 64 << 10;

pub(super) fn copy(options: &Options, signals: &mut Signals) -> Result<(), Failure<'static>> {
    let opened = match options.source {
        b"-" => None,
        name => Some(open_source(name).about(name)?),
    };
    let stat = match &opened {
        Some((_, stat)) => *stat,
        // Of no file: what it becomes has the permissions of a new one.
        None => {
            let mut stat = os::stat_descriptor(STDIN).about(options.source)?;
            // Whatever it is, the copy is a new file.
            stat.stx_mode = 0o666;
            stat
        }
    };
    let output = match options.target {
        b"-" => None,
        name => {
            let target = Target::find(options, &stat)?;
            Some(Output::open(target, &stat, signals).about(name)?)
        }
    };
    let from = opened.as_ref().map_or(STDIN, |(file, _)| file.raw());
    let to = output
        .as_ref()
        .map_or(os::STDOUT, |output| output.file.raw());
    all(from, to, signals).map_err(|stop| stop.explain(options))?;
    match output {
        Some(output) => {
            os::fsync(&output.file).about(options.target)?;
            super::finish(options, output, signals)
        }
        None => Ok(()),
    }
}

fn all(from: i32, to: i32, signals: &Signals) -> Result<(), Stop> {
    let memory = os::memory(BUFFER).map_err(Stop::Memory)?;
    // SAFETY: as many zeroed bytes, which nobody else knows of.
    let buffer = unsafe { core::slice::from_raw_parts_mut(memory, BUFFER) };
    loop {
        let read = ready(from, Side::Source, signals, || os::read_from(from, buffer))?;
        let mut rest = &buffer[..read];
        if rest.is_empty() {
            return Ok(());
        }
        while !rest.is_empty() {
            let written = ready(to, Side::Target, signals, || os::write_to(to, rest))?;
            rest = &rest[written..];
        }
    }
}

/// Calls until it is ready: who has the other end may have made it such that a call
/// does not wait by itself.
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
        match call() {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => os::wait_ready(fd, side == Side::Target),
            other => return other.map_err(|errno| Stop::At(side, errno)),
        }
    }
}
