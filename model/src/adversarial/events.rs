//! A kernel with invalid answers: events of operations that were never submitted, false
//! counts, and errors from every system call.

use core::cell::{Cell, RefCell};
use core::mem::MaybeUninit;
use std::rc::Rc;

use super::Source;
use crate::context::WaitOptions;
use crate::engine::{Backend, Engine, RawSlot, Ticket};
use crate::ring::Polled;
use crate::sys::abi::{Event, IOCB_CMD_POLL, IOCB_CMD_PREAD, Iocb};
use crate::sys::errno::Errno;

const SLOTS: usize = 5;

/// A buffer whose drops are counted.
struct Counted(Rc<Cell<u32>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// The operations submitted to the kernel, and their state.
struct Known<'d> {
    source: Source<'d>,
    /// The `data` words of all operations that were ever submitted.
    given: Vec<u64>,
    /// The `data` words of the operations that are in flight.
    has: Vec<u64>,
    /// True if `destroy` was refused: the state of the operations in flight is unknown.
    kept: bool,
}

struct Liar<'k, 'd> {
    known: &'k RefCell<Known<'d>>,
    dead: bool,
}

impl Known<'_> {
    fn errno(&mut self) -> Errno {
        [Errno::INVAL, Errno::AGAIN, Errno::BADF, Errno::INTR][self.source.below(4)]
    }

    /// Returns an arbitrary event.
    fn event(&mut self) -> Event {
        let like = match (self.source.below(4), self.given.len(), self.has.len()) {
            (0, ..) => self.source.long(),
            (1, len @ 1.., _) => self.given[self.source.below(len)],
            (_, _, len @ 1..) => self.has[self.source.below(len)],
            _ => 0,
        };
        let data = match self.source.below(6) {
            0 => like ^ 1 << self.source.below(64),
            1 => like.wrapping_add(1 << 32),
            2 => u64::from(self.source.byte()),
            _ => like,
        };
        // An event that matches an operation in flight completes it.
        if let Some(at) = self.has.iter().position(|&word| word == data) {
            self.has.remove(at);
        }
        Event {
            data,
            obj: self.source.long(),
            res: self.source.long() as i64,
            res2: self.source.long() as i64,
        }
    }
}

// SAFETY: the contract of `Backend` is broken on purpose. No operation has memory
// behind its buffer, so no memory is accessed.
unsafe impl Backend for Liar<'_, '_> {
    unsafe fn submit(&mut self, iocbs: &[*mut Iocb]) -> Result<usize, Errno> {
        if self.dead {
            return Err(Errno::INVAL);
        }
        let known = &mut *self.known.borrow_mut();
        if known.source.below(4) == 0 {
            return Err(known.errno());
        }
        let taken = known.source.below(iocbs.len() + 1);
        for &iocb in &iocbs[..taken] {
            // SAFETY: the pointers are valid, by the contract of `Backend::submit`.
            let word = unsafe { (*iocb).data };
            assert!(!known.given.contains(&word), "a word was used again");
            known.given.push(word);
            known.has.push(word);
        }
        Ok(taken)
    }

    fn poll_found(&mut self) -> Polled {
        let known = &mut *self.known.borrow_mut();
        if self.dead || known.source.is_empty() {
            return Polled::Empty;
        }
        match known.source.below(8) {
            0 => Polled::NeedsSyscall,
            1..=4 => Polled::Empty,
            _ => Polled::Found(known.event()),
        }
    }

    fn poll(&mut self) -> Polled {
        let known = &mut *self.known.borrow_mut();
        if self.dead || known.source.is_empty() {
            return Polled::NeedsSyscall;
        }
        match known.source.below(8) {
            0 => Polled::NeedsSyscall,
            1 => Polled::Empty,
            _ => Polled::Found(known.event()),
        }
    }

    fn make_room(&mut self) -> bool {
        !self.dead && self.known.borrow_mut().source.below(4) == 1
    }

    fn pop(&mut self) -> Result<Option<Event>, Errno> {
        if self.dead {
            return Err(Errno::INVAL);
        }
        let known = &mut *self.known.borrow_mut();
        if known.source.is_empty() {
            return Ok(None);
        }
        match known.source.below(8) {
            0 => Err(known.errno()),
            1 => Ok(None),
            _ => Ok(Some(known.event())),
        }
    }

    fn wait(
        &mut self,
        _min_nr: usize,
        events: &mut [Event],
        _wait: WaitOptions<'_>,
    ) -> Result<usize, Errno> {
        if self.dead {
            return Err(Errno::INVAL);
        }
        let known = &mut *self.known.borrow_mut();
        if known.source.is_empty() {
            return Err(Errno::INVAL);
        }
        match known.source.below(8) {
            0 => Err(known.errno()),
            kind => {
                let count = known.source.below(events.len() + 1);
                for event in &mut events[..count] {
                    *event = known.event();
                }
                // More than the array has space for.
                let all = count == events.len() && kind == 1;
                Ok(if all { usize::MAX } else { count })
            }
        }
    }

    fn check(&self) -> Result<(), Errno> {
        if self.dead {
            return Err(Errno::INVAL);
        }
        let known = &mut *self.known.borrow_mut();
        match known.source.below(4) {
            0 => Err(known.errno()),
            _ => Ok(()),
        }
    }

    fn cancel(&mut self, _iocb: *const Iocb) -> Result<(), Errno> {
        self.check()
    }

    fn is_copy(&self) -> bool {
        false
    }

    fn destroy(&mut self) -> Result<(), Errno> {
        if core::mem::replace(&mut self.dead, true) {
            return Err(Errno::INVAL);
        }
        let known = &mut *self.known.borrow_mut();
        if known.source.below(4) == 0 {
            known.kept = true;
            return Err(known.errno());
        }
        known.has.clear();
        Ok(())
    }
}

/// Performs the steps encoded in `data`, over a kernel whose answers are read from the
/// same bytes. Only operations in flight complete. Each buffer is dropped once, or
/// never if the kernel may hold it forever.
pub fn run(data: &[u8]) {
    let known = RefCell::new(Known {
        source: Source { bytes: data },
        given: Vec::new(),
        has: Vec::new(),
        kept: false,
    });
    let mut array = [const { RawSlot::<Option<Counted>>::NEW }; SLOTS];
    let mut engine = Engine::new(
        &mut array,
        Liar {
            known: &known,
            dead: false,
        },
    );
    let mut buffers: Vec<Rc<Cell<u32>>> = Vec::new();
    let mut tickets: Vec<Ticket> = Vec::new();
    for _ in 0..256 {
        let step = {
            let source = &mut known.borrow_mut().source;
            if source.is_empty() {
                break;
            }
            source.below(9)
        };
        match step {
            0 | 1 if engine.slots.reserve() => {
                let counter = Rc::<Cell<u32>>::default();
                buffers.push(counter.clone());
                let opcode = [IOCB_CMD_PREAD, IOCB_CMD_POLL][step];
                let iocb = Iocb {
                    opcode,
                    ..Iocb::EMPTY
                };
                let buffer = MaybeUninit::new(Some(Counted(counter)));
                tickets.push(engine.slots.stage(&iocb, buffer, ()));
            }
            2 => {
                // SAFETY: the operations have no memory that the kernel could access.
                let _ = unsafe { engine.submit() };
            }
            3 => {
                // SAFETY: the operations have no memory that the kernel could access.
                unsafe { engine.flush() };
            }
            4 | 5 => {
                let done = match engine.pop() {
                    Polled::Found(completed) => Some(completed),
                    Polled::Empty => None,
                    Polled::NeedsSyscall => {
                        let _ = engine.poll_via_syscall();
                        engine.slots.pop_completed()
                    }
                };
                if let Some((index, _)) = done {
                    assert!(engine.slots.release(index).payload.is_some());
                }
            }
            6 => {
                let min = known.borrow_mut().source.below(SLOTS + 2);
                let _ = engine.wait(min, WaitOptions::new());
            }
            7 if !tickets.is_empty() => {
                let pick = known.borrow_mut().source.below(tickets.len());
                let _ = engine.cancel(tickets[pick]);
            }
            8 => {
                let _ = engine.drain();
            }
            _ => {}
        }
        assert_eq!(engine.slots.in_flight(), known.borrow().has.len());
        assert!(
            buffers.iter().all(|drops| drops.get() <= 1),
            "dropped twice"
        );
    }
    drop(engine);
    // Buffers that the kernel may still hold are leaked; all others are dropped.
    let known = known.borrow();
    let leaked = buffers.iter().filter(|drops| drops.get() == 0).count();
    let kept = if known.kept { known.has.len() } else { 0 };
    assert_eq!(leaked, kept);
    assert!(
        buffers.iter().all(|drops| drops.get() <= 1),
        "dropped twice"
    );
}
