//! Makes the AIO system calls through the raw stubs, with arguments that are all
//! different. The log of QEMU contains the six registers, and so records in which
//! register each stub passes each argument. A kernel with AIO refuses all of these
//! calls: no address here is mapped, and no context has such a name.

use linux_aio::Errno;
use linux_aio::syscall::{syscall0, syscall1, syscall2, syscall3, syscall4, syscall5, syscall6};

use super::trace::{
    Call, IO_CANCEL, IO_DESTROY, IO_GETEVENTS, IO_PGETEVENTS, IO_PGETEVENTS_TIME64, IO_SETUP,
    IO_SUBMIT,
};
use crate::check::Check;

type Answer = Result<usize, Errno>;

/// Arguments that are small, all different, and below every mapping.
const SMALL: [usize; 6] = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66];

/// Arguments of which all bits count: the highest, the lowest, and each half by itself.
/// The second serves as an address. Its low half is an address at which 32-bit
/// processes have no mapping (their last page is that of arm's vectors).
const WIDE: [usize; 6] = [
    0x8123_4567_89ab_cde1_u64 as usize,
    0xffff_ffff_a000_0002_u64 as usize,
    0x7fff_fffe_8000_0003_u64 as usize,
    0x0000_0001_f000_0004_u64 as usize,
    0xfedc_ba98_7654_3215_u64 as usize,
    0x8000_0000_0000_0006_u64 as usize,
];

/// Makes the first AIO system call. Returns `None` where it has no number.
pub(crate) fn probe() -> Option<Answer> {
    six(IO_SETUP, SMALL)
}

pub(crate) fn run(check: &mut Check, absent: bool) {
    let mut answer = |name, got: Option<Answer>, refused: Errno| {
        let Some(got) = got else {
            // Without a number there is no system call to make.
            return;
        };
        let want = if absent { Errno::NOSYS } else { refused };
        if !absent && got == Err(Errno::NOSYS) && !check.differs(name) {
            check.skip(name, "this kernel lacks the call");
        } else {
            check.equal(name, got, Err(want));
        }
    };

    // Makes every AIO system call with six arguments, and every arity with one of them.
    // For the shorter arities, system calls are chosen to which the previous contents
    // of the remaining registers can do no harm.
    answer("raw 6 io_setup", six(IO_SETUP, SMALL), Errno::FAULT);
    answer("raw 6 io_destroy", six(IO_DESTROY, SMALL), Errno::INVAL);
    answer("raw 6 io_submit", six(IO_SUBMIT, SMALL), Errno::INVAL);
    answer("raw 6 io_cancel", six(IO_CANCEL, SMALL), Errno::FAULT);
    answer("raw 6 io_getevents", six(IO_GETEVENTS, SMALL), Errno::FAULT);
    answer(
        "raw 6 io_pgetevents",
        six(IO_PGETEVENTS, SMALL),
        Errno::FAULT,
    );
    answer(
        "raw 6 io_pgetevents_time64",
        six(IO_PGETEVENTS_TIME64, SMALL),
        Errno::FAULT,
    );
    answer("raw 6 wide", six(IO_SETUP, WIDE), Errno::FAULT);
    answer("raw 5", five(IO_GETEVENTS, SMALL), Errno::FAULT);
    answer("raw 5 again", five(IO_SETUP, SMALL), Errno::FAULT);
    answer("raw 5 wide", five(IO_SETUP, WIDE), Errno::FAULT);
    answer("raw 4", four(IO_SETUP, SMALL), Errno::FAULT);
    answer("raw 4 wide", four(IO_SETUP, WIDE), Errno::FAULT);
    answer("raw 3", three(IO_CANCEL, SMALL), Errno::FAULT);
    answer("raw 3 again", three(IO_SUBMIT, SMALL), Errno::INVAL);
    answer("raw 3 wide", three(IO_SUBMIT, WIDE), Errno::INVAL);
    answer("raw 2", two(IO_SETUP, SMALL), Errno::FAULT);
    answer("raw 2 wide", two(IO_SETUP, WIDE), Errno::FAULT);
    answer("raw 1", one(IO_DESTROY, SMALL), Errno::INVAL);
    answer("raw 1 wide", one(IO_DESTROY, WIDE), Errno::INVAL);
    answer("raw 0", none(IO_DESTROY), Errno::INVAL);
}

fn none(call: Call) -> Option<Answer> {
    let number = call.trace(&[])? as usize;
    // SAFETY: the callers pass io_destroy alone, and there is no context that it could
    // destroy.
    Some(Errno::check(unsafe { syscall0(number) }))
}

fn one(call: Call, [a, ..]: [usize; 6]) -> Option<Answer> {
    let number = call.trace(&[a])? as usize;
    // SAFETY: the callers pass io_destroy alone, and no context has the name `a`.
    Some(Errno::check(unsafe { syscall1(number, a) }))
}

fn two(call: Call, [a, b, ..]: [usize; 6]) -> Option<Answer> {
    let number = call.trace(&[a, b])? as usize;
    // SAFETY: the callers pass io_setup with both its arguments, and nothing is mapped
    // at the address.
    Some(Errno::check(unsafe { syscall2(number, a, b) }))
}

fn three(call: Call, [a, b, c, ..]: [usize; 6]) -> Option<Answer> {
    let number = call.trace(&[a, b, c])? as usize;
    // SAFETY: the callers pass no call that needs more arguments, and no address is
    // mapped.
    Some(Errno::check(unsafe { syscall3(number, a, b, c) }))
}

fn four(call: Call, [a, b, c, d, ..]: [usize; 6]) -> Option<Answer> {
    let number = call.trace(&[a, b, c, d])? as usize;
    // SAFETY: the callers pass no call that needs more arguments, and no address is
    // mapped.
    Some(Errno::check(unsafe { syscall4(number, a, b, c, d) }))
}

fn five(call: Call, [a, b, c, d, e, _]: [usize; 6]) -> Option<Answer> {
    let number = call.trace(&[a, b, c, d, e])? as usize;
    // SAFETY: the callers pass no call that needs more arguments, and no address is
    // mapped.
    Some(Errno::check(unsafe { syscall5(number, a, b, c, d, e) }))
}

fn six(call: Call, arguments: [usize; 6]) -> Option<Answer> {
    let number = call.trace(&arguments)? as usize;
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: none of the arguments is a mapped address or the name of a context.
    Some(Errno::check(unsafe { syscall6(number, a, b, c, d, e, f) }))
}
