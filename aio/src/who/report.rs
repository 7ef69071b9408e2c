//! The output of `aio who`.

use core::fmt::{self, Write};

use super::find::{Found, Holder};
use super::lines::Lines;
use super::range::write_range;
use super::rings;
use crate::args;
use crate::json::Json;
use crate::os::{self, At, CWD};
use crate::path::Shown;
use crate::print::{Color, Out, Paint, Text, complain};
use crate::proc::{self, Limit};

/// The user, the command line and the unit of a process.
struct About {
    user: u32,
    name: [u8; 32],
    command: [u8; 200],
    unit: [u8; 64],
}

/// Returns the bytes of a text that is filled up with zeros.
fn trimmed(text: &[u8]) -> &[u8] {
    let end = text
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    &text[..end]
}

/// Copies what fits.
fn keep(target: &mut [u8], text: &[u8]) {
    let length = text.len().min(target.len());
    target[..length].copy_from_slice(&text[..length]);
}

impl About {
    fn find(proc: At, process: u64) -> About {
        let mut about = About {
            user: u32::MAX,
            name: [0; 32],
            command: [0; 200],
            unit: [0; 64],
        };
        let mut digits = crate::path::Path::new(b"").ok();
        if let Some(digits) = &mut digits {
            let _ = digits.push_number(process as u32);
        }
        let id = digits.as_ref().map_or(&b""[..], |digits| digits.as_bytes());
        let mut buffer = [0; 1024];
        let mut read = |name: &[u8], target: &mut dyn FnMut(&[u8])| {
            if let Ok(path) = rings::path(id, name) {
                target(proc::read(proc, path.as_c(), &mut buffer).unwrap_or(b""));
            }
        };
        let mut is_kernel = false;
        read(b"cmdline", &mut |text| {
            let text = trimmed(text);
            is_kernel = text.is_empty();
            keep(&mut about.command, text);
        });
        for byte in &mut about.command[..] {
            // The arguments end in zero bytes.
            if *byte == 0 {
                *byte = b' ';
            }
        }
        if is_kernel {
            read(b"comm", &mut |text| {
                keep(&mut about.command, text.trim_ascii_end())
            });
        }
        read(b"status", &mut |text| {
            let users = proc::field(text, b"Uid").unwrap_or(b"");
            // The real, the effective and two other users.
            let user = users.split(|&byte| byte == b'\t').nth(1);
            about.user = user
                .and_then(args::number)
                .map_or(u32::MAX, |user| user as u32);
        });
        read(b"cgroup", &mut |text| keep(&mut about.unit, unit(text)));
        about.find_name();
        about
    }

    /// Looks the user up in `/etc/passwd`.
    fn find_name(&mut self) {
        let Ok(file) = os::open(CWD, c"/etc/passwd", os::O_RDONLY | os::O_NOCTTY, 0) else {
            return;
        };
        let mut lines = Lines::new(&file);
        while let Ok(Some(line)) = lines.next() {
            let mut fields = line.split(|&byte| byte == b':');
            let name = fields.next().unwrap_or(b"");
            if fields.nth(1).and_then(args::number) == Some(self.user.into()) {
                return keep(&mut self.name, name);
            }
        }
    }

    fn command(&self) -> &[u8] {
        self.command.trim_ascii_end()
    }

    fn write_user(&self, out: &mut Out) -> fmt::Result {
        let name = trimmed(&self.name);
        let length = if name.is_empty() {
            write!(out, "{:<9}", self.user)?;
            9
        } else {
            write!(out, "{}", Shown(name))?;
            name.len()
        };
        (length..10).try_for_each(|_| out.write_char(' '))
    }
}

/// Returns the last part of the control group's path in `/proc/PID/cgroup`, without the
/// end of a long identifier.
fn unit(text: &[u8]) -> &[u8] {
    let lines = || text.split(|&byte| byte == b'\n');
    let path_of = |line: &'_ [u8]| line.iter().position(|&byte| byte == b'/');
    let line = lines()
        .find(|line| line.starts_with(b"0::") && line.len() > 4)
        .or_else(|| lines().find(|line| path_of(line).is_some()))
        .unwrap_or(b"");
    let name = line.rsplit(|&byte| byte == b'/').next().unwrap_or(b"");
    // Containers have identifiers of 64 hexadecimal digits, of which people use twelve.
    let mut digits = 0;
    for (index, byte) in name.iter().enumerate() {
        digits = if byte.is_ascii_hexdigit() {
            digits + 1
        } else {
            0
        };
        if digits == 32 {
            return &name[..index + 1 - 20];
        }
    }
    name
}

fn plural(count: u64, ending: &'static str) -> Text<'static> {
    Text(if count == 1 { "" } else { ending })
}

/// Returns tenths of a percent.
fn share(part: u64, whole: u64) -> u64 {
    let product = u128::from(part) * 1000;
    (product / u128::from(whole.max(1))) as u64
}

pub(super) fn text(found: &mut Found, out: &mut Out) -> fmt::Result {
    let limit = found.limit;
    let (mut contexts, count) = (0, found.holders().len());
    if count > 0 {
        let header =
            "     PID USER      CONTEXTS          EVENTS   SHARE READY UNIT             COMMAND";
        writeln!(out, "{}", Paint(Color::Bold, Text(header)))?;
    }
    for index in 0..count {
        let holder = found.holders()[index];
        contexts += holder.contexts;
        line(found.directory.at(), holder, limit, out)?;
    }
    write!(
        out,
        "{contexts} context{} of {count} process{}",
        plural(contexts, "s"),
        plural(count as u64, "es")
    )?;
    let Some(limit) = limit else {
        return out.write_str("; this kernel shows no AIO limit\n");
    };
    let Limit { used, most } = limit;
    let tenths = share(used, most);
    if count > 0 {
        out.write_str(", for ")?;
        if found.least != found.most {
            write!(out, "{} to ", found.least)?;
        }
        write!(out, "{} events", found.most)?;
    }
    writeln!(out, "; {limit} ({}.{} %)", tenths / 10, tenths % 10)?;
    if used > found.most {
        let hidden = used - found.most;
        writeln!(
            out,
            "{hidden} events or more belong to contexts that are not visible here"
        )?;
    } else if used < found.least {
        let gone = found.least - used;
        writeln!(
            out,
            "{gone} events of these are given back already, or more"
        )?;
    }
    writeln!(
        out,
        "{} events are free; a larger request gets EAGAIN",
        limit.free()
    )?;
    if limit.is_scarce() {
        crate::diagnosis::raise(Some(limit), out)?;
        let line = crate::diagnosis::raised(Some(limit));
        writeln!(
            out,
            ",\nand for later boots by a line 'fs.aio-max-nr = {line}' in a file in \
             /etc/sysctl.d; nothing is preallocated"
        )?;
    }
    Ok(())
}

fn line(proc: At, holder: Holder, limit: Option<Limit>, out: &mut Out) -> fmt::Result {
    let about = About::find(proc, holder.process);
    let (process, contexts) = (holder.process, holder.contexts);
    write!(out, "{process:>8} ")?;
    about.write_user(out)?;
    write!(out, "{contexts:>8}")?;
    write_range(out, holder.least, holder.most)?;
    // No process holds more than all of them together.
    let tenths = limit.map_or(0, |limit| {
        share(holder.most.min(limit.used.max(holder.least)), limit.most)
    });
    write!(out, "{:>4}.{} %", tenths / 10, tenths % 10)?;
    match holder.ready {
        Some(ready) => write!(out, "{ready:>6} ")?,
        None => out.write_str("     - ")?,
    }
    let unit = trimmed(&about.unit);
    let unit = if unit.is_empty() { b"-" } else { unit };
    write!(out, "{}", Shown(unit))?;
    (unit.len()..16).try_for_each(|_| out.write_char(' '))?;
    writeln!(out, " {}", Shown(about.command()))
}

pub(super) fn json(found: &mut Found, out: &mut Out) -> fmt::Result {
    let mut json = Json::new(out);
    let mut total = 0;
    json.open("", '{')?;
    json.open("processes", '[')?;
    for index in 0..found.holders().len() {
        let holder = found.holders()[index];
        let about = About::find(found.directory.at(), holder.process);
        total += holder.contexts;
        json.open("", '{')?;
        json.number("pid", Some(holder.process))?;
        json.number("uid", Some(about.user.into()))?;
        let name = trimmed(&about.name);
        json.string("user", (!name.is_empty()).then_some(name))?;
        json.string("command", Some(about.command()))?;
        json.string("unit", Some(trimmed(&about.unit)))?;
        json.number("bytes", Some(holder.bytes))?;
        json.number("events_min", Some(holder.least))?;
        json.number("events_max", Some(holder.most))?;
        json.open("contexts", '[')?;
        for context in found.contexts_of(holder) {
            let header = context.ring.header;
            json.open("", '{')?;
            json.number("inode", Some(context.ring.inode))?;
            json.number("events_min", Some(context.least))?;
            json.number("events_max", Some(context.most))?;
            json.number("slots", header.map(|header| header.slots.into()))?;
            json.number("ready", header.map(|header| header.ready.into()))?;
            json.number("inherited_by", Some(context.inherited))?;
            json.close('}')?;
        }
        json.close(']')?;
        json.close('}')?;
    }
    json.close(']')?;
    json.number("contexts", Some(total))?;
    json.number("events_min", Some(found.least))?;
    json.number("events_max", Some(found.most))?;
    json.boolean("complete", found.is_complete())?;
    json.number("unreadable", Some(found.unread + found.failures))?;
    json.number("unverified", Some(found.unverified))?;
    json.number("forged", Some(found.forged))?;
    json.number("aio_nr", found.limit.map(|limit| limit.used))?;
    json.number("aio_max_nr", found.limit.map(|limit| limit.most))?;
    json.close('}')
}

/// Reports on standard error what could not be seen.
pub(super) fn complain_about(found: &Found) {
    if let Some(errno) = found.failed {
        let count = found.failures;
        complain(format_args!(
            "who: incomplete: {count} process{} could not be read: {errno}",
            plural(count, "es")
        ));
    }
    if found.forged > 0 {
        let count = found.forged;
        complain(format_args!(
            "who: {count} forged mapping{}, with the name of a ring",
            plural(count, "s")
        ));
    }
    if found.is_complete() {
        return;
    }
    if found.unread > 0 {
        let count = found.unread;
        let hint = if os::user() == 0 {
            ""
        } else {
            "; run it as root"
        };
        complain(format_args!(
            "who: incomplete: {count} process{} may not be read (EACCES), the first is \
             {}{}",
            plural(count, "es"),
            found.first_unread,
            Text(hint)
        ));
    }
    if found.unverified > 0 {
        complain(format_args!(
            "who: incomplete: whether the mappings are rings could not be verified"
        ));
    }
    if found.empty > 0 {
        let count = found.empty;
        complain(format_args!(
            "who: incomplete: {count} context{} of gVisor, which does not show what is in them",
            plural(count, "s")
        ));
    }
    if found.hides {
        complain(format_args!(
            "who: incomplete: /proc hides the processes of others (hidepid)"
        ));
    }
    if found.is_inside {
        complain(format_args!(
            "who: incomplete: contexts outside this PID namespace count, but are not visible"
        ));
    }
    if found.limit.is_none() {
        complain(format_args!("who: incomplete: fs.aio-nr cannot be read"));
    }
}
