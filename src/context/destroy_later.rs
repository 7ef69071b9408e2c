//! [`IdleContext::destroy_later`]: destroys a context on a thread of its own.

use std::thread::Builder;

use super::IdleContext;

/// Enough for a system call and the thread's own start.
const STACK: usize = 64 << 10;

impl IdleContext {
    /// Destroys the context in the background, and returns at once.
    ///
    /// `io_destroy(2)` sleeps for tens of milliseconds even if nothing is in flight, and so
    /// does a drop. Where that is too long, for example in an async task, this function
    /// spawns a thread for it, which takes tens of microseconds. The waits of several
    /// contexts overlap. Until its thread has ended, a context counts against
    /// `fs.aio-max-nr`. The kernel destroys those that are left when the process exits.
    ///
    /// If no thread can be spawned, the context is destroyed before the function returns.
    /// In a forked child an inherited context is dropped, which does nothing.
    ///
    /// A context that is to be used again is better kept in a
    /// [`ContextPool`](crate::ContextPool). [`destroy_all`](crate::destroy_all) waits for
    /// the end of many. Without `std`, `core::mem::forget` leaves a context to the exit of
    /// the process.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{Errno, Queue};
    ///
    /// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
    /// let queue = Queue::<Vec<u8>>::with_capacity(8)?;
    /// // … operations, until none is in flight …
    /// queue.into_idle_context()?.destroy_later();
    /// # Ok::<(), Errno>(())
    /// ```
    pub fn destroy_later(self) {
        if self.is_own() {
            let thread = Builder::new().name("aio-destroy".into()).stack_size(STACK);
            // On an error the closure is dropped, and the context with it.
            let _ = thread.spawn(move || drop(self));
        }
    }
}
