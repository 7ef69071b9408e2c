//! Randomised tests of re-entrance: wakers and destructors call back into the reactor
//! that called them.
//!
//! Every point at which a reactor runs user code (a waker's clone, wake and drop,
//! `IoBuf::region`, the destructors of buffers and data) may poll, drop or leak other
//! futures, start operations, call `turn` or `in_flight`, and then panic.
//!
//! The tests verify these invariants:
//!
//! - every buffer and every data is dropped exactly once, and not while the
//!   kernel uses it; what was leaked on purpose is never dropped;
//! - every clone of a waker is consumed or dropped;
//! - reads return the content of the file;
//! - no wake-up is lost: a round completes by polling only tasks that were woken, and
//!   by turning only when the eventfd is readable, if there is one;
//! - no user code runs while the lock is held;
//! - the context is returned or destroyed, and all slots can be used again at the end
//!   of a round.
//!
//! A round is one reactor: with one of four locks, batched or not, with a borrowed, an
//! owned or no eventfd, with a ring that is read in memory or not. It ends with
//! `into_idle_context`, with a drop, or with a leak. All rounds share an array of
//! slots.
//!
//! `REENTER=OPERATIONS` and `REENTER_SEED=SEED` replace the defaults. With the same
//! seed, the test with one thread repeats the same sequence, as far as the kernel does.
//! A failure ends the process immediately, so that nothing can catch it.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

mod harness;
mod ledger;
mod operation;
mod random;
mod round;
#[path = "../support/mod.rs"]
mod support;
mod user;
mod watch;

use linux_aio::WaitOptions;
use linux_aio::reactor::{Local, Shared};

use round::{Rounds, Setting};
use watch::Watched;

/// The number of threads that share a reactor.
const THREADS: u64 = 3;

#[test]
fn one_thread() {
    let mut rounds = Rounds::new("one thread");
    while let Some(setting) = rounds.next() {
        if setting.watched {
            rounds.run::<Watched<Local>>(setting, turn, |harness, setting| {
                harness.act_at_random(setting.seed)
            });
        } else {
            let wait = |reactor: &user::Reactor<Local>| reactor.wait(WaitOptions::new());
            rounds.run::<Local>(setting, wait, |harness, setting| {
                harness.act_at_random(setting.seed)
            });
        }
    }
    rounds.report();
}

#[test]
fn several_threads() {
    let mut rounds = Rounds::new("several threads");
    while let Some(setting) = rounds.next() {
        if setting.watched {
            rounds.run::<Watched<Shared>>(setting, turn, in_threads);
        } else {
            rounds.run::<Shared>(setting, turn, in_threads);
        }
    }
    rounds.report();
}

fn in_threads<L>(harness: &'static harness::Harness<L>, setting: &Setting)
where
    L: linux_aio::reactor::Lock + Send + Sync + 'static,
{
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let seed = setting.seed ^ thread << 60;
            scope.spawn(move || harness.act_at_random(seed));
        }
    });
}

/// Turns the reactor. It replaces a wait, which only `Local` has.
fn turn<L: linux_aio::reactor::Lock + 'static>(
    reactor: &user::Reactor<L>,
) -> Result<usize, linux_aio::Errno> {
    std::thread::yield_now();
    reactor.turn()
}
