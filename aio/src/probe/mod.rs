//! `aio probe`: reports whether AIO works on this system and, if not, why.

mod json;
mod reads;
mod report;
mod steps;
mod verdict;

use core::fmt::Write;

use crate::args::{Arguments, Done, Grammar};
use crate::print;
use steps::{Blocked, Findings};
use verdict::State;

pub(crate) const GRAMMAR: Grammar = Grammar {
    command: "probe",
    flags: &[
        ("json", false),
        ("quiet", false),
        ("syscalls", false),
        ("color", true),
    ],
    help: include_str!("../../help/probe.txt"),
};

/// The system calls of each layer, and profiles that allow them, from
/// `docs/sandboxes.md`. The last part is the profile as JSON.
const SYSCALLS: &str = include_str!(concat!(env!("OUT_DIR"), "/syscalls.txt"));

const PROFILE: &str = include_str!(concat!(env!("OUT_DIR"), "/profile.json"));

/// The findings, or the system call without which nothing can be tried.
type Found = Result<Findings, Blocked>;

pub(crate) fn run(mut arguments: Arguments) -> Result<i32, Done> {
    let (mut json, mut quiet, mut syscalls, mut path) = (false, false, false, None);
    GRAMMAR.parse(
        &mut arguments,
        &mut |flag, _| {
            match flag {
                "json" => json = true,
                "quiet" => quiet = true,
                _ => syscalls = true,
            }
            Ok(())
        },
        &mut |argument| match path.replace(argument) {
            None => Ok(()),
            Some(_) => Err(GRAMMAR.unexpected(argument)),
        },
    )?;
    if syscalls {
        let text = if json { PROFILE } else { SYSCALLS };
        return Ok(print::stdout(|out| out.write_str(text)));
    }
    let found = steps::try_all(path);
    let verdict = verdict::judge(&found);
    let status = if quiet {
        0
    } else {
        print::stdout(|out| {
            if json {
                json::report(&found, &verdict, path, out)?;
                out.write_char('\n')
            } else {
                report::report(&found, &verdict, path, out)
            }
        })
    };
    let read = path.is_none() || found.is_ok_and(|found| found.about.is_some());
    let works = verdict.state == State::Works && read;
    Ok(if works { status } else { 1 })
}
