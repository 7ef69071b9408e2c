//! [`destroy_all`]: destroys many contexts in parallel.
//!
//! Each context is destroyed on a thread of its own, so that the waits inside
//! `io_destroy(2)` overlap. Where a thread cannot be spawned, the calling thread
//! destroys that context. Further threads take short naps meanwhile: see `A_FEW`.

use core::time::Duration;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, available_parallelism, scope, sleep};
use std::vec::Vec;

use super::Context;
use crate::sys::errno::Errno;

/// The number of contexts for each napping thread.
///
/// The kernel runs the callbacks of an RCU grace period a few at a time (`blimit` of
/// `kernel/rcu/tree.c`), and the others at a later interrupt of that processor. Where
/// there are more contexts than a few, threads therefore sleep for short periods: the
/// timer interrupts run the remaining callbacks sooner. With them 64 contexts take 38
/// milliseconds, without them 51, on two processors.
const A_FEW: usize = 2;
const NAP: Duration = Duration::from_micros(100);
/// The maximum number of naps of a thread. RCU grace periods have elapsed by then; the
/// remaining waits are for operations.
const NAPS: usize = 1000;

/// Destroys many contexts in parallel, each on a thread of its own, and returns the result
/// of [`Context::destroy`] for each, in order.
///
/// This takes little longer than destroying one context, which takes tens of milliseconds:
/// `io_destroy(2)` sleeps for nearly all of that time. The function blocks until all
/// operations of all contexts have completed. If a thread cannot be spawned, the calling
/// thread destroys that context.
///
/// # Examples
/// ```
/// use linux_aio::{Context, Errno, destroy_all};
///
/// # if let Err(Errno::NOSYS) = Context::new(1) { return Ok(()) }
/// let contexts: Result<Vec<_>, _> = (0..16).map(|_| Context::new(8)).collect();
/// assert_eq!(destroy_all(contexts?), [Ok(()); 16]);
/// # Ok::<(), Errno>(())
/// ```
pub fn destroy_all(
    contexts: impl IntoIterator<Item = impl Into<Context>>,
) -> Vec<Result<(), Errno>> {
    // Each context is taken out by its own thread, or by the calling thread.
    let places: Vec<_> = contexts
        .into_iter()
        .map(|context| Mutex::new(Some(context.into())))
        .collect();
    let left = &AtomicUsize::new(places.len());
    let end = |place: &Mutex<Option<Context>>| {
        let taken = place.lock().map(|mut context| context.take());
        let ended = taken.ok().flatten().map_or(Ok(()), Context::destroy);
        left.fetch_sub(1, Ordering::Relaxed);
        ended
    };
    let nap = move || {
        for _ in 0..NAPS {
            if left.load(Ordering::Relaxed) == 0 {
                break;
            }
            sleep(NAP);
        }
    };
    let processors = available_parallelism().map_or(1, usize::from);
    let nappers = processors.min(places.len() / A_FEW);
    scope(|scope| {
        let thread = || Builder::new().stack_size(64 << 10);
        let threads: Vec<_> = places
            .iter()
            .map(|place| {
                let spawned = thread().spawn_scoped(scope, move || end(place));
                spawned.map_err(|_| place)
            })
            .collect();
        for _ in 1..nappers {
            // A failure is ignored: the contexts are destroyed all the same, only
            // later.
            let _ = thread().spawn_scoped(scope, nap);
        }
        if nappers > 0 && threads.iter().all(Result::is_ok) {
            nap();
        }
        threads
            .into_iter()
            .map(|thread| match thread {
                Ok(thread) => thread.join().unwrap_or(Err(Errno::INVAL)),
                Err(place) => end(place),
            })
            .collect()
    })
}
