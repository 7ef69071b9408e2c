//! Taking `batch` available completions: from the ring in memory, or by a system call.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

use io_uring::IoUring;
use linux_aio::abi::{OldTimespec, RingHeader};
use linux_aio::{AioContext, Event, Queue, Slot, WaitOptions};

use crate::calls::{call, getevents};
use crate::libaio::LibAio;
use crate::meter::Meter;
use crate::ready::{MOST, Ready};

/// A hand-written ring reader.
#[derive(Clone, Copy)]
pub(crate) struct HandWritten {
    header: *mut RingHeader,
    nr: u32,
}

impl HandWritten {
    /// Creates a reader of the context's ring.
    ///
    /// # Safety
    /// The context exists as long as the reader, and no other code reads its ring.
    pub(crate) unsafe fn new(ctx: AioContext) -> HandWritten {
        let header = ctx.0 as *mut RingHeader;
        // SAFETY: the context exists, so the kernel has mapped its ring there.
        let nr = unsafe { (*header).nr };
        HandWritten { header, nr }
    }

    #[inline(always)]
    fn indices(&self) -> (&AtomicU32, &AtomicU32) {
        // SAFETY: the ring is mapped as long as the context exists, by the contract of
        // `new`.
        unsafe {
            (
                AtomicU32::from_ptr(&raw mut (*self.header).head),
                AtomicU32::from_ptr(&raw mut (*self.header).tail),
            )
        }
    }

    /// Takes all events without reading any.
    fn skip(self) {
        let (head, tail) = self.indices();
        head.store(tail.load(Ordering::Acquire), Ordering::Release);
    }

    /// Takes one event. Does not validate the ring.
    #[inline(always)]
    pub(crate) fn pop(self) -> Option<Event> {
        let (head, tail) = self.indices();
        let mut at = head.load(Ordering::Relaxed);
        if at == tail.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: the slot is between head and tail, and the events follow the header.
        let event = unsafe { self.header.add(1).cast::<Event>().add(at as usize).read() };
        at += 1;
        head.store(if at == self.nr { 0 } else { at }, Ordering::Release);
        Some(event)
    }
}

/// Takes `meter.count` completions, up to `batch` at a time.
pub(crate) fn reap(baseline: &str, batch: usize, meter: &mut Meter) -> Option<()> {
    if baseline == "uring" {
        return uring(batch, meter);
    }
    let mut ready = Ready::new();
    let mut context = ready.context();
    let mut ring = context.ring();
    // SAFETY: `ring` is not used while this reader is.
    let reader = unsafe { HandWritten::new(ready.ctx) };
    let libaio = LibAio::open();
    let mut events = [Event::EMPTY; 64];
    let events = events.get_mut(..batch)?;
    let now = OldTimespec::default();
    for _ in 0..meter.count / MOST as u64 {
        ready.complete(MOST);
        let taken = match (baseline, batch) {
            // The cost of the measurement itself.
            ("nothing", _) => meter.time(|| {
                reader.skip();
                MOST as u64
            }),
            ("hand", 1) => meter.time(|| {
                let mut taken = 0;
                while let Some(event) = reader.pop() {
                    black_box(event);
                    taken += 1;
                }
                taken
            }),
            ("hand", _) => meter.time(|| {
                let mut taken = 0;
                while taken < MOST as u64 {
                    for place in &mut *events {
                        let Some(event) = reader.pop() else { break };
                        *place = event;
                        taken += 1;
                    }
                    black_box(&mut *events);
                }
                taken
            }),
            ("ring", 1) => meter.time(|| {
                let mut taken = 0;
                while let Ok(Some(event)) = ring.pop() {
                    black_box(event);
                    taken += 1;
                }
                taken
            }),
            ("ring", _) => meter.time(|| {
                let mut taken = 0;
                while let Ok(events @ [_, ..]) = ring.reap(events) {
                    taken += black_box(events).len() as u64;
                }
                taken
            }),
            ("libaio", _) => {
                let libaio = libaio.as_ref()?;
                let (nr, ctx) = (events.len() as i64, ready.ctx.0);
                let events = events.as_mut_ptr();
                meter.time(|| {
                    let mut taken = 0;
                    while taken < MOST as u64 {
                        // SAFETY: `events` has space for `nr` events, and no other code
                        // reads the ring.
                        let call =
                            || unsafe { (libaio.getevents)(ctx, 0, nr, events, &raw const now) };
                        taken += black_box(call()) as u64;
                    }
                    taken
                })
            }
            ("context", _) => {
                let context = ready.context();
                meter.time(|| {
                    let mut taken = 0;
                    while taken < MOST as u64 {
                        let events = context.wait_with(0, events, WaitOptions::poll());
                        taken += events.map_or(0, |events| black_box(events).len() as u64);
                    }
                    taken
                })
            }
            (_, 1) => call(baseline, &ready, MOST as u64, |calls| meter.time(calls))?,
            _ => return None,
        };
        assert_eq!(taken, MOST as u64);
    }
    Some(())
}

/// Polls an empty ring; `nothing` is the loop that the other cases have around it.
pub(crate) fn peek(baseline: &str, meter: &mut Meter) -> Option<()> {
    let ready = Ready::new();
    let mut context = ready.context();
    match baseline {
        "nothing" => {
            let mut ring = context.ring();
            meter.repeat(|| {
                black_box(&mut ring);
                true
            });
        }
        "ring" => {
            let mut ring = context.ring();
            meter.repeat(|| black_box(&mut ring).pop() == Ok(None));
        }
        "hand" => {
            // SAFETY: no other code reads the ring.
            let reader = unsafe { HandWritten::new(ready.ctx) };
            meter.repeat(|| black_box(&reader).pop().is_none());
        }
        "queue" => {
            let mut slots = Slot::<()>::array::<1>();
            let mut queue = Queue::new(&mut slots).ok()?;
            meter.repeat(|| black_box(&mut queue).pop() == Ok(None));
        }
        "uring" => {
            let mut ring = IoUring::new(8).ok()?;
            meter.repeat(|| black_box(&mut ring).completion().next().is_none());
        }
        _ => return getevents(baseline, meter),
    }
    Some(())
}

/// Measures io_uring completions of operations that do nothing.
fn uring(batch: usize, meter: &mut Meter) -> Option<()> {
    let mut ring = IoUring::new(MOST as u32).ok()?;
    for _ in 0..meter.count / MOST as u64 {
        let nop = io_uring::opcode::Nop::new().build();
        // SAFETY: the operations have no buffers.
        unsafe { ring.submission().push_multiple(&vec![nop; MOST]) }.ok()?;
        ring.submit_and_wait(MOST).ok()?;
        let taken = meter.time(|| {
            let mut taken = 0;
            while taken < MOST {
                taken += ring.completion().take(batch).map(black_box).count();
            }
            taken
        });
        assert_eq!(taken, MOST);
    }
    Some(())
}
