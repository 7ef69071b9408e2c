//! A writer for JSON documents, without a buffer for the document.
//!
//! serde is not used: without a heap its serialisers need the whole document in one
//! buffer, and the list that `aio who` prints has no bound. Only objects, arrays,
//! strings, booleans and whole numbers are needed.

use core::fmt::{self, Write};

use crate::path::is_bidirectional;

/// A writer of values and of the commas between them.
pub(crate) struct Json<'a, W: Write> {
    out: &'a mut W,
    first: bool,
}

impl<'a, W: Write> Json<'a, W> {
    pub(crate) fn new(out: &'a mut W) -> Json<'a, W> {
        Json { out, first: true }
    }

    fn comma(&mut self) -> fmt::Result {
        if !core::mem::replace(&mut self.first, false) {
            self.out.write_char(',')?;
        }
        Ok(())
    }

    /// Writes the name of the next value.
    fn key(&mut self, key: &str) -> fmt::Result {
        self.comma()?;
        self.escaped(key.as_bytes())?;
        self.out.write_char(':')
    }

    /// Writes `{`, or `"key":{`. In an array the key is empty.
    pub(crate) fn open(&mut self, key: &str, bracket: char) -> fmt::Result {
        if key.is_empty() {
            self.comma()?;
        } else {
            self.key(key)?;
        }
        self.first = true;
        self.out.write_char(bracket)
    }

    pub(crate) fn close(&mut self, bracket: char) -> fmt::Result {
        self.first = false;
        self.out.write_char(bracket)
    }

    /// Writes a whole number, or null.
    pub(crate) fn number(&mut self, key: &str, value: Option<u64>) -> fmt::Result {
        self.key(key)?;
        match value {
            Some(value) => write!(self.out, "{value}"),
            None => self.out.write_str("null"),
        }
    }

    /// Writes a string, or null. Invalid UTF-8 becomes U+FFFD.
    pub(crate) fn string(&mut self, key: &str, value: Option<&[u8]>) -> fmt::Result {
        self.key(key)?;
        match value {
            Some(value) => self.escaped(value),
            None => self.out.write_str("null"),
        }
    }

    /// Writes a string in an array.
    pub(crate) fn element(&mut self, value: &[u8]) -> fmt::Result {
        self.comma()?;
        self.escaped(value)
    }

    pub(crate) fn boolean(&mut self, key: &str, value: bool) -> fmt::Result {
        self.key(key)?;
        self.out.write_str(if value { "true" } else { "false" })
    }

    fn escaped(&mut self, text: &[u8]) -> fmt::Result {
        self.out.write_char('"')?;
        for chunk in text.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '"' => self.out.write_str("\\\"")?,
                    '\\' => self.out.write_str("\\\\")?,
                    _ if character.is_control() || is_bidirectional(character) => {
                        write!(self.out, "\\u{:04x}", character as u32)?;
                    }
                    _ => self.out.write_char(character)?,
                }
            }
            if !chunk.invalid().is_empty() {
                self.out.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        self.out.write_char('"')
    }
}
