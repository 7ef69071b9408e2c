//! The progress line, which is shown only on a terminal.

use core::fmt::{self, Write};

use crate::os;
use crate::print::{Bytes, Out};

/// The minimal time between two updates, in milliseconds.
const PERIOD: u64 = 100;

pub(super) struct Progress {
    shown: bool,
    size: u64,
    done: u64,
    started: u64,
    drawn: u64,
}

impl Progress {
    pub(super) fn new(size: u64) -> Progress {
        let started = os::milliseconds();
        Progress {
            shown: os::is_terminal(os::STDERR),
            size,
            done: 0,
            started,
            drawn: started,
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
        if now - self.drawn >= PERIOD {
            self.drawn = now;
            let _ = self.draw(now);
        }
    }

    /// Draws the final state, which stays on the terminal.
    pub(super) fn end(mut self) {
        if self.shown {
            self.size = self.done;
            let now = os::milliseconds();
            let _ = self.draw(now);
            let _ = os::write_all(os::STDERR, b"\n");
            self.shown = false;
        }
    }

    fn draw(&self, now: u64) -> fmt::Result {
        let mut out = Out::new(os::STDERR);
        let (done, size) = (self.done, self.size);
        write!(out, "\r\x1b[K{}", Bytes(done))?;
        if size > 0 {
            // The percentage is computed from a hundredth of the size, which cannot
            // overflow, and from the size itself if it is small.
            let percent = match size / 100 {
                0 => done * 100 / size,
                hundredth => done / hundredth,
            };
            let percent = percent.min(100);
            write!(out, " of {}, {percent} %", Bytes(size))?;
        }
        let elapsed = (now - self.started).max(1);
        // Exact up to the overflow at 16 PiB.
        let rate = match done.checked_mul(1000) {
            Some(product) => product / elapsed,
            None => (done / elapsed).saturating_mul(1000),
        };
        write!(out, ", {}/s", Bytes(rate))?;
        // A closed terminal must not stop the copy.
        let _ = out.end();
        Ok(())
    }
}

impl Drop for Progress {
    /// Clears the line after a failure, before the error message.
    fn drop(&mut self) {
        if self.shown && self.drawn != self.started {
            let _ = os::write_all(os::STDERR, b"\r\x1b[K");
        }
    }
}
