//! [`Waiters`]: the futures that wait for a free slot, in the order in which
//! they came.
//!
//! Each has its [`Waiter`] in itself, pinned, so that the lists need no memory.
//!
//! ```text
//!            enter                call                arrive
//!   outside ───────▶ waiting ──────────────▶ called ─────────▶ outside
//!      ▲                │       (waker goes)    │   (takes the slot)
//!      └────────────────┴── leave ──────────────┘
//! ```
//!
//! When a slot becomes free, the first waiter is *called*: it is woken and has a
//! claim to the slot. A future that comes later waits behind those that are
//! there.
//!
//! A waiter that is called and never polled again (it was leaked, or its task
//! polls something else) must not keep its claim. There are two signs of one:
//!
//! - The executor is idle: in two turns of the reactor no future was polled, and
//!   no claim was made, used or given up. Then the next waiter is called as well
//!   ([`pass_on`](Waiters::pass_on)), and the first to be polled gets the slot.
//!   If that is the one that was called last, the older claims are void.
//! - Others are polled again and again: since it was called, each future that may
//!   exist could have been polled twice, and hundreds of times in all. Then its
//!   claim is void. Its holder may still come; it enters the list again at the
//!   place that its age gives it.
//!
//! # Invariants
//! - `called.len` is the number of claims.
//! - Links and wakers are only touched under the reactor's lock, through
//!   `&mut Waiters`; no user code runs there.

use core::cell::UnsafeCell;
use core::marker::PhantomPinned;
use core::ptr::NonNull;
use core::task::Waker;

/// A future's node in the lists. It does not move while it is in one.
pub(super) struct Waiter {
    links: UnsafeCell<Links>,
    _pinned: PhantomPinned,
}

struct Links {
    before: Option<NonNull<Waiter>>,
    after: Option<NonNull<Waiter>>,
    /// Present while it is waiting.
    waker: Option<Waker>,
    list: Where,
    /// The value of [`Waiters::polls`] when it was called.
    called_at: u64,
    /// How many were called before it.
    call: u64,
    /// The order in which it first came; 0: not yet. Lower is older.
    age: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    Outside,
    Waiting,
    Called,
}

impl Waiter {
    pub(super) const fn new() -> Waiter {
        Waiter {
            links: UnsafeCell::new(Links {
                before: None,
                after: None,
                waker: None,
                list: Where::Outside,
                called_at: 0,
                call: 0,
                age: 0,
            }),
            _pinned: PhantomPinned,
        }
    }
}

/// One of the two lists.
struct List {
    first: Option<NonNull<Waiter>>,
    last: Option<NonNull<Waiter>>,
    len: usize,
}

const EMPTY: List = List {
    first: None,
    last: None,
    len: 0,
};

/// The lists. `&mut Waiters` gives access to the waiters in them.
pub(super) struct Waiters {
    waiting: List,
    called: List,
    /// The age of the youngest.
    ages: u64,
    /// Polls of all futures.
    polls: u64,
    /// The same at the last turn.
    polls_at_turn: u64,
    /// The number of slots.
    slots: usize,
    /// The number of calls.
    calls: u64,
    /// The same when the executor was last found idle: claims that were made
    /// before are suspect.
    suspect: u64,
    /// Turns since a future was polled, or a claim was made, used or given up.
    quiet: u8,
    /// The next is to be called although every free slot is claimed.
    passes: bool,
}

/// Polls that an executor may well make before it comes to a task that was woken.
const MANY: u64 = 256;

/// Turns without a change after which the next is called besides.
const ROUND: u8 = 2;

impl Waiters {
    pub(super) const fn new(slots: usize) -> Waiters {
        Waiters {
            waiting: EMPTY,
            called: EMPTY,
            ages: 0,
            polls: 0,
            polls_at_turn: 0,
            slots,
            calls: 0,
            suspect: 0,
            quiet: 0,
            passes: false,
        }
    }

    /// A future is polled.
    #[inline]
    pub(super) fn count_poll(&mut self) {
        self.polls += 1;
    }

    /// Gives up the claims of those that should have come by now.
    fn expire(&mut self) {
        let futures = self.slots + self.waiting.len + self.called.len;
        while let Some(first) = self.called.first {
            // SAFETY: it is in the list.
            let called_at = unsafe { self.links(first) }.called_at;
            if self.polls - called_at <= MANY + 2 * futures as u64 {
                break;
            }
            // SAFETY: it is in the list.
            unsafe { self.unlink(first) };
        }
    }

    /// Gives up the claims that were made before the executor was idle.
    fn drop_suspects(&mut self) {
        while let Some(first) = self.called.first {
            // SAFETY: it is in the list.
            if unsafe { self.links(first) }.call >= self.suspect {
                break;
            }
            // SAFETY: it is in the list.
            unsafe { self.unlink(first) };
        }
    }

    /// Returns whether both lists are empty.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.len + self.called.len == 0
    }

    /// Returns whether a waiter is behind a claim that may never be used, so that
    /// another turn must follow.
    pub(super) fn needs_turn(&self) -> bool {
        self.called.len > 0 && self.waiting.len > 0
    }

    /// # Safety
    /// The waiter is in no lists but these, and stays alive and where it is
    /// until it has left them, or for ever.
    unsafe fn links(&mut self, waiter: NonNull<Waiter>) -> &mut Links {
        // SAFETY: alive, by the caller's promise; every access to links is
        // made through `&mut Waiters`, and none outlives it.
        unsafe { &mut *UnsafeCell::raw_get(&raw const (*waiter.as_ptr()).links) }
    }

    fn list(&mut self, list: Where) -> &mut List {
        match list {
            Where::Called => &mut self.called,
            Where::Waiting | Where::Outside => &mut self.waiting,
        }
    }

    /// Returns whether this future may take one of `free` slots. If so, it has
    /// left the lists, and the second value is its waker, to be dropped outside.
    ///
    /// # Safety
    /// As [`Waiters::links`].
    pub(super) unsafe fn arrive(
        &mut self,
        waiter: NonNull<Waiter>,
        free: usize,
    ) -> (bool, Option<Waker>) {
        if free == 0 {
            return (false, None);
        }
        self.expire();
        // SAFETY: the caller's promise.
        let (list, age) = unsafe {
            let links = self.links(waiter);
            (links.list, links.age)
        };
        let first = self.waiting.first;
        let may = match list {
            Where::Called => true,
            Where::Waiting => first == Some(waiter) && free > self.called.len,
            // One that had a claim is older than those that wait.
            Where::Outside => {
                free > self.called.len
                    && first.is_none_or(|first| {
                        // SAFETY: it is in the list.
                        let first = unsafe { self.links(first) }.age;
                        age != 0 && age < first
                    })
            }
        };
        if !may {
            return (false, None);
        }
        // SAFETY: the caller's promise.
        let call = unsafe { self.links(waiter) }.call;
        if list == Where::Called && call >= self.suspect {
            self.drop_suspects();
        }
        // SAFETY: the caller's promise.
        (true, unsafe { self.leave(waiter) })
    }

    /// Enters the waiting list, or stays there with another waker. Returns the
    /// waker that was replaced.
    ///
    /// # Safety
    /// As [`Waiters::links`].
    pub(super) unsafe fn enter(&mut self, waiter: NonNull<Waiter>, waker: Waker) -> Option<Waker> {
        // SAFETY: the caller's promise.
        let links = unsafe { self.links(waiter) };
        let old = links.waker.replace(waker);
        if links.list == Where::Waiting {
            return old;
        }
        // A waiter that was called and found no slot keeps its age.
        // SAFETY: the caller's promise.
        unsafe { self.unlink(waiter) };
        let next_age = self.ages + 1;
        // SAFETY: the caller's promise.
        let links = unsafe { self.links(waiter) };
        if links.age == 0 {
            links.age = next_age;
        }
        let age = links.age;
        self.ages = self.ages.max(age);
        let (mut before, mut after) = (self.waiting.last, None);
        while let Some(other) = before {
            // SAFETY: it is in the list.
            let links = unsafe { self.links(other) };
            if links.age < age {
                break;
            }
            after = before;
            before = links.before;
        }
        // SAFETY: the caller's promise; the neighbours are in the list.
        unsafe { self.link(waiter, Where::Waiting, before, after) };
        old
    }

    /// Leaves the lists. Returns the waker, to be dropped outside.
    ///
    /// # Safety
    /// As [`Waiters::links`].
    pub(super) unsafe fn leave(&mut self, waiter: NonNull<Waiter>) -> Option<Waker> {
        // SAFETY: the caller's promise.
        unsafe {
            self.unlink(waiter);
            self.links(waiter).waker.take()
        }
    }

    /// Calls the first waiter if one of `free` slots is not claimed, or if a claim
    /// is [passed on](Waiters::pass_on). Returns its waker, to be woken outside.
    pub(super) fn call(&mut self, free: usize) -> Option<Waker> {
        self.expire();
        let passes = core::mem::take(&mut self.passes);
        if free <= self.called.len && !passes {
            return None;
        }
        self.call_first()
    }

    /// Begins a turn. If the executor is idle, the next waiter is called as well.
    pub(super) fn pass_on(&mut self) {
        let idle = core::mem::replace(&mut self.polls_at_turn, self.polls) == self.polls;
        if !idle {
            self.quiet = 0;
        } else if self.needs_turn() {
            self.quiet += 1;
            if self.quiet >= ROUND {
                self.passes = true;
                self.suspect = self.calls;
            }
        }
    }

    fn call_first(&mut self) -> Option<Waker> {
        let first = self.waiting.first?;
        let last = self.called.last;
        // SAFETY: it is in a list, so it is alive, or leaked where it is; `last`
        // is in the other.
        unsafe {
            let waker = self.leave(first);
            let (polls, call) = (self.polls, self.calls);
            let links = self.links(first);
            (links.called_at, links.call) = (polls, call);
            self.calls += 1;
            self.link(first, Where::Called, last, None);
            waker
        }
    }

    /// Inserts a waiter that is in no list between these two.
    ///
    /// # Safety
    /// As [`Waiters::links`], and the two are neighbours in this list.
    unsafe fn link(
        &mut self,
        waiter: NonNull<Waiter>,
        into: Where,
        before: Option<NonNull<Waiter>>,
        after: Option<NonNull<Waiter>>,
    ) {
        self.quiet = 0;
        // SAFETY: the caller's promise.
        unsafe {
            let links = self.links(waiter);
            (links.before, links.after, links.list) = (before, after, into);
            match before {
                Some(before) => self.links(before).after = Some(waiter),
                None => self.list(into).first = Some(waiter),
            }
            match after {
                Some(after) => self.links(after).before = Some(waiter),
                None => self.list(into).last = Some(waiter),
            }
        }
        self.list(into).len += 1;
    }

    /// Removes a waiter from its list, if it is in one.
    ///
    /// # Safety
    /// As [`Waiters::links`].
    unsafe fn unlink(&mut self, waiter: NonNull<Waiter>) {
        // SAFETY: the caller's promise.
        let links = unsafe { self.links(waiter) };
        let list = core::mem::replace(&mut links.list, Where::Outside);
        let (before, after) = (links.before.take(), links.after.take());
        if list == Where::Outside {
            return;
        }
        self.quiet = 0;
        match before {
            // SAFETY: it is in the list.
            Some(before) => unsafe { self.links(before) }.after = after,
            None => self.list(list).first = after,
        }
        match after {
            // SAFETY: it is in the list.
            Some(after) => unsafe { self.links(after) }.before = before,
            None => self.list(list).last = before,
        }
        self.list(list).len -= 1;
    }
}

#[cfg(test)]
mod tests;
