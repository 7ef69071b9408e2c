//! [`Lock`]: mutual exclusion for the users of a reactor.

use core::cell::Cell;
use core::marker::PhantomData;

/// The mutual exclusion of a reactor or of a [split queue](crate::split): [`Local`] for
/// one thread, `Shared` (feature `std`) for several, or a custom lock.
///
/// The critical sections are short: the lock is free during `io_submit(2)` and during
/// waits, except in [`Reactor::wait`](super::Reactor::wait), which requires
/// [`Local`]. Calls of [`with`](Lock::with) are never nested. No user code runs inside: no
/// waker and no destructor.
///
/// # Examples
/// A spin lock, for threads without `std`:
/// ```
/// use core::sync::atomic::{AtomicBool, Ordering};
/// use linux_aio::reactor::{Lock, Reactor};
///
/// struct Spin(AtomicBool);
///
/// // SAFETY: the flag excludes other threads while `f` runs, with acquire and release
/// // around it. `f` is called once, and nothing else here panics.
/// unsafe impl Lock for Spin {
///     const NEW: Spin = Spin(AtomicBool::new(false));
///
///     fn with<R>(&self, f: impl FnOnce() -> R) -> R {
///         while self.0.swap(true, Ordering::Acquire) {
///             core::hint::spin_loop();
///         }
///         let value = f();
///         self.0.store(false, Ordering::Release);
///         value
///     }
/// }
///
/// fn shared_by_threads<T: Sync>() {}
/// shared_by_threads::<Reactor<'static, &'static mut [u8], Spin>>();
/// ```
///
/// # Safety
/// - While one `f` runs, no other thread runs one under the same lock. The writes of
///   one `f` are visible to the next.
/// - `with` calls `f` exactly once and returns its value. It never panics: otherwise a
///   dropped future could not leave the reactor's lists.
pub unsafe trait Lock {
    /// The unlocked state.
    const NEW: Self;

    /// Runs `f` while excluding every other call on the same lock.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::reactor::{Local, Lock};
    ///
    /// assert_eq!(Local::NEW.with(|| 2 + 2), 4);
    /// ```
    fn with<R>(&self, f: impl FnOnce() -> R) -> R;
}

/// A lock that does nothing, for a reactor that one thread uses. The reactor is not `Sync`,
/// and its futures are not `Send`.
///
/// # Examples
/// ```
/// use linux_aio::reactor::{Local, Reactor, ReactorSlot};
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// let mut slots = ReactorSlot::<()>::array::<8>();
/// let reactor = Reactor::<(), Local>::new(&mut slots)?;
/// // `Local` is the default.
/// let same: Reactor<'_, ()> = reactor;
/// # Ok::<(), linux_aio::Errno>(())
/// ```
#[derive(Debug)]
pub struct Local(PhantomData<Cell<()>>);

// SAFETY: `Local` is not `Sync`, so no second thread can call `with` on it at the same
// time. `with` calls `f` once and does not panic itself.
unsafe impl Lock for Local {
    const NEW: Local = Local(PhantomData);

    #[inline(always)]
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        f()
    }
}

/// A mutex of `std`, for a reactor that several threads use. The reactor is `Sync`, and its
/// futures are `Send`, if its buffers and data are `Send`.
///
/// # Examples
/// ```
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
/// use linux_aio::op::Read;
/// use linux_aio::reactor::{Reactor, Shared};
/// use std::fs::File;
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// let file = File::open("/dev/null").unwrap();
/// let reactor = Reactor::<Vec<u8>, Shared>::with_capacity(4)?;
/// std::thread::scope(|threads| {
///     for _ in 0..2 {
///         threads.spawn(|| drop(reactor.try_push(Read::new(&file, vec![0; 4]))));
///     }
/// });
/// reactor.turn()?;
/// assert_eq!(reactor.in_flight(), 0);
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "std")]
#[derive(Debug)]
pub struct Shared(std::sync::Mutex<()>);

#[cfg(feature = "std")]
// SAFETY: the mutex is held while `f` runs, which excludes other threads and orders
// their writes. Locking a mutex that this thread does not hold does not panic, and the
// reactor never nests its calls.
unsafe impl Lock for Shared {
    const NEW: Shared = Shared(std::sync::Mutex::new(()));

    #[inline(always)]
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        // No user code runs inside, so poisoning carries no information.
        let _held = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        f()
    }
}
