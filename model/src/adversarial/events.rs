//! A kernel that lies: events of operations that it does not have, counts that
//! are not, refusals of everything.

use core::cell::{Cell, RefCell};
use core::mem::MaybeUninit;
use std::rc::Rc;

use super::Source;
use crate::context::WaitOptions;
use crate::engine::{Backend, Engine, Polled, RawSlot, Ticket};
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

/// What the kernel was given, and what came of it.
struct Known<'d> {
    source: Source<'d>,
    /// The words of all operations that it ever had.
    given: Vec<u64>,
    /// Of those that it has.
    has: Vec<u64>,
    /// It has refused to end: nothing is known of what it has.
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

    /// Any event.
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
        // That it is the right one by chance is no lie.
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

// SAFETY: it is none, but there is no memory behind the buffers either.
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
            // SAFETY: the caller's pointers.
            let word = unsafe { (*iocb).data };
            assert!(!known.given.contains(&word), "a word was used again");
            known.given.push(word);
            known.has.push(word);
        }
        Ok(taken)
    }

    fn poll(&mut self, look: bool) -> Polled {
        let known = &mut *self.known.borrow_mut();
        if self.dead || known.source.is_empty() {
            return if look {
                Polled::NeedsSyscall
            } else {
                Polled::Empty
            };
        }
        match known.source.below(8) {
            0 => Polled::NeedsSyscall,
            1 => Polled::Empty,
            2..=4 if !look => Polled::Empty,
            _ => Polled::Event(known.event()),
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
                // More than there is room for.
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

    fn take(&mut self) -> Self {
        let dead = core::mem::replace(&mut self.dead, true);
        Liar {
            known: self.known,
            dead,
        }
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

/// Does with operations what the bytes say, over a kernel that does the same.
/// Only what it has can end, and each buffer is given up once, or never if the
/// kernel may have it for ever.
pub fn run(data: &[u8]) {
    let known = RefCell::new(Known {
        source: Source { bytes: data },
        given: Vec::new(),
        has: Vec::new(),
        kept: false,
    });
    let mut array = RawSlot::<Option<Counted>>::array::<SLOTS>();
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
            0 | 1 if !engine.slots.is_full() => {
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
                // SAFETY: there is no memory.
                let _ = unsafe { engine.submit() };
            }
            3 => {
                // SAFETY: there is no memory.
                unsafe { engine.flush() };
            }
            4 | 5 => {
                let done = match engine.pop() {
                    Some(done) => done,
                    None => {
                        let _ = engine.poll_via_syscall();
                        engine.slots.take_done()
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
    // Of what it has kept, nothing is dropped; of all else, everything is.
    let known = known.borrow();
    let leaked = buffers.iter().filter(|drops| drops.get() == 0).count();
    let kept = if known.kept { known.has.len() } else { 0 };
    assert_eq!(leaked, kept);
    assert!(
        buffers.iter().all(|drops| drops.get() <= 1),
        "dropped twice"
    );
}
