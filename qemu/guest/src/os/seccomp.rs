//! A filter of system calls (seccomp) for this process. It cannot be removed.

use linux_aio::Errno;
use linux_aio::syscall::syscall5;

use super::Result;
use crate::nr;

/// One instruction of the classic Berkeley packet filter.
#[derive(Clone, Copy)]
#[repr(C)]
struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    value: u32,
}

#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

const LOAD_WORD: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// The offset of the system call's number.
const NUMBER: u32 = 0;
/// The offset of the low word of the third argument.
const THIRD_ARGUMENT: u32 = 32 + if cfg!(target_endian = "big") { 4 } else { 0 };
const RETURN_ALLOW: u32 = 0x7fff_0000;
const RETURN_ERRNO: u32 = 0x0005_0000;

/// An advice for madvise(2): the memory is zeroed in a forked child (Linux 4.14).
pub(crate) const WIPE_ON_FORK: u32 = 18;

const PR_SET_NO_NEW_PRIVS: usize = 38;
const PR_SET_SECCOMP: usize = 22;
const SECCOMP_MODE_FILTER: usize = 2;

fn prctl(option: usize, a: usize, b: usize) -> Result<usize> {
    // SAFETY: the one address among the arguments is that of a program that lives
    // through the call. The only effect is on the results of later system calls.
    Errno::check(unsafe { syscall5(nr::__NR_prctl as usize, option, a, b, 0, 0) })
}

/// Makes each of the system calls that has a number fail with the error from now on. At
/// most seven calls may be passed.
pub(crate) fn refuse(calls: &[Option<u32>], answer: Errno) -> Result<usize> {
    let instruction = |code, value| Instruction {
        code,
        if_true: 0,
        if_false: 0,
        value,
    };
    let allow = instruction(RETURN, RETURN_ALLOW);
    let refuse = instruction(RETURN, RETURN_ERRNO | answer.raw_os_error() as u32);
    // The program loads the number. For each call it skips the refusal if the number
    // differs.
    let mut program = [allow; 16];
    let mut length = 1;
    if let Some(first) = program.first_mut() {
        *first = instruction(LOAD_WORD, NUMBER);
    }
    for number in calls.iter().flatten() {
        let compare = Instruction {
            if_false: 1,
            ..instruction(JUMP_EQUAL, *number)
        };
        for next in [compare, refuse] {
            *program.get_mut(length).ok_or(Errno::INVAL)? = next;
            length += 1;
        }
    }
    // After the last comparison, the call is allowed.
    install(program.get(..=length).ok_or(Errno::INVAL)?)
}

/// Makes madvise(2) with this advice fail with the error from now on.
pub(crate) fn refuse_advice(advice: u32, answer: Errno) -> Result<usize> {
    let instruction = |code, if_false, value| Instruction {
        code,
        if_true: 0,
        if_false,
        value,
    };
    install(&[
        instruction(LOAD_WORD, 0, NUMBER),
        instruction(JUMP_EQUAL, 3, nr::__NR_madvise),
        instruction(LOAD_WORD, 0, THIRD_ARGUMENT),
        instruction(JUMP_EQUAL, 1, advice),
        instruction(RETURN, 0, RETURN_ERRNO | answer.raw_os_error() as u32),
        instruction(RETURN, 0, RETURN_ALLOW),
    ])
}

fn install(instructions: &[Instruction]) -> Result<usize> {
    let program = Program {
        length: instructions.len() as u16,
        instructions: instructions.as_ptr(),
    };
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0)?;
    let at = (&raw const program).expose_provenance();
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, at)
}
