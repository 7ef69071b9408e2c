//! The end of an owner of slots: what is left in them is dropped or leaked.

use core::mem::MaybeUninit;

use super::{Extra, Released, SlotOffset, Slots};

impl<P, X: Extra> Slots<'_, P, X> {
    /// Empties every slot and drops the payloads and extras. The payloads of operations
    /// in flight are leaked unless `completed` says that the kernel no longer uses
    /// their buffers.
    ///
    /// A destructor that panics does not keep the others from running.
    #[inline]
    pub(crate) fn clear(&mut self, completed: bool) {
        if self.staged + self.in_flight + self.completed + self.notified > 0 {
            self.clear_all(completed);
        }
    }

    fn clear_all(&mut self, completed: bool) {
        struct Rest<'a, 's, P, X: Extra> {
            slots: &'a mut Slots<'s, P, X>,
            completed: bool,
            /// The last slot that was found by the scan.
            last: Option<SlotOffset>,
        }

        impl<P, X: Extra> Rest<'_, '_, P, X> {
            fn drop_all(&mut self) {
                while let Some(at) = self.slots.take_any(&mut self.last) {
                    let owned = self.completed || !at.in_flight;
                    let Released { payload, extra, .. } = self.slots.release(at.slot);
                    let payload = MaybeUninit::new(payload);
                    if owned {
                        // SAFETY: it was initialised one line above, and is read only
                        // here.
                        drop((unsafe { payload.assume_init() }, extra));
                    }
                }
            }
        }

        impl<P, X: Extra> Drop for Rest<'_, '_, P, X> {
            fn drop(&mut self) {
                self.drop_all();
            }
        }

        let mut rest = Rest {
            slots: self,
            completed,
            last: None,
        };
        rest.drop_all();
    }

    /// Takes any operation out of its list, ready to be released. Operations that
    /// are in no list come last, found by a scan from `last`.
    fn take_any(&mut self, last: &mut Option<SlotOffset>) -> Option<Unlisted> {
        let listed = |slot| Unlisted {
            slot,
            in_flight: false,
        };
        if let Some(at) = self.unstage_first() {
            return Some(listed(at));
        }
        if let Some((at, _)) = self.pop_completed() {
            return Some(listed(at));
        }
        if self.notified + self.in_flight == 0 {
            return None;
        }
        let slot = self.next_after(*last, |tag| tag.is_notified() || tag.is_in_flight())?;
        *last = Some(slot);
        let in_flight = self.tag(slot).is_in_flight();
        if in_flight {
            self.leave_flight(slot);
        } else {
            // Notified; its future was leaked.
            self.take_result(slot);
        }
        Some(Unlisted { slot, in_flight })
    }
}

/// An operation that was taken out of its list.
struct Unlisted {
    slot: SlotOffset,
    in_flight: bool,
}
