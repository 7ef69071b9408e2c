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
//! A slot that becomes free while somebody waits is not for everybody: the first
//! waiter is *called* (woken), and has a claim to it. Who comes meanwhile must
//! wait behind those that are there.
//!
//! A waiter that is called and never polled again (leaked; forgotten by its
//! task) must not keep its claim: after a whole round (two turns of the reactor)
//! in which nothing happened, the next is called besides
//! ([`pass_on`](Waiters::pass_on)). When that one arrives, the claims of all
//! that were called before it are void. Those that come all the same take a
//! place by their age.
//!
//! # Invariants
//! - `called.len` is the number of claims.
//! - Links and wakers are only touched under the reactor's lock, through
//!   `&mut Waiters`; no user code runs there.

use core::cell::UnsafeCell;
use core::marker::PhantomPinned;
use core::ptr::NonNull;
use core::task::Waker;

/// A future's place in the lists. It stays where it is while it is in one.
pub(super) struct Waiter {
    links: UnsafeCell<Links>,
    _pinned: PhantomPinned,
}

struct Links {
    before: Option<NonNull<Waiter>>,
    after: Option<NonNull<Waiter>>,
    /// There while it is waiting.
    waker: Option<Waker>,
    list: Where,
    /// When it came first; 0: never. Lower is older.
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

/// The lists. Who has `&mut` to them may touch the waiters in them.
pub(super) struct Waiters {
    waiting: List,
    called: List,
    /// The age of the last that came.
    ages: u64,
    /// Turns since a claim was made, used or given up.
    quiet: u8,
    /// One more is to be called than there are slots.
    passes: bool,
}

/// Turns without a change after which the next is called besides.
const ROUND: u8 = 2;

impl Waiters {
    pub(super) const fn new() -> Waiters {
        Waiters {
            waiting: EMPTY,
            called: EMPTY,
            ages: 0,
            quiet: 0,
            passes: false,
        }
    }

    /// Whether nobody waits and nobody was called.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.len + self.called.len == 0
    }

    /// Whether somebody waits behind a claim that may never be used: then
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

    /// Whether this future may take one of `free` slots. If it may, it has left
    /// the lists; its waker comes back, to be dropped outside.
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
        if list == Where::Called {
            // Those that were called before have not come when they should.
            while let Some(first) = self.called.first {
                if first == waiter {
                    break;
                }
                // SAFETY: it is in the list.
                unsafe { self.unlink(first) };
            }
        }
        // SAFETY: the caller's promise.
        (true, unsafe { self.leave(waiter) })
    }

    /// Waits, or waits on with another waker. The old one comes back.
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
        // One that was called, and found its slot taken, is its old age still.
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

    /// Leaves the lists. The waker comes back, to be dropped outside.
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

    /// Calls the first of those that wait, if one of `free` slots is promised
    /// to nobody, or its claim is [passed on](Waiters::pass_on): its waker, to
    /// be woken outside.
    pub(super) fn call(&mut self, free: usize) -> Option<Waker> {
        let passes = core::mem::take(&mut self.passes);
        if free <= self.called.len && !passes {
            return None;
        }
        self.call_first()
    }

    /// A turn begins. If the claims were neither used nor given up for a whole
    /// round, the next is called besides.
    pub(super) fn pass_on(&mut self) {
        if self.needs_turn() {
            self.quiet += 1;
            self.passes = self.quiet >= ROUND;
        }
    }

    fn call_first(&mut self) -> Option<Waker> {
        let first = self.waiting.first?;
        let last = self.called.last;
        // SAFETY: it is in a list, so it is alive, or leaked where it is; `last`
        // is in the other.
        unsafe {
            let waker = self.leave(first);
            self.link(first, Where::Called, last, None);
            waker
        }
    }

    /// Puts a waiter that is outside into a list, between these two.
    ///
    /// # Safety
    /// As [`Waiters::links`], and they are neighbours in this list.
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

    /// Takes a waiter out of the list that it is in, if it is.
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
