//! Checks contexts of a process that forks, executes a program, exits, moves a ring or
//! unmaps it.

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

/// The prefix of the argument with which this program executes itself. The letters that
/// name a context follow.
pub(super) const EXEC_CHILD: &[u8] = b"exec-child:";

/// The exit statuses of a child: all checks passed, or the kind of failure.
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
    // SAFETY: the operation has no buffer.
    unsafe { context.submit(&mut [&mut poll]) }
}

/// Checks that a child has no access to its parent's contexts and to the events in
/// their ring. The ring is not in the memory of the child, which a system call detects
/// without a fault.
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
        // This is first, as a later mapping may be placed at the address of the ring.
        let is_there = probe(name);
        let refused = submit(&context, writer, PollMask::OUT, 6) == Err(Errno::INVAL)
            && context.wait(0, &mut [Event::EMPTY]).map(drop) == Err(Errno::INVAL)
            && known(name) == Err(Errno::INVAL)
            // SAFETY: the context does not belong to this process, so the kernel
            // refuses the call.
            && unsafe { sys::io_destroy(name) } == Err(Errno::INVAL);
        match (refused, is_there) {
            (true, Err(Errno::FAULT)) => RIGHT,
            (true, _) => WRONG,
            _ => NOT_SET_UP,
        }
    });
    check.equal(
        "fork the child can use neither context nor ring",
        status,
        Ok(RIGHT << 8),
    );
    // A second child makes a context, perhaps at the same address.
    let status = os::in_child(|| {
        let right = Context::new(4).is_ok_and(|own| {
            submit(&own, writer, PollMask::OUT, 7) == Ok(1)
                && next(&own).is_ok_and(|event| event.data == 7)
                && own.destroy() == Ok(())
        });
        if right { RIGHT } else { WRONG }
    });
    check.equal("fork the child has its own", status, Ok(RIGHT << 8));
    // In a third child, a new context is at the address of the inherited one when the
    // inherited one is dropped.
    let status = os::in_child(|| {
        let own = Context::new(4).and_then(|own| move_to(own, name));
        let Ok(own) = own else {
            return NOT_SET_UP;
        };
        // SAFETY: the copy is used in the child alone. The parent's value is in another
        // address space and is dropped there.
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

/// Moves the context to this name, at which nothing is mapped unless the context has
/// the name already.
fn move_to(mut context: Context, name: AioContext) -> os::Result<Context> {
    if context.as_raw() == name {
        return Ok(context);
    }
    let length = length(&mut context);
    let old = context.into_raw();
    // SAFETY: no code reads the ring, and nothing is mapped at its new address.
    unsafe { os::mremap(old.0, length, name.0) }?;
    // SAFETY: the move of the ring renamed the context; no other value has the new
    // name.
    Ok(unsafe { Context::from_raw(name) })
}

/// Checks with a system call whether the header of a ring can be read.
fn probe(name: AioContext) -> os::Result<usize> {
    let [reader, writer] = os::pipe(0)?;
    let written = os::write_from(writer, name.0, 8);
    for end in [reader, writer] {
        let _ = os::close(end);
    }
    written
}

/// Checks that the exit of a process ends its operations and releases their files.
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
    // Now only the child's polls keep the reading end open.
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
    check.equal("exit closes the files", got, Ok(error));
    check.equal("exit Context::destroy", context.destroy(), Ok(()));
    let _ = os::close(writer);
}

/// Checks that a program executed from this one, with operations in flight, has none of
/// its contexts.
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
        let argument = argument_of(&mut argument, context.into_raw());
        let _ = os::exec(itself, [c"guest", argument]);
        NO_EXEC
    });
    check.equal(name, status, Ok(RIGHT << 8));
    let _ = os::close(itself);
}

/// Returns the argument that names a context: each four bits are a letter from `a` on.
fn argument_of(bytes: &mut [u8; 32], name: AioContext) -> &CStr {
    let number = name.0 as u64;
    let digits = (0..16).map(|digit| b'a' + (number >> (4 * digit)) as u8 % 16);
    let all = EXEC_CHILD.iter().copied().chain(digits);
    for (byte, letter) in bytes.iter_mut().zip(all) {
        *byte = letter;
    }
    CStr::from_bytes_until_nul(bytes).unwrap_or_default()
}

/// Checks, in the executed program, that the context named by the letters does not
/// exist, and that a new one can be made. Returns the exit status.
pub(crate) fn exec_child(letters: &[u8]) -> i32 {
    let digits = letters.iter().rev();
    let number = digits.fold(0_u64, |number, letter| {
        number << 4 | u64::from(letter.wrapping_sub(b'a') & 15)
    });
    let name = AioContext(number as usize);
    // SAFETY: there is no such context; the kernel refuses any other value with EINVAL.
    let gone = unsafe { sys::io_destroy(name) } == Err(Errno::INVAL)
        && unsafe { sys::io_submit(name, 0, core::ptr::null()) } == Err(Errno::INVAL)
        && letters.len() == 16
        && name != AioContext::NONE;
    let own = Context::new(8).and_then(Context::destroy);
    (if gone && own == Ok(()) { RIGHT } else { WRONG }) as i32
}

/// Returns the length of a ring, which fills its pages with its header and all slots.
fn length(context: &mut Context) -> usize {
    let slots = context.ring().slots().unwrap_or(0);
    (slots as usize + 1) * size_of::<Event>()
}

/// Checks that moving a ring changes the context's name with it.
fn moved(check: &mut Check, writer: i32) {
    /// An alignment that is sufficient for shared memory on every machine.
    const ALIGNED: usize = 1 << 20;
    let Some(mut context) = check.needs("mremap Context::new", Context::new(4)) else {
        return;
    };
    let length = length(&mut context);
    let before = submit(&context, writer, PollMask::OUT, 3);
    check.equal("mremap an event before it", before, Ok(1));
    let old = context.into_raw();
    let flags = nr::MAP_PRIVATE | nr::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address that the kernel chooses.
    let range = unsafe { os::mmap(0, 2 * ALIGNED, nr::PROT_READ, flags, -1, 0) };
    let Some(range) = check.needs("mremap address range", range) else {
        return;
    };
    let to = (range + ALIGNED - 1) & !(ALIGNED - 1);
    // SAFETY: no code reads the ring, and the range at the new address is reserved and
    // unused.
    let went = unsafe { os::mremap(old.0, length, to) };
    check.equal("mremap of a ring", went, Ok(to));
    check.equal("mremap the old name", known(old), Err(Errno::INVAL));
    // SAFETY: the move renamed the context; no other value has the new name.
    let mut context = ManuallyDrop::new(unsafe { Context::from_raw(AioContext(to)) });
    check.equal("mremap the new name", context.check(), Ok(()));
    let after = submit(&context, writer, PollMask::OUT, 4);
    check.equal("mremap submit by the new name", after, Ok(1));
    let mut events = [Event::EMPTY; 3];
    let got = context.ring().reap(&mut events).map(|events| events.len());
    check.equal("mremap both events", got, Ok(2));
    let data = events.map(|event| event.data);
    check.holds("mremap data of both events", data == [3, 4, 0]);
    // SAFETY: no context has the old name. The one with the new name belongs to this
    // function, and its ring is not read afterwards.
    let [by_old, by_new] = [old, AioContext(to)].map(|name| unsafe { sys::io_destroy(name) });
    check.equal("mremap destroy by the old name", by_old, Err(Errno::INVAL));
    check.equal("mremap destroy by the new name", by_new, Ok(()));
    let there = probe(AioContext(to));
    check.equal("mremap destroy unmapped it", there, Err(Errno::FAULT));
    // SAFETY: no code uses the reserved range any more.
    let _ = unsafe { os::munmap(range, 2 * ALIGNED) };
}

/// Checks that a context whose ring the program has unmapped cannot be destroyed until
/// the process ends.
fn unmapped(check: &mut Check, writer: i32) {
    let status = os::in_child(|| {
        let Ok(mut context) = Context::new(4) else {
            return NOT_SET_UP;
        };
        let length = length(&mut context);
        let submitted = submit(&context, writer, PollMask::OUT, 1);
        let name = context.into_raw();
        // SAFETY: no code reads the ring any more.
        let unmapped = unsafe { os::munmap(name.0, length) };
        // SAFETY: no other code uses the context.
        let destroyed = unsafe { sys::io_destroy(name) };
        if (submitted, unmapped, destroyed) == (Ok(1), Ok(0), Err(Errno::INVAL)) {
            RIGHT
        } else {
            WRONG
        }
    });
    check.equal("munmap of a ring", status, Ok(RIGHT << 8));
}
