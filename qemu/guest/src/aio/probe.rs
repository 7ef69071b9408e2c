//! Checks `Probe`: what it reports is compared with the version of the kernel, with a
//! sandbox, and with `fs.aio-max-nr` used up. Without AIO it must return ENOSYS.

use linux_aio::abi::{
    IOCB_CMD_FDSYNC, IOCB_CMD_FSYNC, IOCB_CMD_NOOP, IOCB_CMD_POLL, IOCB_CMD_PREAD, IOCB_CMD_PREADV,
    IOCB_CMD_PWRITE, IOCB_CMD_PWRITEV, RwFlags,
};
use linux_aio::{AioContext, Context, Errno, Fd, IdleContext, Probe, nr};

use super::trace::{IO_SETUP, IO_SUBMIT};
use crate::check::Check;
use crate::os;

/// Each opcode, with the version of the kernel since which it exists.
const OPCODES: [(&str, u16, Version); 8] = [
    ("probe PREAD", IOCB_CMD_PREAD, (2, 6)),
    ("probe PWRITE", IOCB_CMD_PWRITE, (2, 6)),
    ("probe PREADV", IOCB_CMD_PREADV, (2, 6)),
    ("probe PWRITEV", IOCB_CMD_PWRITEV, (2, 6)),
    ("probe FSYNC", IOCB_CMD_FSYNC, (4, 18)),
    ("probe FDSYNC", IOCB_CMD_FDSYNC, (4, 18)),
    ("probe POLL", IOCB_CMD_POLL, (4, 19)),
    ("probe NOOP", IOCB_CMD_NOOP, NEVER),
];

/// Each flag, with the version of the kernel since which it exists.
const FLAGS: [(&str, RwFlags, Version); 8] = [
    ("probe RWF_HIPRI", RwFlags::HIPRI, (4, 13)),
    ("probe RWF_DSYNC", RwFlags::DSYNC, (4, 13)),
    ("probe RWF_SYNC", RwFlags::SYNC, (4, 13)),
    ("probe RWF_NOWAIT", RwFlags::NOWAIT, (4, 16)),
    ("probe RWF_APPEND", RwFlags::APPEND, (4, 16)),
    ("probe RWF_NOAPPEND", RwFlags::NOAPPEND, (6, 9)),
    ("probe RWF_ATOMIC", RwFlags::ATOMIC, (6, 11)),
    ("probe RWF_DONTCACHE", RwFlags::DONTCACHE, (6, 14)),
];

pub(super) type Version = (u32, u32);
const NEVER: Version = (u32::MAX, 0);

pub(crate) fn run(check: &mut Check) {
    let Some(found) = check.needs("probe Probe::new", Probe::new()) else {
        return;
    };
    let Some(version) = check.needs("probe kernel's version", version()) else {
        return;
    };
    for (name, opcode, since) in OPCODES {
        check.equal(name, found.supports(opcode), version >= since);
    }
    for (name, flag, since) in FLAGS {
        let has = found.rw_flags().contains(flag);
        check.equal(name, has, version >= since);
    }
    let priority = found.supports_io_priority();
    check.equal("probe I/O priority", priority, version >= (4, 18));
    check.holds("probe io_cancel", found.supports_cancel());
    check.holds("probe wait", found.supports_wait());
    let mask_since = if nr::IO_PGETEVENTS.is_some() {
        (4, 18)
    } else {
        (5, 1)
    };
    let mask = found.supports_sigmask();
    let android = cfg!(target_os = "android");
    check.equal("probe signal mask", mask, version >= mask_since && !android);
    check.holds("probe mapped ring", found.has_mapped_ring());
    again(check, found);
    sandbox(check, found);
    used_up(check);
}

/// Checks that a context serves two probes, and the flags of a file.
pub(super) fn again(check: &mut Check, found: Probe) {
    let Ok(mut context) = IdleContext::new(1) else {
        return;
    };
    for _ in 0..2 {
        let second = Probe::with_context(&mut context);
        check.holds("probe Probe::with_context", second == Ok(found));
    }
    if let Ok(file) = os::memfd(c"probe") {
        // SAFETY: the descriptor is closed after the probe.
        let fd = unsafe { Fd::borrow_raw(file) };
        let flags = found.file_flags(&mut context, fd);
        // These depend on the kernel alone.
        let sure = RwFlags::HIPRI | RwFlags::DSYNC | RwFlags::SYNC | RwFlags::APPEND;
        let flags = flags.map(|flags| (flags & sure).bits());
        let want = (found.rw_flags() & sure).bits();
        check.equal("probe flags of a file", flags, Ok(want));
        let empty = os::stat(file).map(|found| found.size == 0);
        check.equal("probe leaves the file", empty, Ok(true));
        let _ = os::close(file);
    }
    // SAFETY: no descriptor has this number.
    let fd = unsafe { Fd::borrow_raw(-1) };
    let flags = found.file_flags(&mut context, fd).map(|flags| flags.bits());
    check.equal("probe flags of no file", flags, Err(Errno::BADF));
    let mut context = context.into_context();
    let left = context.ring().pop().map(|event| event.is_some());
    check.equal("probe leaves no event", left, Ok(false));
}

/// Checks that io_cancel and waits are not reported where a filter refuses them.
pub(super) fn sandbox(check: &mut Check, found: Probe) {
    const NO_FILTER: usize = 9;
    let name = "probe in a sandbox";
    let calls = [
        nr::IO_CANCEL,
        nr::IO_GETEVENTS,
        nr::IO_PGETEVENTS,
        nr::IO_PGETEVENTS_TIME64,
    ];
    let status = os::in_child(|| {
        let Ok(mut context) = IdleContext::new(1) else {
            return 1;
        };
        if os::refuse(&calls, Errno::PERM).is_err() {
            return NO_FILTER;
        }
        let inside = match Probe::with_context(&mut context) {
            Ok(inside) => inside,
            Err(Errno::PERM) => return 2,
            Err(_) => return 6,
        };
        let refused = inside.supports_cancel() || inside.supports_wait();
        let same = OPCODES
            .iter()
            .all(|&(_, opcode, _)| inside.supports(opcode) == found.supports(opcode));
        match (refused || inside.supports_sigmask(), same) {
            (true, _) => 3,
            (false, false) => 4,
            (false, true) => 5,
        }
    });
    if status == Ok(NO_FILTER << 8) {
        check.skip(name, "this kernel has no seccomp filter");
    } else {
        check.equal(name, status, Ok(5 << 8));
    }
}

/// Checks the error where the limit is used up. That leaves nothing for other
/// processes, so it runs only as a kernel's first process.
fn used_up(check: &mut Check) {
    let name = "probe where fs.aio-max-nr is used up";
    if !os::is_first_process() {
        check.skip(name, "other processes would have none");
        return;
    }
    let status = os::in_child(|| {
        // The exit destroys the contexts.
        for bit in (0..22).rev() {
            while Context::new(1 << bit).map(Context::into_raw).is_ok() {}
        }
        usize::from(Probe::new() == Err(Errno::AGAIN))
    });
    check.equal(name, status, Ok(1 << 8));
}

/// Checks that there is nothing to probe where AIO is absent.
pub(crate) fn absent(check: &mut Check) {
    IO_SETUP.trace(&[]);
    let got = Probe::new().map(drop);
    check.equal("absent Probe::new", got, Err(Errno::NOSYS));
    // SAFETY: the context does not exist, so nothing is in flight on it, and no other
    // code waits on it or destroys it.
    let mut context = unsafe { IdleContext::from_context(Context::from_raw(AioContext::NONE), 1) };
    IO_SUBMIT.trace(&[]);
    let got = Probe::with_context(&mut context).map(drop);
    check.equal("absent Probe::with_context", got, Err(Errno::NOSYS));
}

/// Returns the two numbers at the beginning of the kernel's release.
pub(super) fn version() -> Result<Version, Errno> {
    let names = os::uname()?;
    let mut numbers = names.release().split(|byte| !byte.is_ascii_digit());
    let mut next = || {
        let digits = numbers.next().unwrap_or_default().iter();
        digits.fold(0, |number: u32, digit| {
            // Multiplies by ten without a multiplication.
            (number << 3) + (number << 1) + u32::from(digit - b'0')
        })
    };
    Ok((next(), next()))
}
