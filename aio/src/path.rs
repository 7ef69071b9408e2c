//! File names without a heap: zero-terminated bytes in a fixed buffer.

use core::ffi::CStr;
use core::fmt::{self, Write as _};

use linux_aio::Errno;

/// PATH_MAX: the longest name that the kernel accepts, including its zero byte.
const MOST: usize = 4096;

/// A zero-terminated file name, as system calls expect it.
#[derive(Clone)]
pub(crate) struct Path {
    bytes: [u8; MOST],
    length: usize,
}

impl Path {
    /// Creates a path from the bytes of a name.
    ///
    /// # Errors
    /// ENAMETOOLONG for a name that the kernel would refuse so; ENOENT for a name with
    /// a zero byte inside, which no file can have.
    pub(crate) fn new(name: &[u8]) -> Result<Path, Errno> {
        let mut path = Path {
            bytes: [0; MOST],
            length: 0,
        };
        path.push(name)?;
        Ok(path)
    }

    /// Appends bytes without a separator.
    pub(crate) fn push(&mut self, name: &[u8]) -> Result<(), Errno> {
        if name.contains(&0) {
            return Err(Errno::NOENT);
        }
        let end = self.length + name.len();
        if end >= MOST {
            return Err(Errno::NAMETOOLONG);
        }
        self.bytes[self.length..end].copy_from_slice(name);
        self.length = end;
        Ok(())
    }

    /// Appends a number in decimal digits.
    pub(crate) fn push_number(&mut self, number: u32) -> Result<(), Errno> {
        if number >= 10 {
            self.push_number(number / 10)?;
        }
        self.push(&[b'0' + (number % 10) as u8])
    }

    /// Appends a number in hexadecimal digits.
    pub(crate) fn push_hex(&mut self, number: u64) -> Result<(), Errno> {
        if number >= 16 {
            self.push_hex(number >> 4)?;
        }
        self.push(&[b"0123456789abcdef"[(number & 15) as usize]])
    }

    /// Appends a name inside this directory.
    pub(crate) fn join(&mut self, name: &[u8]) -> Result<(), Errno> {
        if !self.as_bytes().ends_with(b"/") {
            self.push(b"/")?;
        }
        self.push(name)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    pub(crate) fn as_c(&self) -> &CStr {
        // SAFETY: `push` refuses zero bytes in the name and never writes the buffer's
        // last byte, so the first zero byte is the one after the name.
        unsafe { CStr::from_bytes_with_nul_unchecked(&self.bytes[..=self.length]) }
    }

    /// Returns the directory and the name in it, which is empty after a final slash.
    pub(crate) fn split(&self) -> (&[u8], &[u8]) {
        let bytes = self.as_bytes();
        match bytes.iter().rposition(|&byte| byte == b'/') {
            Some(0) => (b"/", &bytes[1..]),
            Some(slash) => (&bytes[..slash], &bytes[slash + 1..]),
            None => (b".", bytes),
        }
    }
}

/// Returns whether a character changes the direction in which others are displayed, so
/// that a text reads as another.
pub(crate) fn is_bidirectional(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}')
}

/// Untrusted bytes, displayed on one line: no control character reaches the terminal,
/// and none that changes the direction of writing.
pub(crate) struct Shown<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                let control = character.is_control() || is_bidirectional(character);
                f.write_char(if control { '?' } else { character })?;
            }
            if !chunk.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}
