//! [`AddressSpace`]: identifies the address space that a context belongs to.
//!
//! The kernel keeps AIO contexts with the address space (`mm_struct`). fork(2) copies
//! the address space without its contexts. In the child an inherited context's name and
//! ring address are stale, and a context that the child makes may have the same ones.
//! Every use of a context therefore first checks whether the address space is still the
//! one in which the context was made.
//!
//! The check reads a *mark*: a word in a private page that is advised `MADV_WIPEONFORK`
//! and set to 1. fork gives the child a zeroed page in its place. Threads, and children
//! that share the address space (vfork(2), `CLONE_VM`), share the page, and the
//! contexts, too.
//!
//! Invariants:
//! - A mark is 1 from before it is published until the address space ends. In every
//!   copy of the address space it is 0 for ever, because nothing writes it again. A
//!   child that makes contexts maps a page of its own.
//! - The page is never unmapped.
//!
//! Where the page is unavailable (Linux before 4.14, a sandbox that forbids mmap(2) or
//! madvise(2), some emulators), the process id is compared instead of the mark. It
//! costs a system call for each check and is less exact: see
//! [`AddressSpace::is_this_process`].

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::arch::{ABI, stubs};
use crate::pages::{MADV_WIPEONFORK, madvise, map};
use crate::sys::errno::Errno;

/// The address space in which a context was made.
#[derive(Clone, Copy)]
pub(crate) struct AddressSpace {
    /// The mark, or [`UNMARKED`]. It is 1 in the address space where it was set, and 0
    /// in copies of it. It is read as plain memory, since it is written before it is
    /// published and never again; an atomic read takes one more instruction.
    mark: *const u32,
    /// With [`UNMARKED`]: the process id, or 0 for no process.
    pid: u32,
}

// SAFETY: the mark is a static, or in a page that is never unmapped. It is only read
// after it has been published, so threads may share the pointer.
unsafe impl Send for AddressSpace {}
// SAFETY: the mark is only read after it has been published, so concurrent reads do not
// race with a write.
unsafe impl Sync for AddressSpace {}

/// The newest mark, and a word that is never set. Their initial values are zero, so that a
/// small program has no bytes for them in its file, and nothing to relocate.
struct Marks {
    /// The newest mark of this process or, in a forked child, of its parent. It is null
    /// before the first, and `unmarked` where marks are unavailable.
    newest: AtomicPtr<u32>,
    unmarked: u32,
}

static MARKS: Marks = Marks {
    newest: AtomicPtr::new(ptr::null_mut()),
    unmarked: 0,
};

/// The mark where marks are unavailable.
const UNMARKED: *const u32 = &raw const MARKS.unmarked;

impl AddressSpace {
    /// No address space: never equal to the current one.
    pub(crate) const NONE: AddressSpace = AddressSpace {
        mark: UNMARKED,
        pid: 0,
    };

    /// Returns the current address space.
    pub(crate) fn current() -> AddressSpace {
        // Acquire: the write that set the mark is visible, as it precedes the
        // publication.
        let mark = MARKS.newest.load(Ordering::Acquire).cast_const();
        let newest = AddressSpace { mark, pid: 0 };
        if !mark.is_null() && newest.is_marked() {
            newest
        } else {
            AddressSpace::marked(mark)
        }
    }

    /// Marks the address space, which has no mark yet.
    #[cold]
    #[inline(never)]
    fn marked(newest: *const u32) -> AddressSpace {
        let refused = newest == UNMARKED;
        let set = if refused { None } else { set_mark() };
        let mark = set.unwrap_or(UNMARKED);
        // Several threads may run this at once. Each has a valid mark, and any of them
        // may be the one that later callers find.
        MARKS.newest.store(mark.cast_mut(), Ordering::Release);
        match set {
            Some(mark) => AddressSpace { mark, pid: 0 },
            None => AddressSpace::by_pid(),
        }
    }

    /// Returns the current address space, identified by the process id alone.
    #[cold]
    #[inline(never)]
    pub(crate) fn by_pid() -> AddressSpace {
        AddressSpace {
            mark: UNMARKED,
            // The process id is never 0. If getpid fails, u32::MAX stands for this
            // process, and `is_this_process` then returns true while getpid fails.
            pid: getpid().unwrap_or(u32::MAX),
        }
    }

    /// Returns whether this is the current address space.
    #[inline(always)]
    pub(crate) fn is_current(self) -> bool {
        self.is_marked() || self.is_this_process()
    }

    /// Returns whether the mark identifies this as the current address space. Otherwise
    /// [`is_this_process`](AddressSpace::is_this_process) decides.
    #[inline(always)]
    pub(crate) fn is_marked(self) -> bool {
        // SAFETY: the mark is never unmapped. Since it was published only fork has
        // written it, in the child, where no other thread runs.
        unsafe { *self.mark != 0 }
    }

    /// Returns whether this process is certainly a copy, by fork(2), of the
    /// address space.
    pub(crate) fn is_copy(self) -> bool {
        self.mark != UNMARKED && !self.is_marked()
    }

    /// Returns whether this is the current address space, according to the process id.
    /// It is used where there is no mark.
    ///
    /// A child that shares the address space (vfork, `CLONE_VM` without `CLONE_THREAD`)
    /// has a different id: the result there is `false`. The result is wrongly `true` in
    /// a descendant that has the same number: in a new pid namespace, or after the
    /// first process has ended. It is also `true` where a sandbox forbids getpid(2).
    ///
    /// The function is inlined: a system call preserves the registers that a function
    /// call may change. Most callers only make another system call, so they need no
    /// stack frame.
    #[inline(always)]
    pub(crate) fn is_this_process(self) -> bool {
        self.pid != 0 && getpid().map_or(true, |pid| pid == self.pid)
    }
}

/// Maps a page with a mark and returns its address, or `None` where the kernel refuses.
fn set_mark() -> Option<*const u32> {
    const BYTES: usize = size_of::<u32>();
    let page = map(BYTES).ok()?;
    // SAFETY: MADV_WIPEONFORK affects forked children alone. If it is refused, the page
    // stays mapped and unused, one page per process.
    unsafe { madvise(page, BYTES, MADV_WIPEONFORK) }.ok()?;
    let mark = ptr::with_exposed_provenance_mut::<u32>(page);
    // The mark is set after the advice, so at no moment would fork copy the 1. The
    // write is volatile, so that it stays after the advice.
    // SAFETY: the address is the start of a fresh, writable page, which no other code
    // has a pointer to yet.
    unsafe { mark.write_volatile(1) };
    Some(mark)
}

#[inline(always)]
fn getpid() -> Result<u32, Errno> {
    // SAFETY: getpid(2) reads and writes no memory of the program.
    Errno::check(unsafe { stubs::syscall0(ABI.base.getpid as usize) }).map(|pid| pid as u32)
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use super::*;

    /// Returns the results of `is_current` in a forked child.
    fn in_child<const N: usize>(spaces: [AddressSpace; N]) -> [bool; N] {
        let mut status = 0;
        // SAFETY: the child only compares, and exits by _exit.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                let bits = spaces.iter().enumerate();
                let bits = bits.map(|(at, space)| i32::from(space.is_current()) << at);
                libc::_exit(bits.sum::<i32>());
            }
            assert!(child > 0);
            assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
        }
        assert!(libc::WIFEXITED(status), "{status:#x}");
        let bits = libc::WEXITSTATUS(status);
        core::array::from_fn(|at| bits >> at & 1 != 0)
    }

    #[test]
    fn is_current_here_and_not_in_a_forked_child() {
        let marked = AddressSpace::current();
        let by_pid = AddressSpace::by_pid();
        assert!(marked.is_marked() && marked.is_current());
        assert!(!by_pid.is_marked() && by_pid.is_current());
        assert!(!AddressSpace::NONE.is_current());
        let spaces = [marked, by_pid, AddressSpace::NONE];
        assert_eq!(in_child(spaces), [false; 3]);
    }

    #[test]
    fn the_mark_is_set_once() {
        let first = AddressSpace::current();
        // Another thread may have set one at the same time as the first call.
        let [second, third] = [AddressSpace::current(), AddressSpace::current()];
        assert!(first.is_current() && second.is_current());
        assert_eq!(second.mark, third.mark);
    }
}
