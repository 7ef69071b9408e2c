//! [`Room`]: the futures that wait for a free slot, in order, each with its
//! place in itself.

use core::cell::UnsafeCell;
use core::marker::PhantomPinned;
use core::ptr::NonNull;
use core::task::Waker;

/// A future's place in the list. It stays where it is while it is in one.
pub(super) struct Place {
    links: UnsafeCell<Links>,
    _pinned: PhantomPinned,
}

struct Links {
    before: Option<NonNull<Place>>,
    after: Option<NonNull<Place>>,
    /// There while it is in the list.
    waker: Option<Waker>,
    /// A slot was freed for this one.
    called: bool,
}

impl Place {
    pub(super) const fn new() -> Place {
        Place {
            links: UnsafeCell::new(Links {
                before: None,
                after: None,
                waker: None,
                called: false,
            }),
            _pinned: PhantomPinned,
        }
    }
}

/// The list. Who has `&mut` to it may touch the places in it.
pub(super) struct Room {
    first: Option<NonNull<Place>>,
    last: Option<NonNull<Place>>,
}

impl Room {
    pub(super) const fn new() -> Room {
        Room {
            first: None,
            last: None,
        }
    }

    /// # Safety
    /// The place is in no list but this, and stays alive and where it is until
    /// `leave` (or `call`) has taken it out.
    unsafe fn links(&mut self, place: NonNull<Place>) -> &mut Links {
        // SAFETY: alive, by the caller's promise; every access to links is
        // made through `&mut Room`, and none outlives it.
        unsafe { &mut *UnsafeCell::raw_get(&raw const (*place.as_ptr()).links) }
    }

    /// Puts the place at the end of the list, or gives it a new waker. The old
    /// waker comes back.
    ///
    /// # Safety
    /// As [`Room::links`]; it always meets the same list.
    pub(super) unsafe fn enter(&mut self, place: NonNull<Place>, waker: Waker) -> Option<Waker> {
        let last = self.last;
        // SAFETY: the caller's promise.
        let links = unsafe { self.links(place) };
        let old = links.waker.replace(waker);
        links.called = false;
        if old.is_some() {
            return old;
        }
        links.before = last;
        links.after = None;
        match last {
            // SAFETY: it is in the list.
            Some(last) => unsafe { self.links(last) }.after = Some(place),
            None => self.first = Some(place),
        }
        self.last = Some(place);
        None
    }

    /// Takes the place out, if it is in. Its waker, and whether a slot had been
    /// freed for it, which is another's now.
    ///
    /// # Safety
    /// As [`Room::enter`].
    pub(super) unsafe fn leave(&mut self, place: NonNull<Place>) -> (Option<Waker>, bool) {
        // SAFETY: the caller's promise.
        let links = unsafe { self.links(place) };
        let (before, after) = (links.before.take(), links.after.take());
        let called = core::mem::take(&mut links.called);
        let waker = links.waker.take();
        if waker.is_some() {
            match before {
                // SAFETY: it is in the list.
                Some(before) => unsafe { self.links(before) }.after = after,
                None => self.first = after,
            }
            match after {
                // SAFETY: it is in the list.
                Some(after) => unsafe { self.links(after) }.before = before,
                None => self.last = before,
            }
        }
        (waker, called)
    }

    /// Takes the first out, for whom a slot is free now.
    pub(super) fn call(&mut self) -> Option<Waker> {
        let first = self.first?;
        // SAFETY: it is in the list, so it is alive.
        let (waker, _) = unsafe { self.leave(first) };
        // SAFETY: as above; it is looked at once more before it may go.
        unsafe { self.links(first) }.called = true;
        waker
    }
}
