//! The reporter. It prints one line per check, each with one write(2):
//!
//! ```text
//! ok NAME
//! FAILED NAME: what
//! skipped NAME: why
//! N passed, N failed
//! ```
//!
//! The last line also has `, N skipped` if there are any. The exit status is 0 if
//! nothing failed and something passed.

use crate::line::{Line, Show};

pub(crate) struct Check {
    passed: u32,
    failed: u32,
    skipped: u32,
    differences: Differences,
    met: u32,
}

/// The checks in which a kernel differs from Linux: the name, and the value that it gives,
/// as [`Show`] prints it.
pub(crate) type Differences = &'static [(&'static str, &'static str)];

impl Check {
    pub(crate) fn new() -> Check {
        Check {
            passed: 0,
            failed: 0,
            skipped: 0,
            differences: &[],
            met: 0,
        }
    }

    /// Sets the differences of the kernel, each of which must occur. From now on
    /// [`equal`](Check::equal) requires their values instead of those of Linux.
    pub(crate) fn expect(&mut self, differences: Differences) {
        self.differences = differences;
    }

    /// Returns whether the kernel differs from Linux in this check.
    pub(crate) fn differs(&self, name: &str) -> bool {
        self.differences.iter().any(|(other, _)| *other == name)
    }

    /// Checks that each difference has occurred.
    pub(crate) fn all_differ(&mut self, name: &str) {
        let met = self.met;
        self.equal(name, met, self.differences.len() as u32);
    }

    /// Checks that two values are equal.
    pub(crate) fn equal<T: PartialEq + Show>(&mut self, name: &str, got: T, want: T) {
        let equal = got == want;
        self.compared(name, equal, &got, &want);
    }

    /// Reports a comparison. One function serves all types, as there are many.
    fn compared(&mut self, name: &str, equal: bool, got: &dyn Show, want: &dyn Show) {
        let mut differences = self.differences.iter();
        if let Some((_, other)) = differences.find(|(other, _)| *other == name) {
            self.met += 1;
            if Line::new().with(got).bytes() == other.as_bytes() {
                self.pass(name);
            } else {
                let line = failure(name).with("got ").with(got);
                self.fail(line.with(", want ").with(*other));
            }
        } else if equal {
            self.pass(name);
        } else {
            let line = failure(name).with("got ").with(got);
            self.fail(line.with(", want ").with(want));
        }
    }

    /// Checks a condition that has no value to print.
    pub(crate) fn holds(&mut self, name: &str, holds: bool) {
        if holds {
            self.pass(name);
        } else {
            self.fail(failure(name).with("does not hold"));
        }
    }

    /// Reports a check that could not run.
    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        self.skipped += 1;
        let line = Line::new().with("skipped ").with(name);
        line.with(": ").with(why).print();
    }

    /// Returns the value that the next checks need. Without it this check has failed,
    /// and the next ones do not run.
    pub(crate) fn needs<T, E: Show>(&mut self, name: &str, value: Result<T, E>) -> Option<T> {
        match value {
            Ok(value) => {
                self.pass(name);
                Some(value)
            }
            Err(error) => {
                self.fail(failure(name).with("got ").with(error));
                None
            }
        }
    }

    /// Prints the last line and returns the exit status.
    pub(crate) fn verdict(&self) -> i32 {
        let line = Line::new().decimal(self.passed).with(" passed, ");
        let mut line = line.decimal(self.failed).with(" failed");
        if self.skipped > 0 {
            line = line.with(", ").decimal(self.skipped).with(" skipped");
        }
        line.print();
        i32::from(self.failed != 0 || self.passed == 0)
    }

    fn pass(&mut self, name: &str) {
        self.passed += 1;
        Line::new().with("ok ").with(name).print();
    }

    fn fail(&mut self, line: Line) {
        self.failed += 1;
        line.print();
    }
}

fn failure(name: &str) -> Line {
    Line::new().with("FAILED ").with(name).with(": ")
}
