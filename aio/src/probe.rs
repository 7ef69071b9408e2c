//! `aio probe`: reports whether AIO works on this system and, if not, why.

use core::fmt::{self, Write};
use core::time::Duration;

use linux_aio::opcode::{Fdsync, Fsync, Poll, PollMask, Pread, Preadv, Pwrite, Pwritev};
use linux_aio::{Context, Errno, Event, Iocb, WaitOptions, abi, nr};

use crate::args::{Arguments, Done, Grammar};
use crate::diagnosis::Diagnosis;
use crate::json::Json;
use crate::os;
use crate::path::Shown;
use crate::print::{self, Out, Text};
use crate::proc::{self, Limit};

pub(crate) const GRAMMAR: Grammar = Grammar {
    command: "probe",
    flags: &[("json", false)],
    help: "\
Report whether Linux native AIO works here and, if not, why: a kernel without
it, a sandbox, an emulator, or a used up limit. Nothing on disk is touched.

Usage: aio probe [--json]

Flags:
      --json  print one JSON object
  -h, --help  print this help

Exit status: 0 if AIO works; 1 if it does not; 2 for a wrong command line.
",
};

/// The number of events to request for the context: a common queue depth.
const REQUESTED: u32 = 128;

/// The result of one operation; `None` if it could not be tried.
type Answer = Option<Result<(), Errno>>;

/// The abilities of a context on this system.
struct Abilities {
    /// The actual size of the ring, if it can be read.
    slots: Option<u32>,
    /// True if completions are read without a system call.
    mapped: bool,
    opcodes: [(&'static str, Answer); 7],
}

pub(crate) fn run(mut arguments: Arguments) -> Result<i32, Done> {
    let json = GRAMMAR.parse_switch(&mut arguments)?;
    // The limit is read before the probe holds a context itself.
    let limit = Limit::now();
    let found = match Context::new(REQUESTED) {
        Ok(context) => Ok(try_out(context)),
        Err(errno) => Err(Diagnosis::find(errno, REQUESTED)),
    };
    let status = print::stdout(|out| {
        if json {
            report_json(&found, limit, out)?;
            out.write_char('\n')
        } else {
            report(&found, limit, out)
        }
    });
    Ok(if found.is_err() { 1 } else { status })
}

/// Tries every opcode on descriptors that no other process uses.
fn try_out(mut context: Context) -> Abilities {
    let ring = context.ring();
    let (slots, mapped) = (ring.slots(), ring.is_mapped());

    let file = os::memory_file(c"aio-probe");
    let pipe = os::pipe();
    // The buffer is leaked until the process exits: if an operation never completes,
    // the kernel may still write to it.
    let buffer = os::Memory::new(4096).map(os::Memory::leak);
    let vector = buffer.map(|buffer| abi::IoVec {
        base: buffer.cast(),
        len: 8,
    });

    let mut attempt = |iocb: Result<Iocb, Errno>| -> Answer {
        let mut iocb = iocb.ok()?;
        Some(one(&mut context, &mut iocb))
    };
    let fd = file.as_ref().map(os::File::raw).map_err(|&errno| errno);
    let with = |build: &dyn Fn(i32, *mut u8, *const abi::IoVec) -> Iocb| -> Result<Iocb, Errno> {
        Ok(build(
            fd?,
            buffer?,
            vector.as_ref().map_err(|&errno| errno)?,
        ))
    };
    let poll = pipe.as_ref().map_err(|&errno| errno).map(|(out, into)| {
        // One byte to read, so that the poll completes at once.
        let _ = os::write_all(into.raw(), b"x");
        Poll::new(out.raw(), PollMask::IN).build()
    });
    let opcodes = [
        (
            "PWRITE",
            attempt(with(&|fd, data, _| Pwrite::new(fd, data, 8).build())),
        ),
        (
            "PREAD",
            attempt(with(&|fd, data, _| Pread::new(fd, data, 8).build())),
        ),
        (
            "PWRITEV",
            attempt(with(&|fd, _, vector| Pwritev::new(fd, vector, 1).build())),
        ),
        (
            "PREADV",
            attempt(with(&|fd, _, vector| Preadv::new(fd, vector, 1).build())),
        ),
        ("FSYNC", attempt(with(&|fd, _, _| Fsync::new(fd).build()))),
        ("FDSYNC", attempt(with(&|fd, _, _| Fdsync::new(fd).build()))),
        ("POLL", attempt(poll)),
    ];
    Abilities {
        slots,
        mapped,
        opcodes,
    }
}

/// Submits one operation and waits for its completion, for 2 seconds at most.
fn one(context: &mut Context, iocb: &mut Iocb) -> Result<(), Errno> {
    // SAFETY: `try_out` leaks the buffer, so it is never freed while the process lives.
    // The vector lives through the call, in which the kernel copies it.
    let taken = unsafe { context.submit(&mut [iocb]) }?;
    if taken == 0 {
        return Err(Errno::AGAIN);
    }
    let mut events = [Event::EMPTY];
    let wait = WaitOptions::new().timeout(Duration::from_secs(2));
    match context.ring().wait_with(1, &mut events, wait)? {
        [event, ..] => event.result().map(drop),
        [] => Err(Errno::TIMEDOUT),
    }
}

type Found = Result<Abilities, Diagnosis>;

fn report(found: &Found, limit: Option<Limit>, out: &mut Out) -> fmt::Result {
    let names = os::names();
    if let Ok(names) = &names {
        let (release, machine) = (text(&names.release), text(&names.machine));
        writeln!(out, "kernel    {}, {}", Shown(release), Shown(machine))?;
    }
    match found {
        Ok(_) => writeln!(out, "AIO       works")?,
        Err(why) => writeln!(out, "AIO       does not work: {why}")?,
    }
    match limit {
        Some(Limit { used, most }) => {
            writeln!(out, "limit     fs.aio-nr is {used} of fs.aio-max-nr {most}")?;
        }
        None => writeln!(out, "limit     not shown by this kernel")?,
    }
    if let Ok(able) = found {
        match able.slots {
            Some(slots) => writeln!(out, "ring      {slots} slots for a request of {REQUESTED}")?,
            None => writeln!(out, "ring      cannot be read")?,
        }
        let reaping = if able.mapped {
            "in user space, without a system call"
        } else {
            "by system call: the ring cannot be read in user space"
        };
        writeln!(out, "reaping   {}", Text(reaping))?;
        out.write_str("opcodes  ")?;
        for (name, answer) in &able.opcodes {
            if let Some(Ok(())) = answer {
                write!(out, " {}", Text(name))?;
            }
        }
        out.write_char('\n')?;
        for (name, answer) in &able.opcodes {
            match answer {
                Some(Ok(())) => {}
                Some(Err(errno)) => writeln!(out, "          {} refused: {errno}", Text(name))?,
                None => {
                    writeln!(
                        out,
                        "          {} not tried: no descriptor to try it on",
                        Text(name)
                    )?;
                }
            }
        }
    }
    writeln!(out, "numbers   of {}:", Text(nr::TARGET.abi))?;
    for (name, number) in numbers() {
        write!(out, "          {}", Text(name))?;
        for _ in name.len()..=WIDEST {
            out.write_char(' ')?;
        }
        match number {
            Some(number) => writeln!(out, "{number}")?,
            None => out.write_str("-\n")?,
        }
    }
    Ok(())
}

fn report_json(found: &Found, limit: Option<Limit>, out: &mut Out) -> fmt::Result {
    let mut json = Json::new(out);
    json.open("", '{')?;
    json.string("version", Some(env!("CARGO_PKG_VERSION").as_bytes()))?;
    let names = os::names();
    let name = |pick: fn(&os::Names) -> &[core::ffi::c_char]| names.as_ref().ok().map(pick);
    json.string("release", name(|names| &names.release).map(text))?;
    json.string("machine", name(|names| &names.machine).map(text))?;
    json.boolean("works", found.is_ok())?;
    let why = found.as_ref().err();
    json.string("cause", why.map(|why| why.cause.word().as_bytes()))?;
    json.string(
        "errno",
        why.and_then(|why| why.errno.name()).map(str::as_bytes),
    )?;
    json.number("seccomp", proc::seccomp())?;
    json.number("aio_nr", limit.map(|limit| limit.used))?;
    json.number("aio_max_nr", limit.map(|limit| limit.most))?;
    if let Ok(able) = found {
        json.open("ring", '{')?;
        json.number("requested", Some(REQUESTED.into()))?;
        json.number("slots", able.slots.map(u64::from))?;
        json.boolean("user_space_reaping", able.mapped)?;
        json.close('}')?;
        json.open("opcodes", '{')?;
        for (name, answer) in &able.opcodes {
            let word = match answer {
                Some(Ok(())) => Some("accepted"),
                Some(Err(errno)) => Some(errno.name().unwrap_or("refused")),
                None => None,
            };
            json.string(name, word.map(str::as_bytes))?;
        }
        json.close('}')?;
    }
    json.string("abi", Some(nr::TARGET.abi.as_bytes()))?;
    json.open("numbers", '{')?;
    for (name, number) in numbers() {
        json.number(name, number.map(u64::from))?;
    }
    json.close('}')?;
    json.close('}')
}

/// The length of the longest of these names.
const WIDEST: usize = "io_pgetevents_time64".len();

fn numbers() -> [(&'static str, Option<u32>); 7] {
    [
        ("io_setup", nr::IO_SETUP),
        ("io_destroy", nr::IO_DESTROY),
        ("io_submit", nr::IO_SUBMIT),
        ("io_cancel", nr::IO_CANCEL),
        ("io_getevents", nr::IO_GETEVENTS),
        ("io_pgetevents", nr::IO_PGETEVENTS),
        ("io_pgetevents_time64", nr::IO_PGETEVENTS_TIME64),
    ]
}

/// Returns a name from uname(2), up to its zero byte.
fn text(characters: &[core::ffi::c_char]) -> &[u8] {
    // SAFETY: `c_char` has the size and alignment of `u8`, whether signed or not, and
    // the slice has this many of them.
    let bytes =
        unsafe { core::slice::from_raw_parts(characters.as_ptr().cast::<u8>(), characters.len()) };
    bytes.split(|&byte| byte == 0).next().unwrap_or(bytes)
}
