//! Objects whose user code is noted, and does what a test has planned.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{RawWaker, RawWakerVTable, Waker};

use linux_aio::OwnsFd;
use linux_aio::buffer::{IoBuf, IoBufMut};
use linux_aio::op::Op;
use linux_aio::reactor::Lock;

/// A call of user code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Clone,
    Wake,
    WakerDrop,
    BufferDrop,
    DataDrop,
    Region,
    RawFd,
    IntoOp,
    BeforeLock,
    AfterLock,
}

/// What the user code does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Reenter,
    Panic,
}

/// What it panics with.
#[derive(Debug)]
pub(crate) struct OnPurpose;

/// The next call of this kind on the object with this name does something.
pub(crate) struct Plan {
    name: &'static str,
    call: Call,
    act: Box<dyn FnOnce()>,
}

thread_local! {
    static PLANS: RefCell<Vec<Plan>> = const { RefCell::new(Vec::new()) };
    /// Whether a planned call has come.
    pub(crate) static CAME: Cell<bool> = const { Cell::new(false) };
    static HELD: Cell<bool> = const { Cell::new(false) };
    /// Calls that came while the lock was held.
    pub(crate) static INSIDE: Cell<u32> = const { Cell::new(0) };
    /// Buffers and data that exist.
    pub(crate) static ALIVE: Cell<isize> = const { Cell::new(0) };
}

/// Every piece of user code calls this.
pub(crate) fn user_code(name: &'static str, call: Call) {
    if HELD.get() {
        INSIDE.set(INSIDE.get() + 1);
        return;
    }
    let plan = PLANS.with_borrow_mut(|plans| {
        let is_planned = |plan: &Plan| plan.name == name && plan.call == call;
        let at = plans.iter().position(is_planned)?;
        Some(plans.remove(at))
    });
    if let Some(plan) = plan {
        CAME.set(true);
        (plan.act)();
    }
}

/// Plans that the call panics, when it comes next.
pub(crate) fn panic_at(name: &'static str, call: Call) {
    // Without a message, as the panic hook is not called.
    let act = Box::new(|| resume_unwind(Box::new(OnPurpose)));
    PLANS.with_borrow_mut(|plans| plans.push(Plan { name, call, act }));
}

/// Runs `trigger`, within which the call comes; `act` is what it does if
/// it does not panic.
pub(crate) fn during(
    action: Action,
    (name, call): (&'static str, Call),
    act: impl FnOnce() + 'static,
    trigger: impl FnOnce(),
) {
    CAME.set(false);
    match action {
        Action::Reenter => {
            let act = Box::new(act);
            PLANS.with_borrow_mut(|plans| plans.push(Plan { name, call, act }));
        }
        Action::Panic => panic_at(name, call),
    }
    let ended = catch_unwind(AssertUnwindSafe(trigger));
    if let Err(payload) = ended {
        if !payload.is::<OnPurpose>() {
            resume_unwind(payload);
        }
        assert_eq!(action, Action::Panic);
    } else {
        assert!(
            action == Action::Reenter || !CAME.get(),
            "{name}'s {call:?}: the panic is lost"
        );
    }
    let planned = PLANS.with_borrow(Vec::len);
    assert_eq!(planned, 0, "{name}'s {call:?} has not come");
}

/// A lock that notes when it is held, and is user code itself.
pub(crate) struct Watched<L>(L);

// SAFETY: the inner lock's own promise; what runs around it returns.
unsafe impl<L: Lock> Lock for Watched<L> {
    const NEW: Watched<L> = Watched(L::NEW);

    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        user_code("lock", Call::BeforeLock);
        let value = self.0.with(|| {
            assert!(!HELD.replace(true), "nested");
            let value = f();
            HELD.set(false);
            value
        });
        user_code("lock", Call::AfterLock);
        value
    }
}

/// A buffer.
pub(crate) struct Memory {
    pub(crate) name: &'static str,
    pub(crate) bytes: Box<[u8]>,
}

impl Memory {
    pub(crate) fn new(name: &'static str) -> Memory {
        Memory::with_len(name, LEN)
    }

    pub(crate) fn with_len(name: &'static str, len: usize) -> Memory {
        ALIVE.set(ALIVE.get() + 1);
        Memory {
            name,
            bytes: vec![0; len].into(),
        }
    }
}

// SAFETY: on the heap, and owned.
unsafe impl IoBuf for Memory {
    fn region(&mut self) -> (*mut u8, usize) {
        user_code(self.name, Call::Region);
        (self.bytes.as_mut_ptr(), self.bytes.len())
    }
}
// SAFETY: as above.
unsafe impl IoBufMut for Memory {}

impl Drop for Memory {
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get() - 1);
        user_code(self.name, Call::BufferDrop);
    }
}

/// The data beside it, which owns the descriptor.
pub(crate) struct Load {
    pub(crate) name: &'static str,
    pub(crate) fd: Arc<OwnedFd>,
}

impl Load {
    pub(crate) fn new(name: &'static str, fd: impl Into<Arc<OwnedFd>>) -> Load {
        ALIVE.set(ALIVE.get() + 1);
        Load {
            name,
            fd: fd.into(),
        }
    }
}

// SAFETY: the descriptor is open as long as the value, and always the same.
unsafe impl OwnsFd for Load {
    fn raw_fd(&self) -> i32 {
        user_code(self.name, Call::RawFd);
        self.fd.as_raw_fd()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get() - 1);
        user_code(self.name, Call::DataDrop);
    }
}

/// Bytes of a buffer.
pub(crate) const LEN: usize = 8;

pub(crate) type Begun = Op<'static, Memory, Load>;

/// An operation whose conversion is user code.
pub(crate) struct Converted(pub(crate) &'static str, pub(crate) Begun);

impl<'fd> From<Converted> for Op<'fd, Memory, Load> {
    fn from(Converted(name, op): Converted) -> Op<'fd, Memory, Load> {
        user_code(name, Call::IntoOp);
        op
    }
}

/// A waker, all of whose functions are user code.
pub(crate) struct Named {
    pub(crate) name: &'static str,
    pub(crate) woken: AtomicUsize,
}

pub(crate) static WAKER: RawWakerVTable = {
    unsafe fn clone(this: *const ()) -> RawWaker {
        let this = this.cast::<Named>();
        // SAFETY: a waker's data is an `Arc<Named>` that is alive.
        unsafe {
            user_code((*this).name, Call::Clone);
            Arc::increment_strong_count(this);
        }
        RawWaker::new(this.cast(), &WAKER)
    }
    unsafe fn wake(this: *const ()) {
        // SAFETY: as in `clone`; the waker is consumed.
        let this = unsafe { Arc::from_raw(this.cast::<Named>()) };
        this.woken.fetch_add(1, SeqCst);
        user_code(this.name, Call::Wake);
    }
    unsafe fn wake_by_ref(_: *const ()) {
        unreachable!("the reactor wakes by value");
    }
    unsafe fn drop(this: *const ()) {
        // SAFETY: as in `clone`; the waker is consumed.
        let this = unsafe { Arc::from_raw(this.cast::<Named>()) };
        user_code(this.name, Call::WakerDrop);
    }
    RawWakerVTable::new(clone, wake, wake_by_ref, drop)
};

impl Named {
    pub(crate) fn new(name: &'static str) -> Arc<Named> {
        Arc::new(Named {
            name,
            woken: AtomicUsize::new(0),
        })
    }

    /// How often it was woken since its task was polled.
    pub(crate) fn woken(&self) -> usize {
        self.woken.load(SeqCst)
    }

    /// The waker that the executor lends to a poll: made and dropped without
    /// user code.
    pub(crate) fn lend(self: &Arc<Named>) -> ManuallyDrop<Waker> {
        let raw = RawWaker::new(Arc::as_ptr(self).cast(), &WAKER);
        // SAFETY: the functions keep the contract of an `Arc`'s; the `Arc`
        // outlives the waker, which is not dropped.
        ManuallyDrop::new(unsafe { Waker::from_raw(raw) })
    }
}
