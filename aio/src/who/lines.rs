//! Readers of the text files and directories of `/proc`.

use linux_aio::Errno;

use crate::os::{self, File};

/// An iterator over the names in the records of getdents64(2).
///
/// A record consists of inode and offset (8 bytes each), the record's length (2), a
/// type (1), and the name, terminated by a zero byte.
pub(super) struct Entries<'a> {
    records: &'a [u64],
    filled: usize,
    at: usize,
}

impl<'a> Entries<'a> {
    pub(super) fn new(records: &'a [u64], filled: usize) -> Entries<'a> {
        Entries {
            records,
            filled,
            at: 0,
        }
    }

    pub(super) fn next(&mut self) -> Option<&'a [u8]> {
        // SAFETY: the slice's memory, of which no more than its size is used; every
        // byte of a `u64` is a valid `u8`.
        let bytes = unsafe {
            core::slice::from_raw_parts(
                self.records.as_ptr().cast::<u8>(),
                size_of_val(self.records).min(self.filled),
            )
        };
        let record = bytes.get(self.at..)?;
        let length = u16::from_ne_bytes([*record.get(16)?, *record.get(17)?]);
        let name = record.get(19..usize::from(length))?;
        self.at += usize::from(length);
        name.split(|&byte| byte == 0).next()
    }
}

/// A reader of the lines of a file.
///
/// A line that is longer than the buffer is truncated: names come last in a line, and
/// the name of a ring is short.
pub(super) struct Lines<'a> {
    file: &'a File,
    buffer: [u8; 4096],
    start: usize,
    end: usize,
    /// True if the beginning of the current line has already been returned.
    cut: bool,
}

impl<'a> Lines<'a> {
    pub(super) fn new(file: &'a File) -> Lines<'a> {
        Lines {
            file,
            buffer: [0; 4096],
            start: 0,
            end: 0,
            cut: false,
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, Errno> {
        loop {
            let held = &self.buffer[self.start..self.end];
            if let Some(length) = held.iter().position(|&byte| byte == b'\n') {
                let line = self.start..self.start + length;
                self.start += length + 1;
                if !core::mem::take(&mut self.cut) {
                    return Ok(Some(&self.buffer[line]));
                }
                continue;
            }
            if self.start == 0 && self.end == self.buffer.len() {
                self.end = 0;
                if !core::mem::replace(&mut self.cut, true) {
                    return Ok(Some(&self.buffer));
                }
                continue;
            }
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            match os::read(self.file, &mut self.buffer[self.end..])? {
                0 => return Ok(None),
                more => self.end += more,
            }
        }
    }
}
