//! A second thread: [`beside`] runs a function in it and waits for its end.
//!
//! The thread runs on a mapped stack, with a [`Start`] at its end. A word in memory is
//! 1 while the thread lives; the kernel clears and wakes it (CLONE_CHILD_CLEARTID),
//! after which the stack is unmapped.

use core::sync::atomic::{AtomicU32, Ordering};

use linux_aio::Errno;
use linux_aio::abi::Long;
use linux_aio::syscall::{syscall0, syscall1, syscall6};

use super::clone::guest_clone;
use super::{Result, mmap, munmap};
use crate::nr;

/// The resources that a thread of the same process shares with the others.
/// CLONE_CHILD_CLEARTID makes the kernel clear and wake the thread's word when it ends.
const FLAGS: u32 = CLONE_VM
    | CLONE_FS
    | CLONE_FILES
    | CLONE_SIGHAND
    | CLONE_THREAD
    | CLONE_SYSVSEM
    | CLONE_CHILD_CLEARTID;
const CLONE_VM: u32 = 0x100;
const CLONE_FS: u32 = 0x200;
const CLONE_FILES: u32 = 0x400;
const CLONE_SIGHAND: u32 = 0x800;
const CLONE_THREAD: u32 = 0x1_0000;
const CLONE_SYSVSEM: u32 = 0x4_0000;
const CLONE_CHILD_CLEARTID: u32 = 0x20_0000;

const STACK: usize = 0x2_0000;

/// The record at the end of the new thread's stack.
#[repr(C, align(16))]
pub(super) struct Start {
    run: unsafe fn(*const ()),
    with: *const (),
}

/// Runs the new thread, on its own stack.
///
/// # Safety
/// `start` is the record that [`beside`] wrote.
pub(super) unsafe extern "C" fn begin(start: *const Start) -> ! {
    // SAFETY: the caller promises that `beside` wrote the record. `beside` keeps the
    // record and the function alive until this thread has ended.
    unsafe { ((*start).run)((*start).with) };
    loop {
        // SAFETY: ends this thread alone, whose stack is used by no other thread.
        let _ = unsafe { syscall1(nr::__NR_exit as usize, 0) };
    }
}

/// Calls the function behind an untyped pointer.
///
/// # Safety
/// `with` points at an `F` that lives.
unsafe fn run<F: Fn()>(with: *const ()) {
    // SAFETY: the caller promises that `with` points at a live `F`.
    unsafe { (*with.cast::<F>())() }
}

/// Runs `other` in a second thread, and `here` meanwhile in this one. Returns after
/// both have ended.
pub(crate) fn beside<F: Fn() + Sync, R>(other: &F, here: impl FnOnce() -> R) -> Result<R> {
    let flags = nr::MAP_PRIVATE | nr::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address that the kernel chooses.
    let stack = unsafe { mmap(0, STACK, nr::PROT_READ_WRITE, flags, -1, 0) }?;
    let start = stack + STACK - size_of::<Start>();
    let at = core::ptr::with_exposed_provenance_mut::<Start>(start);
    // SAFETY: within the mapping, aligned, and used by no other code.
    unsafe {
        at.write(Start {
            run: run::<F>,
            with: core::ptr::from_ref(other).cast(),
        });
    }
    // Any number but zero, which the kernel writes at the thread's end.
    let alive = AtomicU32::new(1);
    let word = alive.as_ptr().expose_provenance();
    // SAFETY: the flags create a thread. The start record lies where the stack ends.
    // Stack, word and `other` live until the thread has ended: the loop below waits
    // until the kernel has cleared the word.
    let cloned = unsafe { guest_clone(FLAGS as Long, start as Long, word as Long) };
    let answer = Errno::check(cloned as isize).map(|_| {
        let answer = here();
        while alive.load(Ordering::Acquire) != 0 {
            if wait_word(&alive).is_err() {
                yield_now();
            }
        }
        answer
    });
    // SAFETY: the thread has ended, or never began.
    let _ = unsafe { munmap(stack, STACK) };
    answer
}

/// Sleeps while the word is 1. The sleep may end earlier.
fn wait_word(word: &AtomicU32) -> Result<usize> {
    // SAFETY: the word lives through the call, and is only read.
    Errno::check(unsafe {
        syscall6(
            nr::FUTEX as usize,
            word.as_ptr().expose_provenance(),
            nr::FUTEX_WAIT as usize,
            1,
            0,
            0,
            0,
        )
    })
}

/// Yields the processor.
pub(crate) fn yield_now() {
    // SAFETY: sched_yield touches no memory.
    let _ = unsafe { syscall0(nr::__NR_sched_yield as usize) };
}
