//! The end of a reactor, on a thread of its own.
//!
//! `io_destroy(2)` takes an RCU grace period, tens of milliseconds, and as long as the
//! operations in flight. So no worker of a runtime destroys a context.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::shares::{Shares, drop_quietly};

/// The first and the longest time, in milliseconds, between two checks whether every other
/// share has been returned.
const SOON: i32 = 1;
const LATER: i32 = 250;

/// Completes the operations of a reactor and destroys it, on a new thread.
///
/// Where no thread can be created, this thread completes the operations in flight, and the tasks
/// that wait for a slot complete theirs. The last share destroys the reactor.
pub(crate) fn end(reactor: Arc<Shares>, destroyed: oneshot::Sender<()>) {
    let thread = thread::Builder::new().name("linux-aio-end".into());
    let (hand, handed) = mpsc::channel();
    let spawned = thread.spawn(move || {
        if let Ok((reactor, destroyed)) = handed.recv() {
            end_here(reactor, destroyed);
        }
    });
    if spawned.is_ok() {
        let _ = hand.send((reactor, destroyed));
        return;
    }
    reactor.without_thread(destroyed);
    // An error is left to the tasks.
    while reactor.in_flight() > 0 && reactor.wait(LATER).is_ok() {}
}

fn end_here(reactor: Arc<Shares>, destroyed: oneshot::Sender<()>) {
    let last = until_last(reactor);
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(last)));
    if let Err(panic) = dropped {
        drop_quietly(panic);
    }
    // Nothing may wait for it.
    let _ = destroyed.send(());
}

/// Turns the reactor until this is its only share, and returns it. No further share can be taken
/// then.
fn until_last(mut reactor: Arc<Shares>) -> Shares {
    let mut pause = SOON;
    loop {
        reactor = match Arc::try_unwrap(reactor) {
            Ok(last) => return last,
            Err(shared) => shared,
        };
        match reactor.wait(pause) {
            Ok(1..) => pause = SOON,
            Ok(0) => pause = (pause * 2).min(LATER),
            // A turn that fails must not become a loop without a pause.
            Err(_) => {
                thread::sleep(Duration::from_millis(pause as u64));
                pause = (pause * 2).min(LATER);
            }
        }
    }
}
