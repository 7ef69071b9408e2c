//! `aio who`: lists the processes that hold AIO contexts.
//!
//! The kernel maps the ring of each context into its process under the name `/[aio]`,
//! so `/proc/*/maps` lists all rings.

use core::fmt::{self, Write};

use linux_aio::Errno;

use crate::args::{Arguments, Done, Grammar};
use crate::json::Json;
use crate::os::{self, At, CWD, File};
use crate::path::{Path, Shown};
use crate::print::{self, Out, Text, complain};
use crate::proc::{self, Limit};

pub(crate) const GRAMMAR: Grammar = Grammar {
    command: "who",
    flags: &[("json", false)],
    help: "\
List the processes that hold AIO contexts, with their completion rings.

Usage: aio who [--json]

Run it as root to see the processes of every user. A ring that a forked child
inherited is listed for the child too. fs.aio-nr is the number of events that
all contexts together requested; when it reaches fs.aio-max-nr, io_setup
returns EAGAIN.

Flags:
      --json  print one JSON object
  -h, --help  print this help

Exit status: 0; 1 if /proc cannot be read; 2 for a wrong command line.
",
};

pub(crate) fn run(mut arguments: Arguments) -> Result<i32, Done> {
    let json = GRAMMAR.parse_switch(&mut arguments)?;
    let directory = match os::open(CWD, c"/proc", os::O_RDONLY | os::O_DIRECTORY, 0) {
        Ok(directory) => directory,
        Err(errno) => {
            complain(format_args!("who: /proc: {errno}"));
            return Ok(1);
        }
    };
    let mut total = Total::default();
    let status = if json {
        print::stdout(|out| {
            list_json(&directory, &mut total, out)?;
            out.write_char('\n')
        })
    } else {
        print::stdout(|out| list_text(&directory, &mut total, out))
    };
    if let Some(errno) = total.failed {
        complain(format_args!("who: /proc: {errno}"));
        return Ok(1);
    }
    if total.unread > 0 && !json {
        let (unread, few) = (total.unread, total.unread == 1);
        let noun = Text(if few { "process" } else { "processes" });
        complain(format_args!(
            "who: {unread} {noun} could not be read: permission denied (EACCES)"
        ));
    }
    Ok(status)
}

/// One process with at least one ring.
struct Holder<'a> {
    id: u64,
    command: &'a [u8],
    rings: u64,
    bytes: u64,
}

#[derive(Default)]
struct Total {
    processes: u64,
    rings: u64,
    bytes: u64,
    /// The number of processes that could not be read, because they belong to another
    /// user.
    unread: u64,
    failed: Option<Errno>,
}

fn list_text(directory: &File, total: &mut Total, out: &mut Out) -> fmt::Result {
    each_holder(directory, total, &mut |total, holder| {
        if total.processes == 1 {
            out.write_str("       PID  RINGS       SIZE  COMMAND\n")?;
        }
        // Rings occupy whole pages.
        let (id, rings, size) = (holder.id, holder.rings, holder.bytes >> 10);
        writeln!(
            out,
            "{id:>10} {rings:>6} {size:>6} KiB  {}",
            Shown(holder.command)
        )
    })?;
    let plural = |count, ending| Text(if count == 1 { "" } else { ending });
    write!(
        out,
        "{} ring{} of {} process{}",
        total.rings,
        plural(total.rings, "s"),
        total.processes,
        plural(total.processes, "es")
    )?;
    match Limit::now() {
        Some(Limit { used, most }) => {
            writeln!(out, "; fs.aio-nr is {used} of fs.aio-max-nr {most}")?;
            if used > 0 && total.rings == 0 {
                writeln!(
                    out,
                    "the holders are not visible from here (another user or container)"
                )?;
            }
            Ok(())
        }
        None => writeln!(out, "; this kernel shows no AIO limit"),
    }
}

fn list_json(directory: &File, total: &mut Total, out: &mut Out) -> fmt::Result {
    let mut json = Json::new(out);
    json.open("", '{')?;
    json.open("processes", '[')?;
    each_holder(directory, total, &mut |_, holder| {
        json.open("", '{')?;
        json.number("pid", Some(holder.id))?;
        json.string("command", Some(holder.command))?;
        json.number("rings", Some(holder.rings))?;
        json.number("bytes", Some(holder.bytes))?;
        json.close('}')
    })?;
    json.close(']')?;
    json.number("rings", Some(total.rings))?;
    json.number("bytes", Some(total.bytes))?;
    json.number("unreadable", Some(total.unread))?;
    let limit = Limit::now();
    json.number("aio_nr", limit.map(|limit| limit.used))?;
    json.number("aio_max_nr", limit.map(|limit| limit.most))?;
    json.close('}')
}

/// Calls `show` for each process that holds a ring, in the order of `/proc`, which is
/// the order of process ids.
fn each_holder(
    directory: &File,
    total: &mut Total,
    show: &mut dyn FnMut(&Total, &Holder<'_>) -> fmt::Result,
) -> fmt::Result {
    let mut entries = [0_u64; 512];
    loop {
        let filled = match os::read_directory(directory, &mut entries) {
            Ok(0) => return Ok(()),
            Ok(filled) => filled,
            Err(errno) => {
                total.failed = Some(errno);
                return Ok(());
            }
        };
        let mut rest = Entries::new(&entries, filled);
        while let Some(name) = rest.next() {
            let Some(id) = crate::args::number(name) else {
                continue;
            };
            let mut buffer = [0; 64];
            match usage(directory.at(), name, &mut buffer) {
                Ok((0, _, _)) => {}
                Ok((rings, bytes, command)) => {
                    total.processes += 1;
                    total.rings += rings;
                    total.bytes += bytes;
                    show(
                        total,
                        &Holder {
                            id,
                            command,
                            rings,
                            bytes,
                        },
                    )?;
                }
                Err(Errno::ACCES | Errno::PERM) => total.unread += 1,
                // The process has exited meanwhile.
                Err(_) => {}
            }
        }
    }
}

/// Returns the number of rings of one process, their bytes, and the name of its
/// command.
fn usage<'a>(proc: At, id: &[u8], buffer: &'a mut [u8; 64]) -> Result<(u64, u64, &'a [u8]), Errno> {
    let mut path = Path::new(id)?;
    path.join(b"maps")?;
    let maps = os::open(proc, path.as_c(), os::O_RDONLY, 0)?;
    let (mut rings, mut bytes) = (0, 0);
    let mut lines = Lines::new(&maps);
    while let Some(line) = lines.next()? {
        if let Some(size) = ring_size(line) {
            rings += 1;
            bytes += size;
        }
    }
    if rings == 0 {
        return Ok((0, 0, b""));
    }
    let mut path = Path::new(id)?;
    path.join(b"comm")?;
    let command = proc::read(proc, path.as_c(), buffer)?;
    Ok((rings, bytes, command.trim_ascii_end()))
}

/// Returns the size of the mapping if the line describes a ring:
/// `7f0c5a2e4000-7f0c5a2e5000 rw-s 00000000 00:10 4711   /[aio] (deleted)`.
fn ring_size(line: &[u8]) -> Option<u64> {
    let mut fields = line
        .split(|&byte| byte == b' ')
        .filter(|field| !field.is_empty());
    let range = fields.next()?;
    // Permissions and offset precede the device. Internal kernel file systems have the
    // major number 0, so that a user's file named `/[aio]` is not mistaken for a ring.
    let device = fields.nth(2)?;
    let name = fields.nth(1)?;
    if name != b"/[aio]" || !device.starts_with(b"00:") {
        return None;
    }
    let dash = range.iter().position(|&byte| byte == b'-')?;
    hex(&range[dash + 1..])?.checked_sub(hex(&range[..dash])?)
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, &digit| {
        let digit = char::from(digit).to_digit(16)?;
        value.checked_mul(16)?.checked_add(digit.into())
    })
}

/// An iterator over the names in the records of getdents64(2).
///
/// A record consists of inode and offset (8 bytes each), the record's length (2), a
/// type (1), and the name, terminated by a zero byte.
struct Entries<'a> {
    records: &'a [u64],
    filled: usize,
    at: usize,
}

impl<'a> Entries<'a> {
    fn new(records: &'a [u64], filled: usize) -> Entries<'a> {
        Entries {
            records,
            filled,
            at: 0,
        }
    }

    fn next(&mut self) -> Option<&'a [u8]> {
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
struct Lines<'a> {
    file: &'a File,
    buffer: [u8; 4096],
    start: usize,
    end: usize,
    /// True if the beginning of the current line has already been returned.
    cut: bool,
}

impl<'a> Lines<'a> {
    fn new(file: &'a File) -> Lines<'a> {
        Lines {
            file,
            buffer: [0; 4096],
            start: 0,
            end: 0,
            cut: false,
        }
    }

    fn next(&mut self) -> Result<Option<&[u8]>, Errno> {
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
