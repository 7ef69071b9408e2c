//! [`AddressSpace`]: identifies the address space that a context belongs to.
//!
//! The kernel keeps AIO contexts with the address space (`mm_struct`). fork(2)
//! copies the address space without its contexts, so in the child an inherited
//! context's name and ring address are stale, and a context of the child's own
//! may have the same ones. Every use of a context therefore asks first whether
//! the address space is still the one in which the context was made.
//!
//! The answer comes from a *mark*: a word in a private page that is advised
//! `MADV_WIPEONFORK` and set to 1. fork gives the child a zeroed page in its
//! place. Threads, and children that share the address space (vfork(2),
//! `CLONE_VM`), share the page, and the contexts, too.
//!
//! Invariants:
//! - A mark is 1 from before it is published until the address space ends; in
//!   every copy of the address space it is 0, for ever: nothing writes it
//!   again. A child that makes contexts maps a page of its own.
//! - The page is never unmapped.
//!
//! Where the page cannot be had (Linux before 4.14, a sandbox that forbids
//! mmap(2) or madvise(2), some emulators), the process id stands in for the
//! mark. It costs a system call a question and is less exact: see
//! [`AddressSpace::is_this_process`].

use core::sync::atomic::{AtomicPtr, Ordering};

use crate::arch::{ABI, stubs};
use crate::pages::{MADV_WIPEONFORK, madvise, map};
use crate::sys::errno::Errno;

/// The address space in which something was made.
#[derive(Clone, Copy)]
pub(crate) struct AddressSpace {
    /// 1 in the address space where it was set, 0 in copies of it. Or
    /// [`UNMARKED`]. Read as plain memory, since it is written before it is
    /// published and never again; an atomic read takes an instruction more.
    mark: *const u32,
    /// With [`UNMARKED`]: the process id, or 0 for no process.
    pid: u32,
}

// SAFETY: the mark is a static or of a page that is never unmapped, and from
// the moment that others can see it is only read.
unsafe impl Send for AddressSpace {}
// SAFETY: only read, as said.
unsafe impl Sync for AddressSpace {}

/// The newest mark, and two words that are never set. They are one static, whose
/// initial value is not zero, because each further section makes a small program
/// larger.
struct Marks {
    /// The newest mark of this process or, in a forked child, of its parent;
    /// `unknown` before the first; `unmarked` where there can be none.
    newest: AtomicPtr<u32>,
    unknown: u32,
    unmarked: u32,
}

static MARKS: Marks = Marks {
    newest: AtomicPtr::new((&raw const MARKS.unknown).cast_mut()),
    unknown: 0,
    unmarked: 0,
};

/// The mark where there can be none.
const UNMARKED: *const u32 = &raw const MARKS.unmarked;

impl AddressSpace {
    /// None: never the current one.
    pub(crate) const NONE: AddressSpace = AddressSpace {
        mark: UNMARKED,
        pid: 0,
    };

    /// Returns the current address space.
    pub(crate) fn current() -> AddressSpace {
        // Acquire: the mark is seen as it was set before it was published.
        let mark = MARKS.newest.load(Ordering::Acquire).cast_const();
        let newest = AddressSpace { mark, pid: 0 };
        if newest.is_marked() {
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
        // Of several threads that come here at once each has a valid mark, and
        // any of them may be the one that later callers find.
        MARKS.newest.store(mark.cast_mut(), Ordering::Release);
        match set {
            Some(mark) => AddressSpace { mark, pid: 0 },
            None => AddressSpace::by_pid(),
        }
    }

    /// Returns the current address space, identified by the process id alone.
    #[cold]
    #[inline(never)]
    fn by_pid() -> AddressSpace {
        AddressSpace {
            mark: UNMARKED,
            // Never 0 for a process. A refusal is none, and has no end.
            pid: getpid().unwrap_or(u32::MAX),
        }
    }

    /// Returns whether this is the current address space.
    #[inline(always)]
    pub(crate) fn is_current(self) -> bool {
        self.is_marked() || self.is_this_process()
    }

    /// Returns whether the mark says that this is the current address space.
    /// Otherwise [`is_this_process`](AddressSpace::is_this_process) decides.
    #[inline(always)]
    pub(crate) fn is_marked(self) -> bool {
        // SAFETY: readable for ever. Since it was published nothing has written
        // it but fork, in whose child no other thread runs.
        unsafe { *self.mark != 0 }
    }

    /// Returns whether this process is certainly a copy, by fork(2), of the
    /// address space.
    pub(crate) fn is_copy(self) -> bool {
        self.mark != UNMARKED && !self.is_marked()
    }

    /// Returns whether this is the current address space, by the process id,
    /// where it has no mark.
    ///
    /// A child that shares the address space (vfork, `CLONE_VM` without
    /// `CLONE_THREAD`) has another id: the answer there is no. The answer is
    /// wrongly yes in a descendant that has the same number: in a new pid
    /// namespace, or after the first process has ended. It is also yes where a
    /// sandbox forbids getpid(2).
    ///
    /// In line: a system call keeps the registers that a function call may
    /// change, so the callers, of which most only make another system call, need
    /// no stack frame.
    #[inline(always)]
    pub(crate) fn is_this_process(self) -> bool {
        self.pid != 0 && getpid().map_or(true, |pid| pid == self.pid)
    }
}

/// Maps a page with a mark; `None` where the kernel refuses.
fn set_mark() -> Option<*const u32> {
    const BYTES: usize = size_of::<u32>();
    let page = map(BYTES).ok()?;
    // SAFETY: the advice concerns forked children alone. Where it is refused
    // the page stays mapped, one a process: nothing else uses it.
    unsafe { madvise(page, BYTES, MADV_WIPEONFORK) }.ok()?;
    let mark = core::ptr::with_exposed_provenance_mut::<u32>(page);
    // After the advice: there is no moment at which fork would copy the 1.
    // Volatile, so that it stays there.
    // SAFETY: the start of a fresh, writable page that nobody else knows yet.
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

    /// What a forked child says of these.
    fn in_child<const N: usize>(spaces: [AddressSpace; N]) -> [bool; N] {
        let mut status = 0;
        // SAFETY: the child compares, and ends by _exit.
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
