//! Checks the errors of io_submit, and the fields that it writes to an iocb.

use core::ptr::null_mut;

use linux_aio::abi::{IOCB_CMD_NOOP, IoVec, Iocb, IocbFlags};
use linux_aio::opcode::{Fsync, Poll, PollMask, Pread, Preadv};
use linux_aio::{AioContext, Context, Errno, sys};

use super::next;
use crate::check::Check;
use crate::os::{self, LAST, NOWHERE};

#[inline(never)]
pub(crate) fn run(check: &mut Check, context: &Context, file: i32) {
    let mut byte = [0_u8];
    let read = Pread::new(file, byte.as_mut_ptr(), 1).build();
    let sync = Fsync::new(file).build();
    let mut refused = |name, iocb: Iocb, errno| {
        // SAFETY: the buffer is a byte that lives until the operation was refused or has
        // completed.
        let got = unsafe { context.submit(&mut [&mut { iocb }]) };
        if got.is_ok() {
            let _ = next(context);
        }
        check.equal(name, got, Err(errno));
    };

    let opcode = |opcode| Iocb { opcode, ..read };
    refused("aio opcode NOOP", opcode(IOCB_CMD_NOOP), Errno::INVAL);
    refused("aio opcode 4", opcode(4), Errno::INVAL);
    refused("aio opcode 0xffff", opcode(0xffff), Errno::INVAL);
    let reserved2 = 1 << 40;
    refused(
        "aio reserved field",
        Iocb { reserved2, ..read },
        Errno::INVAL,
    );
    let offset = -1;
    refused("aio negative offset", Iocb { offset, ..read }, Errno::INVAL);
    let write = linux_aio::opcode::Pwrite::new(file, byte.as_ptr(), 1).build();
    refused(
        "aio negative offset of a write",
        Iocb { offset, ..write },
        Errno::INVAL,
    );
    refused("aio no such file", Fsync::new(-1).build(), Errno::BADF);
    refused(
        "aio fsync with an offset",
        Iocb { offset: 1, ..sync },
        Errno::INVAL,
    );
    refused(
        "aio fsync with a length",
        Iocb { nbytes: 1, ..sync },
        Errno::INVAL,
    );
    let poll = Poll::new(file, PollMask::IN).build();
    let buf = 1 << 16;
    refused(
        "aio poll mask of 17 bits",
        Iocb { buf, ..poll },
        Errno::INVAL,
    );
    refused(
        "aio poll with a length",
        Iocb { nbytes: 1, ..poll },
        Errno::INVAL,
    );
    let reqprio = 4 << 13;
    let flags = IocbFlags::IOPRIO;
    refused(
        "aio priority class 4",
        Iocb {
            reqprio,
            flags,
            ..read
        },
        Errno::INVAL,
    );
    let resfd = Pread::new(file, byte.as_mut_ptr(), 1).eventfd(file).build();
    refused("aio resfd of no eventfd", resfd, Errno::INVAL);

    let nowhere = core::ptr::without_provenance::<IoVec>(NOWHERE);
    let vector = Preadv::new(file, nowhere, 1).build();
    refused("aio vector nowhere", vector, Errno::FAULT);
    let vector = Preadv::new(file, nowhere, 1025).build();
    refused("aio vector of 1025", vector, Errno::INVAL);

    if let Ok([reader, writer]) = os::pipe(0) {
        let read = Pread::new(writer, byte.as_mut_ptr(), 1).build();
        refused("aio read of a writing end", read, Errno::BADF);
        for end in [reader, writer] {
            let _ = os::close(end);
        }
    }
    arrays(check, context, sync);
}

/// Checks the array and the iocbs themselves.
fn arrays(check: &mut Check, context: &Context, sync: Iocb) {
    let name = context.as_raw();
    let mut iocb = Iocb { key: 0x55, ..sync };
    let mut array = [&raw mut iocb];
    // SAFETY: the operation has no buffer, or is refused.
    let submit = |name, count, array| unsafe { sys::io_submit(name, count, array) };
    let got = submit(name, -1, array.as_mut_ptr());
    check.equal("aio submit of a negative count", got, Err(Errno::INVAL));
    let got = submit(AioContext(NOWHERE), 1, array.as_mut_ptr());
    check.equal("aio submit to no context", got, Err(Errno::INVAL));
    let nowhere = core::ptr::without_provenance_mut(NOWHERE);
    check.equal(
        "aio array nowhere",
        submit(name, 1, nowhere),
        Err(Errno::FAULT),
    );
    let mut wild = [core::ptr::without_provenance_mut(NOWHERE)];
    let got = submit(name, 1, wild.as_mut_ptr());
    check.equal("aio iocb nowhere", got, Err(Errno::FAULT));
    let mut none = [null_mut()];
    let got = submit(name, 1, none.as_mut_ptr());
    check.equal("aio iocb null", got, Err(Errno::FAULT));
    for (what, first) in [
        ("aio iocb null before another", 0),
        ("aio iocb in the last bytes before another", LAST),
    ] {
        let mut two = [core::ptr::without_provenance_mut(first), &raw mut iocb];
        let got = submit(name, 2, two.as_mut_ptr());
        check.equal(what, got, Err(Errno::FAULT));
    }
    check.equal(
        "aio array null",
        submit(name, 1, null_mut()),
        Err(Errno::FAULT),
    );
    let last = core::ptr::without_provenance_mut(usize::MAX);
    check.equal(
        "aio array at the last byte",
        submit(name, 1, last),
        Err(Errno::FAULT),
    );

    check.equal(
        "aio submit by sys",
        submit(name, 1, array.as_mut_ptr()),
        Ok(1),
    );
    // SAFETY: the kernel wrote the key during the system call, and writes it no more.
    let key = unsafe { (&raw const iocb.key).read_volatile() };
    check.equal("aio the kernel's key", key, 0);
    let event = next(context).map(|event| event.res);
    check.equal("aio event of sys", event, Ok(0));
}
