//! The progress line, which is shown on a terminal, or if requested.

use core::fmt::{self, Write};

use super::options::Shows;
use crate::os;
use crate::print::{Bytes, Text};

/// The minimal time between two updates on a terminal and elsewhere, in milliseconds.
const PERIOD: u64 = 100;
const PERIOD_OF_LINES: u64 = 1000;

/// How the rest of the copy goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Copying,
    Syncing,
    Done,
}

pub(super) struct Progress {
    shown: bool,
    /// True if one line is drawn over and over, false if each is a new one.
    terminal: bool,
    phase: Phase,
    size: u64,
    done: u64,
    started: u64,
    /// The time of the last update, the bytes that were done then, and the rate of the
    /// last seconds in bytes a second.
    drawn: u64,
    done_then: u64,
    rate: u64,
}

impl Progress {
    pub(super) fn new(size: u64, shows: Shows) -> Progress {
        let started = os::milliseconds();
        let terminal = os::is_terminal(os::STDERR);
        Progress {
            shown: match shows {
                Shows::Always => true,
                Shows::OnTerminal => terminal,
                Shows::Never => false,
            },
            terminal,
            phase: Phase::Copying,
            size,
            done: 0,
            started,
            drawn: started,
            done_then: 0,
            rate: 0,
        }
    }

    /// Records that `done` bytes are written, and updates the line if the period has
    /// passed.
    pub(super) fn at(&mut self, done: u64) {
        self.done = done;
        if !self.shown {
            return;
        }
        let now = os::milliseconds();
        let period = if self.terminal {
            PERIOD
        } else {
            PERIOD_OF_LINES
        };
        let passed = now - self.drawn;
        if passed >= period {
            let rate = per_second(done.saturating_sub(self.done_then), passed);
            // Smoothed over about a second.
            let weight = (1000 / period).max(1);
            self.rate = match self.rate {
                0 => rate,
                old => old - old / weight + rate / weight,
            };
            (self.drawn, self.done_then) = (now, done);
            self.draw(now);
        }
    }

    /// Shows that all is written, and that the fsync has begun.
    pub(super) fn sync(&mut self) {
        let now = os::milliseconds();
        // A copy that takes no longer than an update shows nothing before its end.
        if self.shown && now - self.started >= PERIOD {
            self.phase = Phase::Syncing;
            self.drawn = now;
            self.draw(now);
        }
    }

    /// Draws the final state, which stays on the terminal.
    pub(super) fn end(mut self) {
        if self.shown {
            (self.phase, self.size) = (Phase::Done, self.done);
            self.draw(os::milliseconds());
            if self.terminal {
                let _ = os::write_all(os::STDERR, b"\n");
            }
            self.shown = false;
        }
    }

    fn draw(&self, now: u64) {
        // A reader that has stopped must not stop the copy, nor its signals.
        if !os::is_writable(os::STDERR) {
            return;
        }
        let mut line = Line {
            bytes: [0; LONGEST],
            length: 0,
        };
        let _ = self.write(now, &mut line);
        // The last column stays empty: a character there could begin a new line.
        let columns = os::columns(os::STDERR) - 1;
        let text = &line.bytes[..line.length];
        let mut all = [0; LONGEST + 8];
        let (begin, end): (&[u8], &[u8]) = match self.terminal {
            true => (b"\r\x1b[K", b""),
            false => (b"", b"\n"),
        };
        let text = match self.terminal {
            true => &text[..text.len().min(columns)],
            false => text,
        };
        let mut length = 0;
        for part in [begin, text, end] {
            all[length..length + part.len()].copy_from_slice(part);
            length += part.len();
        }
        // A closed terminal must not stop the copy.
        let _ = os::write_all(os::STDERR, &all[..length]);
    }

    /// Writes the text, the most important parts first: a narrow terminal has no place
    /// for the others.
    fn write(&self, now: u64, line: &mut Line) -> fmt::Result {
        let (done, size) = (self.done, self.size);
        write!(line, "{}", Bytes(done))?;
        if size > 0 {
            let per_cent = (u128::from(done) * 100 / u128::from(size)).min(100) as u64;
            write!(line, " of {}, {per_cent} %", Bytes(size))?;
        }
        let elapsed = now - self.started;
        match self.phase {
            Phase::Syncing => return line.write_str(", syncing"),
            Phase::Done => return write!(line, ", {}/s", Bytes(per_second(done, elapsed))),
            Phase::Copying => write!(line, ", {}/s", Bytes(self.rate))?,
        }
        if self.rate > 0 && size > done {
            let seconds = (size - done).div_ceil(self.rate);
            let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
            line.write_str(", ")?;
            if hours > 0 {
                write!(line, "{hours} h ")?;
            }
            if hours > 0 || minutes > 0 {
                write!(line, "{minutes} min ")?;
            }
            if hours == 0 {
                write!(line, "{} s ", seconds % 60)?;
            }
            write!(line, "{}", Text("left"))?;
        }
        Ok(())
    }
}

fn per_second(bytes: u64, milliseconds: u64) -> u64 {
    (u128::from(bytes) * 1000 / u128::from(milliseconds.max(1))) as u64
}

impl Drop for Progress {
    /// Clears the line after a failure, before the error message.
    fn drop(&mut self) {
        if self.shown && self.terminal && self.drawn != self.started {
            let _ = os::write_all(os::STDERR, b"\r\x1b[K");
        }
    }
}

/// More than the longest line.
const LONGEST: usize = 96;

/// A line before it is written: the terminal gets it as a whole.
struct Line {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let text = text.as_bytes();
        let length = text.len().min(LONGEST - self.length);
        self.bytes[self.length..][..length].copy_from_slice(&text[..length]);
        self.length += length;
        Ok(())
    }
}
