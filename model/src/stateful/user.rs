//! User code: wakers, buffers, data and locks that verify where they are called
//! from, call back into the reactor, and panic.

use core::cell::{Cell, RefCell};
use core::task::{RawWaker, RawWakerVTable, Waker};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::buffer::Tracked;
use crate::buffer::{IoBuf, IoBufMut};
use crate::fake_kernel;
use crate::fd::OwnsFd;
use crate::reactor::Lock;

/// What a piece of user code does when the library calls it.
#[derive(Clone, Copy, Debug)]
pub enum Inject {
    /// Nothing else.
    Nothing,
    /// It turns the reactor.
    Turn,
    /// It asks how many operations are in flight.
    Count,
    /// It begins an operation.
    Begin,
    /// It polls one of the other futures.
    Poll(u8),
    /// It drops one of the other futures.
    Drop(u8),
    /// It panics.
    Panic,
}

/// The payload of an injected panic.
struct Injected;

/// Where user code gets back into the scenario.
pub(super) trait Enter {
    /// Does what is not `Nothing` or `Panic`.
    fn enter(&self, inject: Inject);

    /// A waker has been woken.
    fn woken(&self, waker: usize);
}

#[derive(Default)]
struct State {
    /// How often the watched lock is held.
    held: Cell<u32>,
    /// Calls of user code.
    calls: Cell<u64>,
    /// What the next calls do, the last first.
    injections: RefCell<Vec<Inject>>,
    injected: Cell<u64>,
    faults: RefCell<Vec<String>>,
    wakers: RefCell<Vec<WakerState>>,
    /// The scenario, while it runs.
    stage: Cell<Option<*const dyn Enter>>,
}

/// One waker and all its clones.
#[derive(Clone, Copy, Default)]
struct WakerState {
    wakes: u32,
    clones: u32,
}

thread_local! {
    static STATE: State = State::default();
}

/// A scenario begins, with these injections.
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

/// User code gets back into this while the guard lives.
pub(super) struct Entered(());

impl Entered {
    /// # Safety
    /// The scenario outlives the guard.
    pub(super) unsafe fn new(stage: &dyn Enter) -> Entered {
        // SAFETY: only the lifetime is made longer, and the guard ends before
        // the scenario does, by the caller's promise.
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

/// How many injections there were, of those that are not `Nothing`.
pub(super) fn injected() -> u64 {
    STATE.with(|state| state.injected.get())
}

/// How often the library has called user code.
pub(super) fn calls() -> u64 {
    STATE.with(|state| state.calls.get())
}

/// From now on user code does nothing else.
pub(super) fn calm() {
    STATE.with(|state| state.injections.borrow_mut().clear());
}

/// The library has called user code.
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
            // Not by `panic!`, which prints.
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

/// Panics, as injected.
pub(super) fn panic() -> ! {
    resume_unwind(Box::new(Injected))
}

/// Runs what may panic by an injection: `None` if it has. Any other panic goes on.
pub(super) fn injectable<T>(run: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(value) => Some(value),
        Err(payload) if payload.is::<Injected>() => None,
        Err(payload) => resume_unwind(payload),
    }
}

/// A lock that is known to be held.
pub(super) struct Watched<L>(L);

// SAFETY: as the lock within.
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
            // To go on would be undefined, or wait for ever.
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

/// A fresh waker, and its number. Its own drop is not counted: forget it.
pub(super) fn waker() -> (core::mem::ManuallyDrop<Waker>, usize) {
    let number = STATE.with(|state| {
        let mut wakers = state.wakers.borrow_mut();
        wakers.push(WakerState::default());
        wakers.len() - 1
    });
    let data = core::ptr::without_provenance(number);
    // SAFETY: the functions keep the contract: all state is this thread's, and
    // the wakers stay in it.
    let waker = unsafe { Waker::new(data, &VTABLE) };
    (core::mem::ManuallyDrop::new(waker), number)
}

pub(super) fn is_woken(waker: usize) -> bool {
    STATE.with(|state| state.wakers.borrow()[waker].wakes > 0)
}

/// How many clones of a waker exist.
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

// SAFETY: as of the buffer within.
unsafe impl IoBuf for Guarded {
    fn region(&mut self) -> (*mut u8, usize) {
        called("a buffer's region");
        self.0.region()
    }
}
// SAFETY: likewise.
unsafe impl IoBufMut for Guarded {}

/// A buffer that is borrowed, with a destructor.
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

// SAFETY: exclusive for as long as the reference lives.
unsafe impl IoBuf for Borrowed<'_> {
    fn region(&mut self) -> (*mut u8, usize) {
        called("a buffer's region");
        (self.memory.as_mut_ptr(), self.memory.len())
    }
}
// SAFETY: likewise.
unsafe impl IoBufMut for Borrowed<'_> {}

/// Data with a destructor, which owns a descriptor.
pub(super) struct Data {
    counted: Tracked,
    fd: i32,
    /// The model's have none.
    _real: Option<OwnedFd>,
}

impl Data {
    /// Owns another descriptor of the same file.
    pub(super) fn new(fd: i32) -> Data {
        let duplicate = fake_kernel::with_next(|kernel| kernel.duplicate(fd));
        Data {
            counted: Tracked::new(1),
            fd: duplicate.unwrap_or(fd),
            _real: None,
        }
    }

    /// Owns another descriptor of the same file, of the real kernel's; none,
    /// if that is none.
    pub(super) fn real(fd: i32) -> Data {
        // SAFETY: a fresh descriptor, if it is one.
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

// SAFETY: the model's descriptor is closed when this is dropped.
unsafe impl OwnsFd for Data {
    fn raw_fd(&self) -> i32 {
        called("an owner's raw_fd");
        self.fd
    }
}
