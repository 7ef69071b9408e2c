//! What becomes of contexts when a process forks, execs, exits, moves their
//! ring or unmaps it.

use core::ffi::CStr;
use core::mem::ManuallyDrop;
use core::time::Duration;

use linux_aio::opcode::{Poll, PollMask};
use linux_aio::rt::Process;
use linux_aio::{AioContext, Context, Errno, Event, WaitOptions, sys};

use super::contexts::known;
use super::next;
use crate::check::Check;
use crate::nr;
use crate::os;

/// Before the letters that name a context, in the argument of a child that is
/// this program anew.
pub(super) const EXEC_CHILD: &[u8] = b"exec-child:";

/// How a child ends that found everything right, and what else it found.
const RIGHT: usize = 17;
const WRONG: usize = 18;
const NOT_SET_UP: usize = 19;
const NO_EXEC: usize = 20;

pub(crate) fn run(check: &mut Check, process: Process) {
    let Some([reader, writer]) = check.needs("process pipe", os::pipe(0)) else {
        return;
    };
    forked(check, writer);
    exits(check);
    execs(check, process, reader);
    moved(check, writer);
    unmapped(check, writer);
    for end in [reader, writer] {
        let _ = os::close(end);
    }
}

fn submit(context: &Context, fd: i32, mask: PollMask, data: u64) -> Result<usize, Errno> {
    let mut poll = Poll::new(fd, mask).build().user_data(data);
    // SAFETY: no buffer.
    unsafe { context.submit(&mut [&mut poll]) }
}

/// A child has no part in its parent's contexts, and can not take what is in
/// their ring: that is not in its memory, which a call tells without a fault.
fn forked(check: &mut Check, writer: i32) {
    let Some(mut context) = check.needs("fork Context::new", Context::new(4)) else {
        return;
    };
    let name = context.as_raw();
    check.equal(
        "fork an event before it",
        submit(&context, writer, PollMask::OUT, 5),
        Ok(1),
    );
    check.equal("fork the ring can be read", probe(name), Ok(8));
    let status = os::in_child(|| {
        // First: what is mapped later may get the ring's place.
        let is_there = probe(name);
        let refused = submit(&context, writer, PollMask::OUT, 6) == Err(Errno::INVAL)
            && context.wait(0, &mut [Event::EMPTY]).map(drop) == Err(Errno::INVAL)
            && known(name) == Err(Errno::INVAL)
            // SAFETY: not this process's.
            && unsafe { sys::io_destroy(name) } == Err(Errno::INVAL);
        match (refused, is_there) {
            (true, Err(Errno::FAULT)) => RIGHT,
            (true, _) => WRONG,
            _ => NOT_SET_UP,
        }
    });
    check.equal("fork the child has neither", status, Ok(RIGHT << 8));
    // A second, which makes a context of its own, perhaps at the same address.
    let status = os::in_child(|| {
        let right = Context::new(4).is_ok_and(|own| {
            submit(&own, writer, PollMask::OUT, 7) == Ok(1)
                && next(&own).is_ok_and(|event| event.data == 7)
                && own.destroy() == Ok(())
        });
        if right { RIGHT } else { WRONG }
    });
    check.equal("fork the child has its own", status, Ok(RIGHT << 8));
    // A third, whose own is at the inherited address when the inherited one is
    // dropped.
    let status = os::in_child(|| {
        let own = Context::new(4).and_then(|own| move_to(own, name));
        let Ok(own) = own else {
            return NOT_SET_UP;
        };
        // SAFETY: the child's copy, which ends with the child; its parent's is
        // another.
        let mut inherited = unsafe { core::ptr::read(&raw const context) };
        let refused = submit(&inherited, writer, PollMask::OUT, 8) == Err(Errno::INVAL)
            && inherited.ring().pop() == Err(Errno::INVAL);
        drop(inherited);
        let survives = submit(&own, writer, PollMask::OUT, 9) == Ok(1)
            && next(&own).is_ok_and(|event| event.data == 9)
            && own.destroy() == Ok(());
        if refused && survives { RIGHT } else { WRONG }
    });
    let what = "fork the child's own outlives the inherited one";
    check.equal(what, status, Ok(RIGHT << 8));
    let event = context
        .ring()
        .pop()
        .map(|event| event.map_or(0, |event| event.data));
    check.equal("fork the parent's event", event, Ok(5));
    let rest = context.ring().pop().map(|event| event.is_some());
    check.equal("fork the parent's only event", rest, Ok(false));
    check.equal("fork Context::destroy", context.destroy(), Ok(()));
}

/// The same context by this name, where nothing is mapped. It may have it.
fn move_to(mut context: Context, name: AioContext) -> os::Result<Context> {
    if context.as_raw() == name {
        return Ok(context);
    }
    let length = length(&mut context);
    let old = context.into_raw();
    // SAFETY: nobody reads the ring, and nothing is mapped at its new place.
    unsafe { os::mremap(old.0, length, name.0) }?;
    // SAFETY: the ring took the context along; nobody else has the name.
    Ok(unsafe { Context::from_raw(name) })
}

/// Whether the header of a ring can be read, as a call sees it.
fn probe(name: AioContext) -> os::Result<usize> {
    let [reader, writer] = os::pipe(0)?;
    let written = os::write_from(writer, name.0, 8);
    for end in [reader, writer] {
        let _ = os::close(end);
    }
    written
}

/// The end of a process ends its operations, and lets go of their files.
fn exits(check: &mut Check) {
    let Some([reader, writer]) = check.needs("exit pipe", os::pipe(0)) else {
        return;
    };
    let Some(context) = check.needs("exit Context::new", Context::new(4)) else {
        return;
    };
    let child = os::spawn(|| {
        let Ok(context) = Context::new(8) else {
            return NOT_SET_UP;
        };
        for data in 0..8 {
            if submit(&context, reader, PollMask::IN, data) != Ok(1) {
                return WRONG;
            }
        }
        let _ = context.into_raw();
        RIGHT
    });
    // The reading end now lives by the child's polls alone.
    let _ = os::close(reader);
    let Some(child) = check.needs("exit fork", child) else {
        return;
    };
    check.equal("exit with polls in flight", os::wait(child), Ok(RIGHT << 8));
    let polled = submit(&context, writer, PollMask::empty(), 1);
    check.equal("exit poll for an error", polled, Ok(1));
    let mut events = [Event::EMPTY];
    let long = WaitOptions::new().timeout(Duration::from_millis(3000));
    let got = context.wait_with(1, &mut events, long);
    let got = got.map(|events| events.iter().map(|event| event.res).sum());
    let error = i64::from(PollMask::ERR.bits());
    check.equal("exit let go of the files", got, Ok(error));
    check.equal("exit Context::destroy", context.destroy(), Ok(()));
    let _ = os::close(writer);
}

/// A program started from this one, with contexts in flight, has none.
fn execs(check: &mut Check, process: Process, reader: i32) {
    let name = "exec with polls in flight";
    let itself = os::open(nr::AT_FDCWD, c"/proc/self/exe", 0, 0).or_else(|error| {
        let path = process.args().next().ok_or(error)?;
        os::open(nr::AT_FDCWD, path, 0, 0)
    });
    let Ok(itself) = itself else {
        check.skip(name, "neither /proc/self/exe nor the first argument opens");
        return;
    };
    let status = os::in_child(|| {
        let Ok(context) = Context::new(8) else {
            return NOT_SET_UP;
        };
        for data in 0..8 {
            if submit(&context, reader, PollMask::IN, data) != Ok(1) {
                return WRONG;
            }
        }
        let mut argument = [0; 32];
        let argument = told(&mut argument, context.into_raw());
        let _ = os::exec(itself, [c"guest", argument]);
        NO_EXEC
    });
    check.equal(name, status, Ok(RIGHT << 8));
    let _ = os::close(itself);
}

/// The argument that names a context: each four bits a letter from `a` on.
fn told(bytes: &mut [u8; 32], name: AioContext) -> &CStr {
    let number = name.0 as u64;
    let digits = (0..16).map(|digit| b'a' + (number >> (4 * digit)) as u8 % 16);
    let all = EXEC_CHILD.iter().copied().chain(digits);
    for (byte, letter) in bytes.iter_mut().zip(all) {
        *byte = letter;
    }
    CStr::from_bytes_until_nul(bytes).unwrap_or_default()
}

/// What the started program does with the letters: the context is unknown, and
/// it can have its own. Its exit status.
pub(crate) fn exec_child(letters: &[u8]) -> i32 {
    let digits = letters.iter().rev();
    let number = digits.fold(0_u64, |number, letter| {
        number << 4 | u64::from(letter.wrapping_sub(b'a') & 15)
    });
    let name = AioContext(number as usize);
    // SAFETY: there is no such context; garbage is EINVAL.
    let gone = unsafe { sys::io_destroy(name) } == Err(Errno::INVAL)
        && unsafe { sys::io_submit(name, 0, core::ptr::null()) } == Err(Errno::INVAL)
        && letters.len() == 16
        && name != AioContext::NONE;
    let own = Context::new(8).and_then(Context::destroy);
    (if gone && own == Ok(()) { RIGHT } else { WRONG }) as i32
}

/// The header and all slots of a ring, which fill its pages.
fn length(context: &mut Context) -> usize {
    let slots = context.ring().slots().unwrap_or(0);
    (slots as usize + 1) * size_of::<Event>()
}

/// A ring that is moved takes the context's name with it.
fn moved(check: &mut Check, writer: i32) {
    /// Enough for every machine's rule where shared memory may lie.
    const ALIGNED: usize = 1 << 20;
    let Some(mut context) = check.needs("mremap Context::new", Context::new(4)) else {
        return;
    };
    let length = length(&mut context);
    let before = submit(&context, writer, PollMask::OUT, 3);
    check.equal("mremap an event before it", before, Ok(1));
    let old = context.into_raw();
    let flags = nr::MAP_PRIVATE | nr::MAP_ANONYMOUS;
    // SAFETY: a new mapping.
    let room = unsafe { os::mmap(0, 2 * ALIGNED, nr::PROT_READ, flags, -1, 0) };
    let Some(room) = check.needs("mremap room", room) else {
        return;
    };
    let to = (room + ALIGNED - 1) & !(ALIGNED - 1);
    // SAFETY: the context has no owner that reads there; the room is free.
    let went = unsafe { os::mremap(old.0, length, to) };
    check.equal("mremap of a ring", went, Ok(to));
    check.equal("mremap the old name", known(old), Err(Errno::INVAL));
    // SAFETY: the same context; nobody else has the new name.
    let mut context = ManuallyDrop::new(unsafe { Context::from_raw(AioContext(to)) });
    check.equal("mremap the new name", context.check(), Ok(()));
    let after = submit(&context, writer, PollMask::OUT, 4);
    check.equal("mremap submit by the new name", after, Ok(1));
    let mut events = [Event::EMPTY; 3];
    let got = context.ring().reap(&mut events).map(|events| events.len());
    check.equal("mremap both events", got, Ok(2));
    let data = events.map(|event| event.data);
    check.holds("mremap which they are", data == [3, 4, 0]);
    // SAFETY: by its old name nothing is there; by the new one it is ours.
    let [by_old, by_new] = [old, AioContext(to)].map(|name| unsafe { sys::io_destroy(name) });
    check.equal("mremap destroy by the old name", by_old, Err(Errno::INVAL));
    check.equal("mremap destroy by the new name", by_new, Ok(()));
    let there = probe(AioContext(to));
    check.equal("mremap destroy unmapped it", there, Err(Errno::FAULT));
    // SAFETY: nobody uses the room.
    let _ = unsafe { os::munmap(room, 2 * ALIGNED) };
}

/// A context whose ring the program unmaps is lost to it until its end.
fn unmapped(check: &mut Check, writer: i32) {
    let status = os::in_child(|| {
        let Ok(mut context) = Context::new(4) else {
            return NOT_SET_UP;
        };
        let length = length(&mut context);
        let submitted = submit(&context, writer, PollMask::OUT, 1);
        let name = context.into_raw();
        // SAFETY: nobody reads the ring any more.
        let unmapped = unsafe { os::munmap(name.0, length) };
        // SAFETY: nobody else has the name.
        let destroyed = unsafe { sys::io_destroy(name) };
        if (submitted, unmapped, destroyed) == (Ok(1), Ok(0), Err(Errno::INVAL)) {
            RIGHT
        } else {
            WRONG
        }
    });
    check.equal("munmap of a ring", status, Ok(RIGHT << 8));
}
