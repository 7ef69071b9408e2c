//! Programs over the engine: operations in slots are pushed, submitted, cancelled and
//! dropped, while one kernel thread for each operation accesses its buffer.

use core::mem::MaybeUninit;

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::{Condvar, Mutex};
use loom::thread::{self, JoinHandle};

use super::Ring;
use super::batch_reader::BatchReader;
use crate::context::WaitOptions;
use crate::engine::{Backend, Engine, RawSlot, Ticket};
use crate::ring::Polled;
use crate::sys::abi::{Event, IOCB_CMD_POLL, IOCB_CMD_PREAD, Iocb};
use crate::sys::errno::Errno;

/// The content of a buffer's memory after the kernel has read into it.
const READ: u64 = 0xa10;
/// The result of a poll that was not cancelled.
const READY: i64 = 1;
/// The content of a buffer's memory after its owner has dropped it.
const DROPPED: u64 = 0xdead;

/// The memory of a buffer. It outlives the buffer, so that a late access is detected
/// and is not undefined behaviour. Its reference count is not one of loom's, which
/// would report leaks: a leaked buffer is correct where it has to be leaked.
struct Cell(UnsafeCell<u64>);

// SAFETY: loom reports every pair of conflicting accesses.
unsafe impl Sync for Cell {}

impl Cell {
    fn read(&self) -> u64 {
        // SAFETY: loom reports a conflicting access by another thread.
        self.0.with(|word| unsafe { *word })
    }

    fn write(&self, value: u64) {
        // SAFETY: loom reports a conflicting access by another thread.
        self.0.with_mut(|word| unsafe { *word = value });
    }
}

/// A buffer. Dropping it writes to its memory, which no other thread may access then.
pub struct Buffer(Arc<Cell>);

impl Drop for Buffer {
    fn drop(&mut self) {
        assert_ne!(self.0.read(), DROPPED, "dropped twice");
        self.0.write(DROPPED);
    }
}

/// The kernel side of one context: a thread for each submitted operation.
struct Model {
    shared: loom::sync::Arc<Shared>,
    run: BatchReader<Ring>,
    threads: Vec<JoinHandle<()>>,
    /// True if the polled descriptor becomes ready.
    ready: bool,
    /// True if the context belongs to another process.
    foreign: bool,
}

struct Shared {
    ring: Ring,
    /// Polls without an event, with the addresses of their iocbs as their buffers.
    polls: Mutex<Vec<Iocb>>,
    /// The number of events, for threads that wait for one.
    completed: Mutex<usize>,
    wake: Condvar,
}

impl Shared {
    /// Removes and returns the poll that was submitted at this address, if it has no
    /// event yet. The caller adds its event.
    fn end_poll(&self, address: usize) -> Option<Iocb> {
        let mut polls = self.polls.lock().unwrap();
        let found = polls.iter().position(|poll| poll.buf == address as u64)?;
        Some(polls.remove(found))
    }

    fn complete(&self, data: u64, res: i64) {
        self.ring.complete(Event {
            data,
            obj: 0,
            res,
            res2: 0,
        });
        *self.completed.lock().unwrap() += 1;
        self.wake.notify_all();
    }
}

impl Model {
    fn new(nr: u32) -> Model {
        let shared = Shared {
            ring: Ring::new(nr, 0),
            polls: Mutex::new(Vec::new()),
            completed: Mutex::new(0),
            wake: Condvar::new(),
        };
        Model {
            run: shared.ring.run(),
            shared: loom::sync::Arc::new(shared),
            threads: Vec::new(),
            ready: false,
            foreign: false,
        }
    }

    fn spawn(&mut self, run: impl FnOnce(&Shared) + Send + 'static) {
        let shared = self.shared.clone();
        self.threads.push(thread::spawn(move || run(&shared)));
    }
}

// SAFETY: an event is added after the write to the buffer, and `destroy` waits for all
// threads.
unsafe impl Backend for Model {
    unsafe fn submit(&mut self, iocbs: &[*mut Iocb]) -> Result<usize, Errno> {
        for (taken, &iocb) in iocbs.iter().enumerate() {
            if !self.shared.ring.claim() {
                return if taken > 0 {
                    Ok(taken)
                } else {
                    Err(Errno::AGAIN)
                };
            }
            // SAFETY: the pointers are valid, by the contract of `Backend::submit`.
            let copy = unsafe { *iocb };
            if copy.opcode == IOCB_CMD_POLL {
                let address = iocb.addr();
                self.shared.polls.lock().unwrap().push(Iocb {
                    buf: address as u64,
                    ..copy
                });
                if self.ready {
                    self.spawn(move |shared| {
                        if let Some(poll) = shared.end_poll(address) {
                            shared.complete(poll.data, READY);
                        }
                    });
                }
            } else {
                self.spawn(move |shared| {
                    let cell = core::ptr::with_exposed_provenance::<Cell>(copy.buf as usize);
                    // SAFETY: the program keeps the memory until it ends.
                    unsafe { (*cell).write(READ) };
                    shared.complete(copy.data, 0);
                });
            }
        }
        Ok(iocbs.len())
    }

    fn poll_found(&mut self) -> Polled {
        // SAFETY: this thread is the only reader of the ring.
        match unsafe { self.run.next(&self.shared.ring) } {
            Some(event) => Polled::Found(event),
            None => Polled::Empty,
        }
    }

    fn poll(&mut self) -> Polled {
        if let found @ Polled::Found(_) = self.poll_found() {
            return found;
        }
        // SAFETY: this thread is the only reader of the ring.
        unsafe { self.run.poll(&self.shared.ring) }
    }

    fn pop(&mut self) -> Result<Option<Event>, Errno> {
        self.make_room();
        let event = self.shared.ring.take_one();
        self.run = self.shared.ring.run();
        Ok(event)
    }

    fn make_room(&mut self) -> bool {
        !self.run.is_published() && self.run.publish(&self.shared.ring)
    }

    fn wait(
        &mut self,
        min_nr: usize,
        events: &mut [Event],
        _wait: WaitOptions<'_>,
    ) -> Result<usize, Errno> {
        let mut taken = 0;
        self.make_room();
        loop {
            // The count is read before the ring: a later event changes it and wakes
            // this thread.
            let before = *self.shared.completed.lock().unwrap();
            taken += self.shared.ring.take(&mut events[taken..]);
            if taken >= min_nr {
                self.run = self.shared.ring.run();
                return Ok(taken);
            }
            let mut completed = self.shared.completed.lock().unwrap();
            while *completed == before {
                completed = self.shared.wake.wait(completed).unwrap();
            }
        }
    }

    fn check(&self) -> Result<(), Errno> {
        if self.foreign {
            Err(Errno::INVAL)
        } else {
            Ok(())
        }
    }

    fn cancel(&mut self, iocb: *const Iocb) -> Result<(), Errno> {
        let poll = self.shared.end_poll(iocb.addr()).ok_or(Errno::INVAL)?;
        self.spawn(move |shared| shared.complete(poll.data, 0));
        Ok(())
    }

    fn is_copy(&self) -> bool {
        self.foreign
    }

    fn destroy(&mut self) -> Result<(), Errno> {
        self.check()?;
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        Ok(())
    }
}

/// The kind of poll among the operations. It is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// No poll.
    None,
    /// A poll that completes only when it is cancelled.
    Idle,
    /// A poll whose descriptor becomes ready, before the cancellation or after it.
    Ready,
}

/// The way in which the operations are completed.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// Polls for each completion, without waiting.
    Pop,
    /// Waits for the completions.
    Wait,
    /// Drops the engine with operations in flight, after one poll.
    Drop,
    /// Drops the engine's copy in a forked child, where the state of the buffers is
    /// unknown.
    Foreign,
}

/// Runs `reads` reads and a poll, if there is one, over a ring that accepts `capacity` of
/// them. The poll is cancelled, and all operations are completed as `end` defines. Each
/// operation yields one completion with its buffer intact, or its buffer is dropped
/// after the operation has completed in the kernel.
pub fn run(reads: usize, poll: Poll, capacity: u32, end: End) {
    let memory: Vec<Arc<Cell>> = (0..reads)
        .map(|_| Arc::new(Cell(UnsafeCell::new(0))))
        .collect();
    let mut array = [const { RawSlot::<Option<Buffer>>::NEW }; 3];
    let mut engine = Engine::new(&mut array, Model::new(capacity + 1));
    let tickets: Vec<Ticket> = memory.iter().map(|cell| read(&mut engine, cell)).collect();
    engine.backend.ready = poll == Poll::Ready;
    let poll = (poll != Poll::None).then(|| {
        let iocb = Iocb {
            opcode: IOCB_CMD_POLL,
            ..Iocb::EMPTY
        };
        engine.slots.stage(&iocb, MaybeUninit::new(None), ())
    });
    let mut taken = Vec::new();
    let mut refused = submit(&mut engine);
    let cancelled = poll.map(|poll| engine.cancel(poll));
    if !engine.backend.ready {
        assert_ne!(cancelled, Some(Err(Errno::INVAL)));
    }
    match end {
        End::Pop | End::Wait => {
            while taken.len() < reads + usize::from(poll.is_some()) {
                take_completion(&mut engine, matches!(end, End::Wait), cancelled, &mut taken);
                if refused {
                    refused = submit(&mut engine);
                }
            }
            assert_eq!(engine.pop(), Polled::Empty);
            assert_eq!((engine.slots.in_flight(), engine.slots.staged()), (0, 0));
        }
        End::Drop => {
            take_completion(&mut engine, false, cancelled, &mut taken);
        }
        End::Foreign => engine.backend.foreign = true,
    }
    let threads = match end {
        End::Foreign => core::mem::take(&mut engine.backend.threads),
        _ => Vec::new(),
    };
    drop(engine);
    for thread in threads {
        thread.join().unwrap();
    }
    // All kernel threads have finished.
    let leaked = matches!(end, End::Foreign);
    for (cell, ticket) in memory.iter().zip(&tickets) {
        let word = cell.read();
        assert_eq!(word, if leaked { READ } else { DROPPED }, "{ticket:?}");
    }
    let mut once = taken.clone();
    once.dedup();
    assert_eq!(once.len(), taken.len(), "a completion came twice");
}

fn read(engine: &mut Engine<'_, Option<Buffer>, (), Model>, cell: &Arc<Cell>) -> Ticket {
    let iocb = Iocb {
        opcode: IOCB_CMD_PREAD,
        buf: core::ptr::from_ref(&**cell).expose_provenance() as u64,
        ..Iocb::EMPTY
    };
    let buffer = MaybeUninit::new(Some(Buffer(cell.clone())));
    engine.slots.stage(&iocb, buffer, ())
}

/// Submits, and returns whether the ring had no space for all operations.
fn submit(engine: &mut Engine<'_, Option<Buffer>, (), Model>) -> bool {
    // SAFETY: the buffers' memory outlives the program's threads.
    match unsafe { engine.submit() } {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.errno, Errno::AGAIN);
            true
        }
    }
}

/// Takes a completion if one is there; waits for it if `wait` is set.
fn take_completion(
    engine: &mut Engine<'_, Option<Buffer>, (), Model>,
    wait: bool,
    cancelled: Option<Result<(), Errno>>,
    taken: &mut Vec<Ticket>,
) {
    if wait && engine.slots.in_flight() > 0 {
        assert!(engine.wait(1, WaitOptions::new()).unwrap() > 0);
    }
    let completed = match engine.pop() {
        Polled::Found(completed) => Some(completed),
        Polled::Empty => None,
        Polled::NeedsSyscall => engine.slots.pop_completed(),
    };
    match completed {
        Some((index, res)) => {
            let released = engine.slots.release(index);
            match released.payload {
                Some(buffer) => {
                    assert_eq!(buffer.0.read(), READ, "the event came before the bytes");
                }
                // Either ready or cancelled, never both.
                None => assert_eq!(Some(res == 0), cancelled.map(|c| c.is_ok())),
            }
            assert!(!taken.contains(&released.ticket), "a completion came twice");
            taken.push(released.ticket);
        }
        None => thread::yield_now(),
    }
}
