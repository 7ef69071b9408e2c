//! [`destroy_all`]: the end of many contexts at once.

use core::time::Duration;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, available_parallelism, scope, sleep};
use std::vec::Vec;

use super::Context;
use crate::sys::errno::Errno;

/// What waits for a grace period of the kernel's, as contexts do on their way,
/// is taken a few at a time when that is over (`blimit` of `kernel/rcu/tree.c`),
/// and the rest with a later interrupt of that processor. So where there are more
/// contexts than a few, somebody has himself woken: 64 of them end in 38
/// milliseconds then, and in 51 without, on two processors.
const A_FEW: usize = 2;
const NAP: Duration = Duration::from_micros(100);
/// Grace periods are over by then: what is still waited for are operations.
const NAPS: usize = 1000;

/// Destroys many contexts side by side, a thread each: in little more time than
/// one takes, where one after the other each takes tens of milliseconds. Blocks
/// until all operations of all of them have ended. What became of each, in
/// order, as [`Context::destroy`] tells it; where no thread can be had, this
/// one does it.
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
    // Where the thread, or this one, finds its context.
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
            // Without it the end comes later, and comes.
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
