//! The executor: an array of tasks, a bit for each task to be polled, and a single
//! wait, from which all wakes originate.

use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use core::task::{Context, RawWaker, RawWakerVTable, Waker};

use linux_aio::buffer::IoBuf;
use linux_aio::reactor::Reactor;
use linux_aio::{Errno, WaitOptions};

/// A task. It runs until it is ready and has no output; it stores its result itself.
pub(crate) type Task<'t> = Pin<&'t mut dyn Future<Output = ()>>;

/// The bits of the tasks that were woken. There is one executor and one thread.
static WOKEN: AtomicU32 = AtomicU32::new(0);

/// Runs all tasks until they are ready, and blocks in the kernel whenever none can make
/// progress. Returns the number of waits.
///
/// # Errors
/// The errors of the wait; EDEADLK if no task can ever make progress.
pub(crate) fn run<B: IoBuf, const N: usize>(
    reactor: &Reactor<'_, B>,
    mut tasks: [Task<'_>; N],
) -> Result<usize, Errno> {
    const { assert!(N > 0 && N <= 32) };
    let mut alive = u32::MAX >> (32 - N);
    let mut waits = 0;
    WOKEN.store(alive, Relaxed);
    while alive != 0 {
        let woken = WOKEN.swap(0, Relaxed) & alive;
        for (index, task) in tasks.iter_mut().enumerate() {
            let waker = waker(index);
            let mut context = Context::from_waker(&waker);
            if woken & bit(index) != 0 && task.as_mut().poll(&mut context).is_ready() {
                alive &= !bit(index);
            }
        }
        if alive != 0 && WOKEN.load(Relaxed) & alive == 0 {
            waits += 1;
            match reactor.wait(WaitOptions::new()) {
                // Nothing is in flight, so nothing will ever wake a task.
                Ok(0) => return Err(Errno::DEADLK),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
    Ok(waits)
}

fn bit(index: usize) -> u32 {
    1 << index
}

/// Creates a waker whose data is the index of a task, in place of a pointer. It owns
/// nothing.
fn waker(index: usize) -> Waker {
    const TABLE: RawWakerVTable = RawWakerVTable::new(raw, wake, wake, |_| {});
    const fn raw(index: *const ()) -> RawWaker {
        RawWaker::new(index, &TABLE)
    }
    fn wake(index: *const ()) {
        WOKEN.fetch_or(bit(index.addr()), Relaxed);
    }
    // SAFETY: the functions of the table access no memory except the atomic. They are
    // valid for any index and on any thread.
    unsafe { Waker::from_raw(raw(core::ptr::without_provenance(index))) }
}
