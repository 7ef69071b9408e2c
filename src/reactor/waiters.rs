//! [`Waiters`]: the futures that wait for a free slot, in order of arrival.
//!
//! Each future contains its [`Waiter`], pinned, so that the lists need no allocation.
//!
//! ```text
//!            enter                call                arrive
//!   outside ───────▶ waiting ──────────────▶ called ─────────▶ outside
//!      ▲                │       (waker goes)    │   (takes the slot)
//!      └────────────────┴── leave ──────────────┘
//! ```
//!
//! When a slot becomes free, the first waiter is *called*: it is woken and gets a claim
//! to the slot. A future that arrives later waits behind the others.
//!
//! A waiter that is called and never polled again (it was leaked, or its task polls
//! something else) must not keep its claim. Two conditions detect one:
//!
//! - The executor is idle: in two turns of the reactor no future was polled, and no
//!   claim was made, used or given up. Then the next waiter is called as well
//!   ([`pass_on`](Waiters::pass_on)), and the first to be polled gets the slot. If that
//!   is the waiter called last, the older claims are void.
//! - Other futures are polled repeatedly: since the waiter was called, each future that
//!   may exist could have been polled twice, and there were hundreds of polls in all.
//!   Then its claim is void. If the waiter is polled later, it enters the list again at
//!   the position given by its age.
//!
//! A poll may void claims. The slots are unclaimed then, and the next turn calls the waiters
//! for them, which [`needs_turn`](Waiters::needs_turn) requests.
//!
//! # Invariants
//! - `called.len` is the number of claims. `linked` is `waiting.len + called.len`.
//! - Links and wakers are accessed only under the reactor's lock, through
//!   `&mut Waiters`. No user code runs there.

use core::cell::UnsafeCell;
use core::marker::PhantomPinned;
use core::ptr::NonNull;
use core::task::Waker;

/// A future's node in the lists. It does not move while it is in a list.
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
    /// The number of calls before its own.
    call: u64,
    /// The order of its first arrival; 0 if it has not arrived yet. Lower is older.
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
    /// The number of waiters in both lists.
    linked: usize,
    /// The age of the youngest waiter.
    ages: u64,
    /// The number of polls of all futures.
    polls: u64,
    /// The value of `polls` at the last turn.
    polls_at_turn: u64,
    /// The number of slots.
    slots: usize,
    /// The number of calls.
    calls: u64,
    /// The value of `calls` when the executor was last found idle. Claims made before
    /// that are suspect.
    suspect: u64,
    /// The number of turns since a future was polled, or a claim was made, used or
    /// given up.
    quiet: u8,
    /// The next waiter is to be called although every free slot is claimed.
    passes: bool,
}

/// The number of polls that an executor may make before it polls a woken task.
const MANY: u64 = 256;

/// The number of turns without a change after which one more waiter is called.
const ROUND: u8 = 2;

impl Waiters {
    pub(super) const fn new(slots: usize) -> Waiters {
        Waiters {
            waiting: EMPTY,
            called: EMPTY,
            linked: 0,
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

    /// Records the poll of a future.
    ///
    /// A poll while both lists are empty need not be recorded, nor a [turn](Waiters::pass_on)
    /// then: only polls after a call void a claim, and the poll that fills a list is recorded.
    #[inline]
    pub(super) fn count_poll(&mut self) {
        self.polls += 1;
    }

    /// Voids the claims of waiters that were not polled in time.
    fn expire(&mut self) {
        let futures = self.slots + self.waiting.len + self.called.len;
        while let Some(first) = self.called.first {
            // SAFETY: it is in the list, so it is alive and in place.
            let called_at = unsafe { self.links(first) }.called_at;
            if self.polls - called_at <= MANY + 2 * futures as u64 {
                break;
            }
            // SAFETY: it is in the list, so it is alive and in place.
            unsafe { self.unlink(first) };
        }
    }

    /// Voids the claims that were made before the executor was idle.
    fn drop_suspects(&mut self) {
        while let Some(first) = self.called.first {
            // SAFETY: it is in the list, so it is alive and in place.
            if unsafe { self.links(first) }.call >= self.suspect {
                break;
            }
            // SAFETY: it is in the list, so it is alive and in place.
            unsafe { self.unlink(first) };
        }
    }

    /// Returns whether one of `free` slots is neither claimed nor waited for. It counts as
    /// the poll of a future, so that a claim that is never used expires.
    pub(super) fn has_unclaimed(&mut self, free: usize) -> bool {
        self.count_poll();
        self.expire();
        self.waiting.len == 0 && free > self.called.len
    }

    /// Returns whether both lists are empty.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.linked == 0
    }

    /// Returns the number of waiters in both lists.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.linked
    }

    /// Returns whether a waiter is in the first list.
    #[inline]
    pub(super) fn has_waiting(&self) -> bool {
        self.waiting.first.is_some()
    }

    /// Returns whether another turn must follow, which calls a waiter: one is behind a claim that
    /// may never be used, or one of `free` slots has no claim any more, because it was void.
    #[inline]
    pub(super) fn needs_turn(&self, free: usize) -> bool {
        self.waiting.len > 0 && (self.called.len > 0 || free > 0)
    }

    /// Returns the links of a waiter.
    ///
    /// # Safety
    /// `waiter` is in no lists but these. It stays alive and in place until it has left
    /// them, or for ever.
    unsafe fn links(&mut self, waiter: NonNull<Waiter>) -> &mut Links {
        // SAFETY: the `# Safety` section requires that the waiter is alive and in
        // place. Every access to links is made through `&mut Waiters`, and the returned
        // reference borrows it, so it is unique.
        unsafe { &mut *UnsafeCell::raw_get(&raw const (*waiter.as_ptr()).links) }
    }

    fn list(&mut self, list: Where) -> &mut List {
        match list {
            Where::Called => &mut self.called,
            Where::Waiting | Where::Outside => &mut self.waiting,
        }
    }

    /// Returns whether this future may take one of `free` slots.
    ///
    /// If so, it has left the lists, and the second value is its waker, to be dropped
    /// outside the lock.
    ///
    /// # Safety
    /// `waiter` is in no lists but these. It stays alive and in place until it has left
    /// them, or for ever.
    pub(super) unsafe fn arrive(
        &mut self,
        waiter: NonNull<Waiter>,
        free: usize,
    ) -> (bool, Option<Waker>) {
        if free == 0 {
            return (false, None);
        }
        self.expire();
        // SAFETY: the `# Safety` section requires that `waiter` is in no other lists
        // and stays alive and in place, which is what the called functions require.
        let (list, age) = unsafe {
            let links = self.links(waiter);
            (links.list, links.age)
        };
        let first = self.waiting.first;
        let may = match list {
            Where::Called => true,
            Where::Waiting => first == Some(waiter) && free > self.called.len,
            // A waiter that had a claim is older than those that wait.
            Where::Outside => {
                free > self.called.len
                    && first.is_none_or(|first| {
                        // SAFETY: it is in the list, so it is alive and in place.
                        let first = unsafe { self.links(first) }.age;
                        age != 0 && age < first
                    })
            }
        };
        if !may {
            return (false, None);
        }
        // SAFETY: the `# Safety` section requires that `waiter` is in no other lists
        // and stays alive and in place, which is what the called functions require.
        let call = unsafe { self.links(waiter) }.call;
        if list == Where::Called && call >= self.suspect {
            self.drop_suspects();
        }
        // SAFETY: the `# Safety` section requires that `waiter` is in no other lists
        // and stays alive and in place, which is what the called functions require.
        (true, unsafe { self.leave(waiter) })
    }

    /// Enters the waiting list, or stays there with another waker.
    ///
    /// Returns the waker that was replaced.
    ///
    /// # Safety
    /// `waiter` is in no lists but these. It stays alive and in place until it has left
    /// them, or for ever.
    pub(super) unsafe fn enter(&mut self, waiter: NonNull<Waiter>, waker: Waker) -> Option<Waker> {
        // SAFETY: the `# Safety` section requires that `waiter` is in no other lists
        // and stays alive and in place, which is what the called functions require.
        let links = unsafe { self.links(waiter) };
        let old = links.waker.replace(waker);
        if links.list == Where::Waiting {
            return old;
        }
        // A waiter that was called and found no slot keeps its age.
        // SAFETY: the `# Safety` section requires that `waiter` is in no other lists
        // and stays alive and in place, which is what the called functions require.
        unsafe { self.unlink(waiter) };
        let next_age = self.ages + 1;
        // SAFETY: the `# Safety` section requires that `waiter` is in no other lists
        // and stays alive and in place, which is what the called functions require.
        let links = unsafe { self.links(waiter) };
        if links.age == 0 {
            links.age = next_age;
        }
        let age = links.age;
        self.ages = self.ages.max(age);
        let (mut before, mut after) = (self.waiting.last, None);
        while let Some(other) = before {
            // SAFETY: it is in the list, so it is alive and in place.
            let links = unsafe { self.links(other) };
            if links.age < age {
                break;
            }
            after = before;
            before = links.before;
        }
        // SAFETY: the `# Safety` section covers `waiter`, which was unlinked above;
        // `before` and `after` are neighbours in the waiting list.
        unsafe { self.link(waiter, Where::Waiting, before, after) };
        old
    }

    /// Leaves the lists. Returns the waker, to be dropped outside the lock.
    ///
    /// # Safety
    /// `waiter` is in no lists but these. It stays alive and in place until it has left
    /// them, or for ever.
    pub(super) unsafe fn leave(&mut self, waiter: NonNull<Waiter>) -> Option<Waker> {
        // SAFETY: the `# Safety` section requires that `waiter` is in no other lists
        // and stays alive and in place, which is what the called functions require.
        unsafe {
            self.unlink(waiter);
            self.links(waiter).waker.take()
        }
    }

    /// Calls the first waiter if one of `free` slots is not claimed, or if a claim is
    /// [passed on](Waiters::pass_on).
    ///
    /// Returns its waker, to be woken outside the lock.
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
        } else if self.needs_turn(0) {
            self.quiet += 1;
            if self.quiet >= ROUND {
                self.passes = true;
                self.suspect = self.calls;
            }
        }
    }

    /// Removes the first waiter. Returns its waker, to be woken outside the lock.
    pub(super) fn take_first(&mut self) -> Option<Waker> {
        let first = self.waiting.first?;
        // SAFETY: `first` is in the waiting list, so it is alive and in place, or leaked
        // in place.
        unsafe { self.leave(first) }
    }

    fn call_first(&mut self) -> Option<Waker> {
        let first = self.waiting.first?;
        let last = self.called.last;
        // SAFETY: `first` is in the waiting list, so it is alive and in place, or
        // leaked in place. `last` is in the list of called waiters.
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
    /// `waiter` is in no lists but these. It stays alive and in place until it has left
    /// them, or for ever. `before` and `after` are neighbours in the list `into`, or
    /// its ends.
    unsafe fn link(
        &mut self,
        waiter: NonNull<Waiter>,
        into: Where,
        before: Option<NonNull<Waiter>>,
        after: Option<NonNull<Waiter>>,
    ) {
        self.quiet = 0;
        // SAFETY: the `# Safety` section is that of `links` for `waiter`. `before` and
        // `after` are in a list, so they are alive and in place.
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
        self.linked += 1;
    }

    /// Removes a waiter from its list, if it is in one.
    ///
    /// # Safety
    /// `waiter` is in no lists but these. It stays alive and in place until it has left
    /// them, or for ever.
    unsafe fn unlink(&mut self, waiter: NonNull<Waiter>) {
        // SAFETY: the `# Safety` section requires that `waiter` is in no other lists
        // and stays alive and in place, which is what the called functions require.
        let links = unsafe { self.links(waiter) };
        let list = core::mem::replace(&mut links.list, Where::Outside);
        let (before, after) = (links.before.take(), links.after.take());
        if list == Where::Outside {
            return;
        }
        self.quiet = 0;
        match before {
            // SAFETY: it is in the list, so it is alive and in place.
            Some(before) => unsafe { self.links(before) }.after = after,
            None => self.list(list).first = after,
        }
        match after {
            // SAFETY: it is in the list, so it is alive and in place.
            Some(after) => unsafe { self.links(after) }.before = before,
            None => self.list(list).last = before,
        }
        self.list(list).len -= 1;
        self.linked -= 1;
    }
}

#[cfg(test)]
mod tests;
