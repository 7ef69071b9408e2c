//! A thread beside the first one.

use core::sync::atomic::{AtomicU32, Ordering};

use linux_aio::Errno;
use linux_aio::syscall::{syscall0, syscall1, syscall6};

use super::clone::{Word, guest_clone};
use super::{Result, mmap, munmap};
use crate::nr;

/// What a thread of the same process shares with the others, and that the
/// kernel clears and wakes its word when it ends.
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

/// What the new thread finds at the end of its stack.
#[repr(C, align(16))]
pub(super) struct Start {
    run: unsafe fn(*const ()),
    with: *const (),
}

/// Where a thread goes on, on its own stack.
///
/// # Safety
/// `start` is what [`beside`] wrote.
pub(super) unsafe extern "C" fn begin(start: *const Start) -> ! {
    // SAFETY: the caller's promise: both live until this thread has ended.
    unsafe { ((*start).run)((*start).with) };
    loop {
        // SAFETY: ends this thread alone, whose stack nobody else uses.
        let _ = unsafe { syscall1(nr::__NR_exit as usize, 0) };
    }
}

/// # Safety
/// `with` points at an `F` that lives.
unsafe fn run<F: Fn()>(with: *const ()) {
    // SAFETY: the caller's promise.
    unsafe { (*with.cast::<F>())() }
}

/// Runs `other` in a thread of its own, and `here` meanwhile in this one; both
/// have ended when this returns.
pub(crate) fn beside<F: Fn() + Sync, R>(other: &F, here: impl FnOnce() -> R) -> Result<R> {
    let flags = nr::MAP_PRIVATE | nr::MAP_ANONYMOUS;
    // SAFETY: a new mapping.
    let stack = unsafe { mmap(0, STACK, nr::PROT_READ_WRITE, flags, -1, 0) }?;
    let start = stack + STACK - size_of::<Start>();
    let at = core::ptr::with_exposed_provenance_mut::<Start>(start);
    // SAFETY: within the mapping, aligned, and nobody else's.
    unsafe {
        at.write(Start {
            run: run::<F>,
            with: core::ptr::from_ref(other).cast(),
        });
    }
    // Any number but zero: the kernel writes that.
    let alive = AtomicU32::new(1);
    let word = alive.as_ptr().expose_provenance();
    // SAFETY: flags of a thread; the start lies where the stack ends, and
    // stack, word and `other` live until the thread has ended: see below.
    let cloned = unsafe { guest_clone(FLAGS as Word, start as Word, word as Word) };
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

/// Sleeps as long as the word is 1, or shorter.
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

/// Lets others run.
pub(crate) fn yield_now() {
    // SAFETY: touches no memory.
    let _ = unsafe { syscall0(nr::__NR_sched_yield as usize) };
}
