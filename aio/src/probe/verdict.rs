//! The conclusion from the steps of a probe: whether AIO works, and what is in the way.

use core::fmt;

use linux_aio::Errno;

use super::steps::{Blocked, Findings, Outcome, Step, can_wait, is_alarm, signal_name};
use crate::diagnosis::{Cause, Evidence};
use crate::print::Text;

/// Whether AIO works.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Works,
    /// Operations run, but something that programs use is missing.
    Partly,
    No,
}

/// The conclusion.
pub(super) struct Verdict {
    pub(super) state: State,
    pub(super) cause: Option<Cause>,
    /// The system call that is in the way, and its result.
    pub(super) call: &'static str,
    pub(super) outcome: Outcome,
    /// What is impossible without it; may be empty.
    without: &'static str,
    evidence: Evidence,
}

/// Draws the conclusion. `Err` is the system call without which nothing can be tried.
pub(super) fn judge(found: &Result<Findings, Blocked>) -> Verdict {
    let found = match found {
        Ok(found) => found,
        Err(blocked) => {
            let evidence = Evidence::default();
            let cause = match blocked.outcome {
                Outcome::Fails(Errno::NOMEM | Errno::AGAIN | Errno::MFILE | Errno::NFILE) => {
                    Cause::Memory
                }
                _ => Cause::Sandbox,
            };
            return Verdict {
                state: State::No,
                cause: Some(cause),
                call: blocked.call,
                outcome: blocked.outcome,
                without: "",
                evidence,
            };
        }
    };
    let evidence = Evidence {
        limit: found.limit,
        has_sysctls: found.has_sysctls,
        seccomp: found.seccomp,
        // The kernel answered another AIO system call.
        has_aio: [Step::Destroy, Step::Setup, Step::Submit, Step::Getevents]
            .into_iter()
            .any(|step| found.works(step)),
        requested: 1,
    };
    let verdict = |state, step: Step, without| {
        let outcome = found.of(step);
        Verdict {
            state,
            cause: Some(match outcome {
                Outcome::Fails(errno) if step == Step::Setup => evidence.of_setup(errno),
                Outcome::Fails(errno) => evidence.of_other(errno),
                Outcome::Killed(signal) if is_alarm(signal) => Cause::Unknown,
                Outcome::Killed(_) => Cause::Sandbox,
                _ => Cause::Unknown,
            }),
            call: if step == Step::Data {
                "data"
            } else {
                step.call()
            },
            outcome,
            without,
            evidence,
        }
    };
    if !found.works(Step::Setup) {
        return verdict(State::No, Step::Setup, "");
    }
    if !found.works(Step::Submit) {
        return verdict(State::No, Step::Submit, "");
    }
    let killing = [Step::Pgetevents, Step::Getevents]
        .into_iter()
        .find(|&step| found.kills(step));
    if !can_wait(found) {
        let step = killing.unwrap_or(Step::Getevents);
        return match found.mapped {
            true => verdict(
                State::Partly,
                step,
                "; completions can be read, but not waited for",
            ),
            false => verdict(State::No, step, "; completions cannot be taken"),
        };
    }
    if let Some(step) = killing {
        return verdict(
            State::Partly,
            step,
            "; the other system call for waiting works",
        );
    }
    if !found.works(Step::Destroy) {
        return verdict(
            State::Partly,
            Step::Destroy,
            "; contexts stay until the process ends",
        );
    }
    if found.kills(Step::Madvise) {
        return verdict(
            State::Partly,
            Step::Madvise,
            "; Context::new_unmapped does without it",
        );
    }
    if found.kills(Step::Cancel) {
        return verdict(State::Partly, Step::Cancel, "; polls cannot be dropped");
    }
    if !found.works(Step::Data) {
        return verdict(
            State::Partly,
            Step::Data,
            "; a write and a read in memory failed",
        );
    }
    Verdict {
        state: State::Works,
        cause: None,
        call: "",
        outcome: Outcome::Works,
        without: "",
        evidence,
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(cause) = self.cause else {
            return f.write_str("works");
        };
        f.write_str(match self.state {
            State::No => "does not work: ",
            _ => "works in part: ",
        })?;
        let call = Text(self.call);
        match (cause, self.outcome) {
            (Cause::Sandbox, Outcome::Killed(signal)) => {
                write!(
                    f,
                    "a sandbox ends the process for {call} ({})",
                    Text(signal_name(signal))
                )?;
            }
            (Cause::Sandbox, _) => write!(f, "a sandbox forbids {call}")?,
            (Cause::Unknown, Outcome::Killed(_)) => write!(f, "{call} does not return")?,
            (Cause::Unknown, _) if self.evidence.is_hidden() => f.write_str(cause.text())?,
            (Cause::Unknown, _) => write!(f, "{call} fails")?,
            (_, _) => f.write_str(cause.text())?,
        }
        if cause == Cause::Sandbox && self.evidence.seccomp.is_some_and(|mode| mode != 0) {
            f.write_str(" (a seccomp filter is installed)")?;
        }
        f.write_str(self.without)?;
        match self.outcome {
            Outcome::Fails(errno) => write!(f, ": {errno}"),
            _ => Ok(()),
        }
    }
}

impl Verdict {
    /// Writes what to do next.
    pub(super) fn advise(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        match self.cause {
            None => match self.evidence.limit {
                Some(limit) if limit.is_scarce() => write!(
                    f,
                    "'aio who' shows who holds events: only {} are free, and a larger \
                     request gets EAGAIN",
                    limit.free()
                ),
                _ => f.write_str("'aio bench FILE' measures what AIO gains"),
            },
            Some(Cause::Sandbox) => write!(
                f,
                "allow {} in the sandbox; 'aio probe --syscalls' prints a profile",
                Text(self.call)
            ),
            Some(cause) => cause.advise(self.evidence.limit, f),
        }
    }
}
