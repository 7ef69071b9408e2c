//! A line of output, assembled without `core::fmt` and written with one system call.

use linux_aio::Errno;
use linux_aio::rt::{Stdout, write_all};

/// A line of output. Bytes beyond its capacity are cut off.
pub(crate) struct Line {
    bytes: [u8; 240],
    filled: usize,
}

impl Line {
    pub(crate) fn new() -> Line {
        Line {
            bytes: [0; 240],
            filled: 0,
        }
    }

    /// Appends text, or another value that a line can hold.
    pub(crate) fn with(mut self, value: impl Show) -> Line {
        value.show(&mut self);
        self
    }

    /// Appends a number in decimal. It subtracts powers of ten from a table, so that no
    /// division is needed.
    pub(crate) fn decimal(mut self, mut number: u32) -> Line {
        const POWERS: [u32; 10] = [
            1_000_000_000,
            100_000_000,
            10_000_000,
            1_000_000,
            100_000,
            10_000,
            1_000,
            100,
            10,
            1,
        ];
        let mut begun = false;
        for power in POWERS {
            let mut digit = b'0';
            while number >= power {
                number -= power;
                digit += 1;
            }
            begun |= digit != b'0' || power == 1;
            if begun {
                self.push(digit);
            }
        }
        self
    }

    /// Appends a number in hexadecimal, without a prefix.
    pub(crate) fn hex(mut self, number: u64) -> Line {
        self.digits(number);
        self
    }

    /// Returns the bytes so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    /// Writes the line, in one piece, to standard output.
    pub(crate) fn print(mut self) {
        // A line that was cut off still ends with a line feed.
        self.filled = self.filled.min(self.bytes.len() - 1);
        self.push(b'\n');
        if let Some(bytes) = self.bytes.get(..self.filled) {
            // An error cannot be reported anywhere: the verdict will be missing from
            // the output.
            let _ = write_all(Stdout, bytes);
        }
    }

    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.filled) {
            *slot = byte;
            self.filled += 1;
        }
    }

    fn digits(&mut self, number: u64) {
        let mut begun = false;
        let mut shift = 64;
        while shift > 0 {
            shift -= 4;
            let digit = (number >> shift) as u8 & 0xf;
            begun |= digit != 0 || shift == 0;
            if begun {
                self.push(if digit < 10 {
                    b'0' + digit
                } else {
                    b'a' + (digit - 10)
                });
            }
        }
    }
}

/// A value that a line can hold.
pub(crate) trait Show {
    fn show(&self, line: &mut Line);
}

impl Show for &dyn Show {
    fn show(&self, line: &mut Line) {
        (*self).show(line);
    }
}

impl Show for &str {
    fn show(&self, line: &mut Line) {
        self.as_bytes().show(line);
    }
}

/// As text; non-printable bytes become dots.
impl Show for &[u8] {
    fn show(&self, line: &mut Line) {
        for &byte in *self {
            line.push(if byte.is_ascii_graphic() || byte == b' ' {
                byte
            } else {
                b'.'
            });
        }
    }
}

/// Implements hexadecimal output with a prefix.
macro_rules! hexadecimal {
    ($($number:ty)+) => {$(
        impl Show for $number {
            fn show(&self, line: &mut Line) {
                "0x".show(line);
                line.digits(*self as u64);
            }
        }
    )+};
}

hexadecimal!(u8 u16 u32 i32 u64 i64 usize isize);

impl Show for bool {
    fn show(&self, line: &mut Line) {
        if *self { "true" } else { "false" }.show(line);
    }
}

impl Show for () {
    fn show(&self, line: &mut Line) {
        "nothing".show(line);
    }
}

impl Show for Errno {
    fn show(&self, line: &mut Line) {
        match self.name() {
            Some(name) => name.show(line),
            None => {
                "errno ".show(line);
                self.raw_os_error().show(line);
            }
        }
    }
}

impl<T: Show> Show for Result<T, Errno> {
    fn show(&self, line: &mut Line) {
        match self {
            Ok(value) => value.show(line),
            Err(errno) => errno.show(line),
        }
    }
}

impl<T: Show> Show for Option<T> {
    fn show(&self, line: &mut Line) {
        match self {
            Some(value) => value.show(line),
            None => "none".show(line),
        }
    }
}
