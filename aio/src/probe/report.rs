//! The report of `aio probe` as text.

use core::fmt::{self, Write};

use linux_aio::{abi, nr};

use super::Found;
use super::reads::{About, Mode};
use super::steps::{Findings, MOST, Outcome, STEPS, Step, flags, is_alarm, signal_name};
use super::verdict::{State, Verdict};
use crate::args::Bytes;
use crate::diagnosis;
use crate::path::Shown;
use crate::print::{Color, Nanoseconds, Out, Paint, Text};

/// The operations, in the order in which they are listed.
pub(super) const OPCODES: [(&str, u16); 7] = [
    ("PREAD", abi::IOCB_CMD_PREAD),
    ("PWRITE", abi::IOCB_CMD_PWRITE),
    ("PREADV", abi::IOCB_CMD_PREADV),
    ("PWRITEV", abi::IOCB_CMD_PWRITEV),
    ("FSYNC", abi::IOCB_CMD_FSYNC),
    ("FDSYNC", abi::IOCB_CMD_FDSYNC),
    ("POLL", abi::IOCB_CMD_POLL),
];

/// The system calls and their numbers on this ABI.
pub(super) const NUMBERS: [(&str, Option<u32>); 7] = [
    ("io_setup", nr::IO_SETUP),
    ("io_destroy", nr::IO_DESTROY),
    ("io_submit", nr::IO_SUBMIT),
    ("io_cancel", nr::IO_CANCEL),
    ("io_getevents", nr::IO_GETEVENTS),
    ("io_pgetevents", nr::IO_PGETEVENTS),
    ("io_pgetevents_time64", nr::IO_PGETEVENTS_TIME64),
];

pub(super) fn report(
    found: &Found,
    verdict: &Verdict,
    path: Option<Bytes>,
    out: &mut Out,
) -> fmt::Result {
    if let Ok(Findings {
        names: Some(names), ..
    }) = found
    {
        let (release, machine) = (text(&names.release), text(&names.machine));
        writeln!(out, "kernel    {}, {}", Shown(release), Shown(machine))?;
    }
    let color = match verdict.state {
        State::Works => Color::Green,
        State::Partly => Color::Yellow,
        State::No => Color::Red,
    };
    writeln!(out, "AIO       {}", Paint(color, verdict))?;
    out.write_str("next      ")?;
    verdict.advise(out)?;
    out.write_char('\n')?;
    if let Ok(found) = found {
        details(found, out)?;
        if let Some(path) = path {
            file(found, path, out)?;
        }
    }
    writeln!(out, "numbers   of {}:", Text(nr::TARGET.abi))?;
    for (name, number) in NUMBERS {
        write!(out, "          {}", Text(name))?;
        for _ in name.len()..21 {
            out.write_char(' ')?;
        }
        match number {
            Some(number) => writeln!(out, "{number}")?,
            None => out.write_str("-\n")?,
        }
    }
    Ok(())
}

fn details(found: &Findings, out: &mut Out) -> fmt::Result {
    match found.limit {
        Some(limit) => {
            writeln!(out, "limit     {limit}")?;
            if found.works(Step::Setup) && found.requested < MOST {
                write!(
                    out,
                    "          tried with {} of {MOST} events, for which there was no room; ",
                    found.requested
                )?;
                diagnosis::raise(Some(limit), out)?;
                out.write_char('\n')?;
            }
        }
        None if found.has_sysctls => out.write_str("limit     none: no fs.aio-max-nr\n")?,
        None => out.write_str("limit     unknown: /proc/sys/fs cannot be read\n")?,
    }
    if found.works(Step::Ring) {
        match found.slots {
            Some(slots) => {
                writeln!(
                    out,
                    "ring      {slots} slots for a request of {}",
                    found.requested
                )?;
            }
            None => writeln!(out, "ring      cannot be read")?,
        }
        let reaping = if found.mapped {
            "in user space, without a system call"
        } else {
            "by system call: the ring cannot be read in user space"
        };
        writeln!(out, "reaping   {}", Text(reaping))?;
    }
    if let Some(probe) = &found.probe {
        out.write_str("opcodes  ")?;
        for (name, opcode) in OPCODES {
            if probe.supports(opcode) {
                write!(out, " {}", Text(name))?;
            }
        }
        out.write_str("\nflags    ")?;
        for name in flags(probe) {
            write!(out, " {}", Text(name))?;
        }
        if probe.supports_io_priority() {
            out.write_str(" and I/O priorities")?;
        }
        out.write_char('\n')?;
    } else if found.works(Step::Submit) {
        out.write_str("opcodes   not tried, because of the system calls below\n")?;
    }
    let mut first = true;
    for step in STEPS {
        let outcome = found.of(step);
        if step.call().is_empty() || outcome == Outcome::Works {
            continue;
        }
        let begin = if first { "refused   " } else { "          " };
        first = false;
        write!(out, "{}{}: ", Text(begin), Text(step.call()))?;
        match outcome {
            Outcome::Fails(errno) => writeln!(out, "{errno}")?,
            Outcome::Killed(signal) => {
                writeln!(out, "ends the process ({})", Text(signal_name(signal)))?;
            }
            _ => out.write_str("not tried, it needs another\n")?,
        }
    }
    Ok(())
}

fn file(found: &Findings, path: Bytes, out: &mut Out) -> fmt::Result {
    write!(out, "file      {}", Shown(path))?;
    let Some(About {
        alignment,
        direct,
        buffered,
    }) = found.about
    else {
        return match found.of(Step::Reads) {
            Outcome::Fails(linux_aio::Errno::INVAL) => {
                out.write_str(": neither a regular file nor a block device\n")
            }
            Outcome::Fails(linux_aio::Errno::NODATA) => {
                out.write_str(": too small, there is no block to read\n")
            }
            Outcome::Fails(errno) => writeln!(out, ": {errno}"),
            Outcome::Killed(signal) if is_alarm(signal) => {
                out.write_str(": does not answer within 5 seconds\n")
            }
            _ => out.write_str(": not read, since AIO does not work\n"),
        };
    };
    out.write_str("\nalignment ")?;
    match alignment {
        Some((0, _)) => out.write_str("none: no direct I/O on this file\n")?,
        Some((memory, offset)) => writeln!(
            out,
            "of direct I/O: memory {memory}, offsets and lengths {offset}"
        )?,
        None => out.write_str("unknown: the kernel or file system does not report it\n")?,
    }
    for (name, mode) in [("direct    ", direct), ("buffered  ", buffered)] {
        out.write_str(name)?;
        match mode {
            Mode::Refused(errno) => writeln!(out, "refused: {errno}")?,
            Mode::Measured(times) => {
                let how = match times.is_asynchronous() {
                    Some(true) => "asynchronous",
                    Some(false) => "not asynchronous: the read runs inside io_submit",
                    None => "unclear: the machine is too busy to measure it",
                };
                let reads = u64::from(times.reads.max(1));
                writeln!(
                    out,
                    "{} ({} of {} are in io_submit)",
                    Text(how),
                    Nanoseconds(times.submitting / reads),
                    Nanoseconds(times.total / reads)
                )?;
            }
        }
    }
    Ok(())
}

/// Returns a name from uname(2), up to its zero byte.
pub(super) fn text(characters: &[core::ffi::c_char]) -> &[u8] {
    // SAFETY: `c_char` has the size and alignment of `u8`, whether signed or not, and
    // the slice has this many of them.
    let bytes =
        unsafe { core::slice::from_raw_parts(characters.as_ptr().cast::<u8>(), characters.len()) };
    bytes.split(|&byte| byte == 0).next().unwrap_or(bytes)
}
