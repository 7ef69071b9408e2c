//! User code: wakers, buffers, data and locks that verify where they are called from,
//! call back into the reactor, and panic.

use core::cell::{Cell, RefCell};
use core::task::{RawWaker, RawWakerVTable, Waker};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::buffer::Tracked;
use crate::buffer::{IoBuf, IoBufMut};
use crate::fake_kernel;
use crate::fd::OwnsFd;
use crate::reactor::Lock;

/// The action of user code when the library calls it.
#[derive(Clone, Copy, Debug)]
pub enum Inject {
    /// No action.
    Nothing,
    /// Turns the reactor.
    Turn,
    /// Reads the number of operations in flight.
    Count,
    /// Begins an operation.
    Begin,
    /// Polls one of the other futures.
    Poll(u8),
    /// Drops one of the other futures.
    Drop(u8),
    /// Panics.
    Panic,
}

/// The payload of an injected panic.
struct Injected;

/// The entry points by which user code calls back into the scenario.
pub(super) trait Enter {
    /// Performs an action other than `Nothing` and `Panic`.
    fn enter(&self, inject: Inject);

    /// Handles the wake-up of a waker.
    fn woken(&self, waker: usize);
}

#[derive(Default)]
struct State {
    /// The number of times that the watched lock is held.
    held: Cell<u32>,
    /// The number of calls of user code.
    calls: Cell<u64>,
    /// The actions of the next calls, in reverse order.
    injections: RefCell<Vec<Inject>>,
    injected: Cell<u64>,
    faults: RefCell<Vec<String>>,
    wakers: RefCell<Vec<WakerState>>,
    /// The scenario, while it runs.
    stage: Cell<Option<*const dyn Enter>>,
}

/// The state of one waker and all its clones.
#[derive(Clone, Copy, Default)]
struct WakerState {
    wakes: u32,
    clones: u32,
}

thread_local! {
    static STATE: State = State::default();
}

/// Begins a scenario with these injections.
pub(super) fn begin(injections: &[Inject]) {
    STATE.with(|state| {
        state.held.set(0);
        state.calls.set(0);
        state.injected.set(0);
        state
            .injections
            .replace(injections.iter().rev().copied().collect());
        state.faults.take();
        state.wakers.take();
    });
}

/// A guard: while it lives, user code calls back into the scenario.
pub(super) struct Entered(());

impl Entered {
    /// Sets the scenario into which user code calls back.
    ///
    /// # Safety
    /// The scenario outlives the guard.
    pub(super) unsafe fn new(stage: &dyn Enter) -> Entered {
        // SAFETY: only the lifetime is extended. The guard is dropped before the
        // scenario, by the contract of this function, and its drop removes the pointer.
        let stage: *const (dyn Enter + 'static) = unsafe { core::mem::transmute(stage) };
        STATE.with(|state| state.stage.set(Some(stage)));
        Entered(())
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        STATE.with(|state| state.stage.set(None));
    }
}

pub(super) fn fault(message: String) {
    STATE.with(|state| state.faults.borrow_mut().push(message));
}

pub(super) fn faults() -> Vec<String> {
    STATE.with(|state| state.faults.borrow().clone())
}

/// Returns the number of injections other than `Nothing`.
pub(super) fn injected() -> u64 {
    STATE.with(|state| state.injected.get())
}

/// Returns the number of calls of user code by the library.
pub(super) fn calls() -> u64 {
    STATE.with(|state| state.calls.get())
}

/// Removes the remaining injections: from now on user code performs no action.
pub(super) fn calm() {
    STATE.with(|state| state.injections.borrow_mut().clear());
}

/// Counts a call of user code by the library, and performs the next injection.
fn called(what: &str) {
    let inject = STATE.with(|state| {
        state.calls.set(state.calls.get() + 1);
        if state.held.get() > 0 {
            state
                .faults
                .borrow_mut()
                .push(format!("{what} under the lock"));
            return Inject::Nothing;
        }
        state
            .injections
            .borrow_mut()
            .pop()
            .unwrap_or(Inject::Nothing)
    });
    match inject {
        Inject::Nothing => {}
        // A second panic would end the process.
        Inject::Panic if std::thread::panicking() => {}
        Inject::Panic => {
            STATE.with(|state| state.injected.set(state.injected.get() + 1));
            // Not `panic!`, which prints a message.
            resume_unwind(Box::new(Injected));
        }
        inject => {
            STATE.with(|state| state.injected.set(state.injected.get() + 1));
            if let Some(stage) = STATE.with(|state| state.stage.get()) {
                // SAFETY: set by `Entered`, which the scenario outlives.
                unsafe { (*stage).enter(inject) };
            }
        }
    }
}

/// Panics as an injection does.
pub(super) fn panic() -> ! {
    resume_unwind(Box::new(Injected))
}

/// Runs code that may panic by an injection, and returns `None` if it has. Any other
/// panic is propagated.
pub(super) fn injectable<T>(run: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(value) => Some(value),
        Err(payload) if payload.is::<Injected>() => None,
        Err(payload) => resume_unwind(payload),
    }
}

/// A lock that records whether it is held.
pub(super) struct Watched<L>(L);

// SAFETY: every method forwards to the lock inside, which keeps the contract.
unsafe impl<L: Lock> Lock for Watched<L> {
    const NEW: Watched<L> = Watched(L::NEW);

    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        let held = |add: i32| {
            STATE.with(|state| {
                let held = state.held.get().wrapping_add_signed(add);
                state.held.set(held);
                held
            })
        };
        if held(1) > 1 {
            // Continuing would be undefined behaviour or a deadlock.
            eprintln!("the reactor's lock was taken twice");
            std::process::abort();
        }
        let value = self.0.with(f);
        held(-1);
        value
    }
}

const VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

fn waker_state<T>(data: *const (), change: impl FnOnce(&mut WakerState) -> T) -> T {
    STATE.with(|state| change(&mut state.wakers.borrow_mut()[data.addr()]))
}

fn clone(data: *const ()) -> RawWaker {
    called("a waker's clone");
    waker_state(data, |waker| waker.clones += 1);
    RawWaker::new(data, &VTABLE)
}

fn wake(data: *const ()) {
    waker_state(data, |waker| waker.clones -= 1);
    wake_by_ref(data);
}

fn wake_by_ref(data: *const ()) {
    waker_state(data, |waker| waker.wakes += 1);
    if let Some(stage) = STATE.with(|state| state.stage.get()) {
        // SAFETY: set by `Entered`, which the scenario outlives.
        unsafe { (*stage).woken(data.addr()) };
    }
    called("a waker's wake");
}

fn drop_waker(data: *const ()) {
    waker_state(data, |waker| waker.clones -= 1);
    called("a waker's drop");
}

/// Creates a waker and returns it with its number. The original is never dropped: only
/// the drops of its clones are counted.
pub(super) fn waker() -> (core::mem::ManuallyDrop<Waker>, usize) {
    let number = STATE.with(|state| {
        let mut wakers = state.wakers.borrow_mut();
        wakers.push(WakerState::default());
        wakers.len() - 1
    });
    let data = core::ptr::without_provenance(number);
    // SAFETY: the functions keep the contract of a waker: all state belongs to this
    // thread, and the wakers never leave it.
    let waker = unsafe { Waker::new(data, &VTABLE) };
    (core::mem::ManuallyDrop::new(waker), number)
}

pub(super) fn is_woken(waker: usize) -> bool {
    STATE.with(|state| state.wakers.borrow()[waker].wakes > 0)
}

/// Returns the number of existing clones of a waker.
pub(super) fn clones(waker: usize) -> u32 {
    STATE.with(|state| state.wakers.borrow()[waker].clones)
}

/// A buffer with a destructor.
pub(super) struct Guarded(Tracked);

impl Guarded {
    pub(super) fn new(len: usize) -> Guarded {
        Guarded(Tracked::new(len))
    }

    pub(super) fn id(&self) -> usize {
        self.0.id()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        called("a buffer's drop");
    }
}

// SAFETY: the region is that of the buffer inside, whose implementation keeps the
// contract.
unsafe impl IoBuf for Guarded {
    fn region(&mut self) -> (*mut u8, usize) {
        called("a buffer's region");
        self.0.region()
    }
}
// SAFETY: the buffer inside accepts any byte values.
unsafe impl IoBufMut for Guarded {}

/// A borrowed buffer with a destructor.
pub(super) struct Borrowed<'b> {
    memory: &'b mut [u8],
    counted: Tracked,
}

impl<'b> Borrowed<'b> {
    pub(super) fn new(memory: &'b mut [u8]) -> Borrowed<'b> {
        Borrowed {
            memory,
            counted: Tracked::new(1),
        }
    }

    pub(super) fn id(&self) -> usize {
        self.counted.id()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.memory
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        called("a buffer's drop");
    }
}

// SAFETY: access is exclusive for as long as the reference lives.
unsafe impl IoBuf for Borrowed<'_> {
    fn region(&mut self) -> (*mut u8, usize) {
        called("a buffer's region");
        (self.memory.as_mut_ptr(), self.memory.len())
    }
}
// SAFETY: the memory is of type `u8`, for which any byte value is valid.
unsafe impl IoBufMut for Borrowed<'_> {}

/// Data with a destructor, which owns a descriptor.
pub(super) struct Data {
    counted: Tracked,
    fd: i32,
    /// The owned descriptor on the real kernel; `None` on the kernel model.
    _real: Option<OwnedFd>,
}

impl Data {
    /// Creates data that owns a duplicate of a descriptor in the kernel model.
    pub(super) fn new(fd: i32) -> Data {
        let duplicate = fake_kernel::with_next(|kernel| kernel.duplicate(fd));
        Data {
            counted: Tracked::new(1),
            fd: duplicate.unwrap_or(fd),
            _real: None,
        }
    }

    /// Creates data that owns a duplicate of a descriptor of the real kernel, or no
    /// descriptor if `fd` is invalid.
    pub(super) fn real(fd: i32) -> Data {
        // SAFETY: the duplicate is a new descriptor if it is not negative.
        let real = unsafe {
            let duplicate = libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3);
            (duplicate >= 0).then(|| OwnedFd::from_raw_fd(duplicate))
        };
        Data {
            counted: Tracked::new(1),
            fd: real.as_ref().map_or(-1, AsRawFd::as_raw_fd),
            _real: real,
        }
    }

    pub(super) fn id(&self) -> usize {
        self.counted.id()
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        fake_kernel::with_next(|kernel| kernel.close(self.fd));
        called("the data's drop");
    }
}

// SAFETY: the descriptor stays open until this is dropped.
unsafe impl OwnsFd for Data {
    fn raw_fd(&self) -> i32 {
        called("an owner's raw_fd");
        self.fd
    }
}
