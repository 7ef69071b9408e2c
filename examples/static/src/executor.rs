//! An executor without threads: a list of tasks, and the reactor's wait when none of them
//! can continue.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::Context;

use linux_aio::buffer::IoBuf;
use linux_aio::reactor::Reactor;
use linux_aio::{Errno, WaitOptions};

/// A task. It stores its result itself.
pub type Task<'t> = Pin<Box<dyn Future<Output = ()> + 't>>;

/// Set while a task is to be polled.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs all tasks until they are ready.
///
/// # Errors
/// Those of the wait, and EDEADLK if no task can ever continue.
pub fn run<B: IoBuf + 'static>(
    reactor: &Reactor<'_, B>,
    tasks: impl IntoIterator<Item = impl Future<Output = ()>>,
) -> Result<(), Errno> {
    let mut tasks: Vec<(Arc<Woken>, Task<'_>)> = tasks
        .into_iter()
        .map(|task| (Arc::new(Woken(AtomicBool::new(true))), Box::pin(task) as _))
        .collect();
    while !tasks.is_empty() {
        tasks.retain_mut(|(woken, task)| {
            if !woken.0.swap(false, Ordering::Relaxed) {
                return true;
            }
            let waker = woken.clone().into();
            task.as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        });
        let is_idle = |(woken, _): &(Arc<Woken>, _)| !woken.0.load(Ordering::Relaxed);
        if !tasks.is_empty() && tasks.iter().all(is_idle) {
            match reactor.wait(WaitOptions::new()) {
                Ok(0) => return Err(Errno::DEADLK),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use rustix::fs::OFlags;

    use super::*;
    use crate::file::File;

    #[test]
    fn tasks_run_until_they_are_ready() {
        let program = File::open("/proc/self/exe", OFlags::RDONLY).unwrap();
        let reactor = match Reactor::<Vec<u8>>::with_capacity(2) {
            // Emulators and sandboxes have no AIO.
            Err(Errno::NOSYS | Errno::PERM) => return,
            reactor => reactor.unwrap(),
        };
        let ready = Cell::new(0);
        let task = async |offset| {
            let done = reactor.read(&program, Vec::with_capacity(4), offset).await;
            let expected = if offset == 0 {
                "\x7fELF".as_bytes()
            } else {
                &[]
            };
            assert_eq!(done.buffer, expected);
            ready.set(ready.get() + 1);
        };
        // More tasks than the reactor has slots; one reads behind the end of the file.
        run(&reactor, [0, 0, 1 << 40, 0].map(task)).unwrap();
        assert_eq!(ready.get(), 4);
    }
}
