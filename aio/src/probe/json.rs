//! The report of `aio probe` as JSON.

use core::fmt;

use linux_aio::nr;

use super::Found;
use super::reads::Mode;
use super::report::{NUMBERS, OPCODES, text};
use super::steps::{Findings, Outcome, STEPS, flags, signal_name};
use super::verdict::{State, Verdict};
use crate::args::Bytes;
use crate::json::Json;
use crate::print::Out;

pub(super) fn report(
    found: &Found,
    verdict: &Verdict,
    path: Option<Bytes>,
    out: &mut Out,
) -> fmt::Result {
    let mut json = Json::new(out);
    json.open("", '{')?;
    json.string("version", Some(env!("CARGO_PKG_VERSION").as_bytes()))?;
    json.boolean("works", verdict.state == State::Works)?;
    json.string(
        "state",
        Some(match verdict.state {
            State::Works => b"works",
            State::Partly => b"partly",
            State::No => b"no",
        }),
    )?;
    json.string("cause", verdict.cause.map(|cause| cause.word().as_bytes()))?;
    json.string("call", verdict.cause.map(|_| verdict.call.as_bytes()))?;
    let errno = match verdict.outcome {
        Outcome::Works => None,
        outcome => Some(word(outcome)),
    };
    json.string("errno", errno)?;
    if let Ok(found) = found {
        details(found, path, &mut json)?;
    }
    json.string("abi", Some(nr::TARGET.abi.as_bytes()))?;
    json.open("numbers", '{')?;
    for (name, number) in NUMBERS {
        json.number(name, number.map(u64::from))?;
    }
    json.close('}')?;
    json.close('}')
}

/// Returns a word for the result of a system call.
fn word(outcome: Outcome) -> &'static [u8] {
    match outcome {
        Outcome::Works => b"works",
        Outcome::Fails(errno) => errno.name().unwrap_or("error").as_bytes(),
        Outcome::Killed(signal) => signal_name(signal).as_bytes(),
        Outcome::Untried | Outcome::Begun => b"untried",
    }
}

fn details(found: &Findings, path: Option<Bytes>, json: &mut Json<'_, Out>) -> fmt::Result {
    let names = found.names.as_ref();
    json.string("release", names.map(|names| text(&names.release)))?;
    json.string("machine", names.map(|names| text(&names.machine)))?;
    json.number("seccomp", found.seccomp)?;
    json.number("aio_nr", found.limit.map(|limit| limit.used))?;
    json.number("aio_max_nr", found.limit.map(|limit| limit.most))?;
    json.open("calls", '{')?;
    for step in STEPS {
        if !step.call().is_empty() {
            json.string(step.call(), Some(word(found.of(step))))?;
        }
    }
    json.close('}')?;
    json.open("ring", '{')?;
    json.number("requested", Some(found.requested.into()))?;
    json.number("slots", found.slots.map(u64::from))?;
    json.boolean("user_space_reaping", found.mapped)?;
    json.close('}')?;
    if let Some(probe) = &found.probe {
        json.open("opcodes", '{')?;
        for (name, opcode) in OPCODES {
            json.boolean(name, probe.supports(opcode))?;
        }
        json.close('}')?;
        json.open("rw_flags", '[')?;
        for name in flags(probe) {
            json.element(name.as_bytes())?;
        }
        json.close(']')?;
        json.boolean("io_priority", probe.supports_io_priority())?;
    }
    if let Some(path) = path {
        json.open("file", '{')?;
        json.string("name", Some(path))?;
        if let Some(about) = found.about {
            let (memory, offset) = about.alignment.unzip();
            json.number("memory_alignment", memory.map(|value| value as u64))?;
            json.number("offset_alignment", offset.map(|value| value as u64))?;
            for (name, mode) in [("direct", about.direct), ("buffered", about.buffered)] {
                json.open(name, '{')?;
                match mode {
                    Mode::Refused(errno) => {
                        json.string("errno", errno.name().map(str::as_bytes))?;
                    }
                    Mode::Measured(times) => {
                        match times.is_asynchronous() {
                            Some(is) => json.boolean("asynchronous", is)?,
                            None => json.string("asynchronous", None)?,
                        }
                        json.number("reads", Some(times.reads.into()))?;
                        json.number("submit_ns", Some(times.submitting))?;
                        json.number("total_ns", Some(times.total))?;
                    }
                }
                json.close('}')?;
            }
        }
        json.close('}')?;
    }
    Ok(())
}
