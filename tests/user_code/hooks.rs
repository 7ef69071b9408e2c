//! Objects that record calls of their user code, and run the action that a test has
//! planned for a call.

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

/// The action of the user code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Reenter,
    Panic,
}

/// The panic payload of user code.
#[derive(Debug)]
pub(crate) struct OnPurpose;

/// An action for the next call of this kind on the object with this name.
pub(crate) struct Plan {
    name: &'static str,
    call: Call,
    act: Box<dyn FnOnce()>,
}

thread_local! {
    static PLANS: RefCell<Vec<Plan>> = const { RefCell::new(Vec::new()) };
    /// Set if a planned call has occurred.
    pub(crate) static CAME: Cell<bool> = const { Cell::new(false) };
    static HELD: Cell<bool> = const { Cell::new(false) };
    /// The number of calls while the lock was held.
    pub(crate) static INSIDE: Cell<u32> = const { Cell::new(0) };
    /// The number of existing buffers and data.
    pub(crate) static ALIVE: Cell<isize> = const { Cell::new(0) };
}

/// Records a call of user code, and runs its planned action. Every user-code function
/// calls this.
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

/// Plans a panic at the next such call.
pub(crate) fn panic_at(name: &'static str, call: Call) {
    // There is no message, as the panic hook is not called.
    let act = Box::new(|| resume_unwind(Box::new(OnPurpose)));
    PLANS.with_borrow_mut(|plans| plans.push(Plan { name, call, act }));
}

/// Runs `trigger`, during which the call occurs. `act` is its action if it does not
/// panic.
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
    let result = catch_unwind(AssertUnwindSafe(trigger));
    if let Err(payload) = result {
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

/// A lock that records when it is held, and that also counts as user code.
pub(crate) struct Watched<L>(L);

// SAFETY: the inner lock runs the closure alone and once, by its contract; the code
// around it returns.
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

/// A buffer that records its calls.
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

// SAFETY: the memory is on the heap and owned by this value, so it does not move with
// it.
unsafe impl IoBuf for Memory {
    fn region(&mut self) -> (*mut u8, usize) {
        user_code(self.name, Call::Region);
        (self.bytes.as_mut_ptr(), self.bytes.len())
    }
}
// SAFETY: the memory is on the heap and owned by this value alone.
unsafe impl IoBufMut for Memory {}

impl Drop for Memory {
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get() - 1);
        user_code(self.name, Call::BufferDrop);
    }
}

/// The data beside a buffer, which owns the descriptor.
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

/// The length of a buffer in bytes.
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

/// A waker with user code in all its functions.
pub(crate) struct Named {
    pub(crate) name: &'static str,
    pub(crate) woken: AtomicUsize,
}

#[allow(
    clippy::missing_safety_doc,
    reason = "RawWakerVTable::new has their contract"
)]
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
        // SAFETY: a waker's data is an `Arc<Named>` that is alive; the waker is
        // consumed.
        let this = unsafe { Arc::from_raw(this.cast::<Named>()) };
        this.woken.fetch_add(1, SeqCst);
        user_code(this.name, Call::Wake);
    }
    unsafe fn wake_by_ref(_: *const ()) {
        unreachable!("the reactor wakes by value");
    }
    unsafe fn drop(this: *const ()) {
        // SAFETY: a waker's data is an `Arc<Named>` that is alive; the waker is
        // consumed.
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

    /// Returns the number of wake-ups since its task was polled.
    pub(crate) fn woken(&self) -> usize {
        self.woken.load(SeqCst)
    }

    /// Returns the waker that the executor lends to a poll. It is created and dropped
    /// without running user code.
    pub(crate) fn lend(self: &Arc<Named>) -> ManuallyDrop<Waker> {
        let raw = RawWaker::new(Arc::as_ptr(self).cast(), &WAKER);
        // SAFETY: the functions keep the contract of a waker made from an `Arc`. The
        // `Arc` outlives the waker, which is not dropped.
        ManuallyDrop::new(unsafe { Waker::from_raw(raw) })
    }
}
