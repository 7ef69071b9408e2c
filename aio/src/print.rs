//! Buffered output to terminals, pipes and files, with `core::fmt`.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};

use linux_aio::Errno;

use crate::os;

/// A buffered writer to a descriptor. [`end`](Out::end) returns the first error.
pub(crate) struct Out {
    fd: i32,
    buffer: [u8; 1024],
    filled: usize,
    failed: Option<Errno>,
}

impl Out {
    pub(crate) fn new(fd: i32) -> Out {
        Out {
            fd,
            buffer: [0; 1024],
            filled: 0,
            failed: None,
        }
    }

    /// Writes what the buffer holds.
    pub(crate) fn flush(&mut self) {
        if self.failed.is_none() {
            self.failed = os::write_all(self.fd, &self.buffer[..self.filled]).err();
        }
        self.filled = 0;
    }

    /// Writes the rest of the buffer, and returns the first error of all writes.
    pub(crate) fn end(mut self) -> Result<(), Errno> {
        self.flush();
        self.failed.map_or(Ok(()), Err)
    }
}

impl Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.filled == self.buffer.len() {
                self.flush();
            }
            self.buffer[self.filled] = byte;
            self.filled += 1;
        }
        Ok(())
    }
}

/// Writes to standard output through `body`, and returns the exit status.
///
/// The status is 1 if not all output could be written, so that a script detects
/// incomplete output.
pub(crate) fn stdout(body: impl FnOnce(&mut Out) -> fmt::Result) -> i32 {
    let mut out = Out::new(os::STDOUT);
    let formatted = body(&mut out);
    match (out.end(), formatted) {
        (Ok(()), Ok(())) => 0,
        (Err(errno), _) => {
            complain(format_args!("standard output: {errno}"));
            1
        }
        (Ok(()), Err(fmt::Error)) => 1,
    }
}

/// Prints one line on standard error, prefixed with the tool's name.
pub(crate) fn complain(message: fmt::Arguments<'_>) {
    let mut out = Out::new(os::STDERR);
    let _ = writeln!(out, "aio: {message}");
    // An error on standard error cannot be reported anywhere else.
    let _ = out.end();
}

/// True if only errors are printed on standard error.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Suppresses the notices.
pub(crate) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Prints one line on standard error that is no error, unless `--quiet` suppresses it.
pub(crate) fn notice(message: fmt::Arguments<'_>) {
    if !QUIET.load(Ordering::Relaxed) {
        complain(message);
    }
}

/// A text that is displayed without padding and truncation.
///
/// `Display` of `str` supports both, which adds a kilobyte of code as soon as it is
/// used once.
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Writes a value at the right end of a column.
pub(crate) fn right(out: &mut Out, width: usize, value: fmt::Arguments<'_>) -> fmt::Result {
    struct Length(usize);
    impl Write for Length {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 += text.len();
            Ok(())
        }
    }
    let mut length = Length(0);
    length.write_fmt(value)?;
    (length.0..width).try_for_each(|_| out.write_char(' '))?;
    out.write_fmt(value)
}

/// A color of a text on a terminal.
#[derive(Clone, Copy)]
pub(crate) enum Color {
    Bold = 1,
    Red = 31,
    Green = 32,
    Yellow = 33,
}

/// True if standard output gets colors.
static COLORS: AtomicBool = AtomicBool::new(false);

/// Switches the colors of standard output on or off.
pub(crate) fn use_colors(on: bool) {
    COLORS.store(on, Ordering::Relaxed);
}

/// A value displayed in a color, if colors are on.
pub(crate) struct Paint<T>(pub(crate) Color, pub(crate) T);

impl<T: fmt::Display> fmt::Display for Paint<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !COLORS.load(Ordering::Relaxed) {
            return self.1.fmt(f);
        }
        write!(f, "\x1b[{}m", self.0 as u32)?;
        self.1.fmt(f)?;
        f.write_str("\x1b[0m")
    }
}

/// A time, displayed in a suitable unit with three digits or more: `81.2 us`.
pub(crate) struct Nanoseconds(pub(crate) u64);

impl fmt::Display for Nanoseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = match self.0 {
            0..1_000_000 => (1_000, "us"),
            1_000_000..1_000_000_000 => (1_000_000, "ms"),
            _ => (1_000_000_000, "s"),
        };
        let tenths = self.0 / (unit / 10);
        write!(f, "{}.{} {}", tenths / 10, tenths % 10, Text(name))
    }
}

/// A number of bytes, displayed in a suitable unit: `1.5 MiB`.
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        // Tenths of the unit, rounded down: a copy is never shown as complete
        // before it is.
        let (mut unit, mut whole, mut below) = (0, self.0 >> 10, self.0 & 1023);
        while whole >= 1024 && unit < UNITS.len() - 1 {
            unit += 1;
            below = whole & 1023;
            whole >>= 10;
        }
        let tenth = below * 10 / 1024;
        write!(f, "{whole}.{tenth} {}", Text(UNITS[unit]))
    }
}
