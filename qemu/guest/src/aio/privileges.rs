//! Checks what the kernel refuses to a process without a privilege or without address
//! space: EPERM and ENOMEM.

use linux_aio::opcode::{IoPriority, Pread};
use linux_aio::{AioContext, Context, Errno, sys};

use super::{next, probe};
use crate::check::Check;
use crate::{nr, os};

/// The exit statuses of a child.
const ACCEPTED: usize = 50;
const REFUSED: usize = 51;
const LACKING: usize = 52;
const OTHER: usize = 53;

pub(crate) fn run(check: &mut Check) {
    priorities(check);
    address_space(check);
}

/// Checks which capability an operation of the real-time class needs.
fn priorities(check: &mut Check) {
    const ADMIN: u32 = 1 << nr::CAP_SYS_ADMIN;
    const NICE: u32 = 1 << nr::CAP_SYS_NICE;
    // `IOPRIO_CLASS_RT` needs CAP_SYS_NICE alone since this version.
    const NICE_SINCE: (u32, u32) = (5, 14);

    let status = real_time(0);
    check.equal(
        "privilege real-time class without capabilities",
        status,
        Ok(REFUSED << 8),
    );
    // The capabilities of a user namespace do not count.
    let has_both = os::is_first_process() || real_time(ADMIN | NICE) == Ok(ACCEPTED << 8);
    let old = probe::version().is_ok_and(|version| version < NICE_SINCE);
    for (name, set) in [
        ("privilege real-time class with CAP_SYS_ADMIN", ADMIN),
        ("privilege real-time class with CAP_SYS_NICE", NICE),
    ] {
        if !has_both {
            check.skip(name, "this process has no such capability");
            continue;
        }
        let status = real_time(set);
        if old && set == NICE && status == Ok(REFUSED << 8) {
            check.skip(name, "this kernel requires CAP_SYS_ADMIN");
        } else {
            check.equal(name, status, Ok(ACCEPTED << 8));
        }
    }
}

/// Submits a read of the real-time class in a child that has only these capabilities.
fn real_time(capabilities: u32) -> os::Result<usize> {
    os::in_child(|| {
        let things = Context::new(1).and_then(|context| {
            let file = os::memfd(c"priority")?;
            os::limit_capabilities(capabilities)?;
            Ok((context, file))
        });
        let (Ok((context, file)), Some(priority)) = (things, IoPriority::real_time(4)) else {
            return LACKING;
        };
        let mut byte = [0];
        let read = Pread::new(file, byte.as_mut_ptr(), 1).ioprio(priority);
        // SAFETY: the byte lives and is not used before the event.
        match unsafe { context.submit(&mut [&mut read.build()]) } {
            // The file is empty.
            Ok(1) if next(&context).map(|event| event.res) == Ok(0) => ACCEPTED,
            Err(Errno::PERM) => REFUSED,
            _ => OTHER,
        }
    })
}

/// Checks a process whose address space has no place for a ring.
fn address_space(check: &mut Check) {
    let status = os::in_child(|| {
        let mut name = AioContext::NONE;
        let limited = os::limit_address_space(1);
        // SAFETY: `name` may be written.
        let made = unsafe { sys::io_setup(1, &raw mut name) };
        // The stack can grow again.
        let freed = os::limit_address_space(u64::MAX);
        if limited.and(freed).is_err() {
            return LACKING;
        }
        match made {
            Err(Errno::NOMEM) if name == AioContext::NONE => REFUSED,
            Ok(()) => ACCEPTED,
            Err(_) => OTHER,
        }
    });
    check.equal("privilege no address space", status, Ok(REFUSED << 8));
}
