//! User code: a waker, a buffer and data. Each of their calls may call back into the
//! reactor, and may panic.

use std::cell::Cell;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{RawWaker, RawWakerVTable, Waker};
use std::thread;

use linux_aio::buffer::{IoBuf, IoBufMut};
use linux_aio::{OwnsFd, reactor};

use crate::ledger::Ledger;
use crate::operation::{SIZE, content};
use crate::random::once_in;
use crate::watch;

pub(crate) type Reactor<L> = reactor::Reactor<'static, Bytes, L, Data>;
pub(crate) type Slot = reactor::ReactorSlot<Bytes, Data>;

/// The maximum nesting depth of user code calls.
const DEPTH: u32 = 4;

/// One in so many calls calls back.
const ACTS: u32 = 4;
/// One in so many calls panics.
const PANICS: u32 = 40;

/// The content of a buffer before it is read into, and after it was dropped.
pub(crate) const FRESH: u8 = 0xaa;
pub(crate) const DROPPED: u8 = 0xdd;

pub(crate) static CALLS: AtomicU64 = AtomicU64::new(0);
pub(crate) static CALLS_BACK: AtomicU64 = AtomicU64::new(0);
pub(crate) static THROWN: AtomicU64 = AtomicU64::new(0);

/// The interface that user code reaches through a thread-local variable.
pub(crate) trait Reach {
    fn ledger(&self) -> &Ledger;
    /// Performs a random action.
    fn act(&'static self);
    fn has_completed(&self) -> bool;
}

thread_local! {
    static HARNESS: Cell<Option<&'static dyn Reach>> = const { Cell::new(None) };
    static INSIDE: Cell<u32> = const { Cell::new(0) };
}

pub(crate) fn set_harness(harness: Option<&'static dyn Reach>) {
    HARNESS.set(harness);
}

fn harness() -> &'static dyn Reach {
    HARNESS.get().expect("user code runs in a round")
}

/// The payload of a planned panic. It does not reach the panic hook.
pub(crate) struct Planned;

/// Records a call of user code, which may call back and panic.
fn called(point: &str) {
    assert!(!watch::is_held(), "{point} runs while the lock is held");
    CALLS.fetch_add(1, Relaxed);
    let harness = harness();
    if INSIDE.get() < DEPTH && !harness.has_completed() && once_in(ACTS) {
        struct Inside;
        impl Drop for Inside {
            fn drop(&mut self) {
                INSIDE.set(INSIDE.get() - 1);
            }
        }
        INSIDE.set(INSIDE.get() + 1);
        let _inside = Inside;
        CALLS_BACK.fetch_add(1, Relaxed);
        harness.act();
    }
    // A second panic during unwinding would abort.
    if !thread::panicking() && once_in(PANICS) {
        THROWN.fetch_add(1, Relaxed);
        resume_unwind(Box::new(Planned));
    }
}

/// One of the blocks of a round's memory, which stays allocated when this is dropped.
pub(crate) struct Bytes {
    pub(crate) id: u32,
    block: *mut u8,
    /// The block of the file that is read or written.
    from: u32,
}

// SAFETY: only this value accesses the block until it is dropped.
unsafe impl Send for Bytes {}

impl Bytes {
    /// Creates a buffer and fills its block.
    ///
    /// # Safety
    ///
    /// The caller promises that `block` is valid for [`SIZE`] bytes for as long as the
    /// process runs, and that no other `Bytes` of this round has it.
    pub(crate) unsafe fn new(id: u32, block: *mut u8, from: u32) -> Bytes {
        harness().ledger().make_buffer(id);
        // SAFETY: the caller promises that the block is valid for `SIZE` bytes and that
        // no other value has it.
        unsafe { block.write_bytes(FRESH, SIZE) };
        Bytes { id, block, from }
    }

    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: the caller of `new` promised that the block is valid and that only
        // this value has it. No operation uses it now, as the operation would own this
        // value.
        unsafe { core::slice::from_raw_parts_mut(self.block, SIZE) }
    }

    pub(crate) fn is_read(&mut self) -> bool {
        let from = self.from;
        *self.as_mut() == *content(from)
    }
}

// SAFETY: the block does not move with the value and is never freed. Only this value
// accesses it.
unsafe impl IoBuf for Bytes {
    fn region(&mut self) -> (*mut u8, usize) {
        called("IoBuf::region");
        (self.block, SIZE)
    }
}
// SAFETY: only this value accesses the block, and any bytes are valid.
unsafe impl IoBufMut for Bytes {}

impl Drop for Bytes {
    fn drop(&mut self) {
        harness().ledger().drop_buffer(self.id);
        let read = self.is_read();
        let id = self.id;
        let bytes = self.as_mut();
        let fresh = bytes.iter().all(|&byte| byte == FRESH);
        assert!(read || fresh, "buffer {id} was dropped amid its operation");
        // The end of the round verifies that nothing is written there any more.
        bytes.fill(DROPPED);
        called("a buffer's destructor");
    }
}

/// The owner of a descriptor, with the number of the operation.
pub(crate) struct Data {
    file: Arc<File>,
    /// The number, or `None` if the operation belongs to no round.
    pub(crate) id: Option<u32>,
}

impl Data {
    pub(crate) fn new(file: &Arc<File>, id: u32) -> Data {
        harness().ledger().make_data(id);
        Data {
            file: file.clone(),
            id: Some(id),
        }
    }

    pub(crate) fn of_no_round(file: &Arc<File>) -> Data {
        Data {
            file: file.clone(),
            id: None,
        }
    }
}

// SAFETY: the file is open for as long as the value lives.
unsafe impl OwnsFd for Data {
    fn raw_fd(&self) -> i32 {
        self.file.as_raw_fd()
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            harness().ledger().drop_data(id);
            called("the data's destructor");
        }
    }
}

/// Returns the waker of a task for one of its polls. Its data is a number: the task in
/// the low 16 bits, and the generation of the poll above them.
pub(crate) fn waker(id: u32, generation: u16) -> Waker {
    let number = id as usize | usize::from(generation) << 16;
    let data = core::ptr::without_provenance(number);
    // SAFETY: the functions use the pointer as a number and may be called from any
    // thread. They access no memory through it.
    unsafe { Waker::from_raw(RawWaker::new(data, &TABLE)) }
}

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

fn task_of(data: *const ()) -> (u32, u16) {
    let number = data.addr() as u32;
    (number & 0xffff, (number >> 16) as u16)
}

fn clone(data: *const ()) -> RawWaker {
    called("a waker's clone");
    harness().ledger().clone_waker(task_of(data).0);
    RawWaker::new(data, &TABLE)
}

fn wake(data: *const ()) {
    let (id, generation) = task_of(data);
    let ledger = harness().ledger();
    ledger.drop_waker(id);
    ledger.wake(id, generation);
    called("a waker's wake");
}

fn wake_by_ref(_data: *const ()) {
    unreachable!("the reactor wakes each clone once");
}

fn drop_waker(data: *const ()) {
    harness().ledger().drop_waker(task_of(data).0);
    called("a waker's drop");
}
