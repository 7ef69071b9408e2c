//! Checks the threads that the AIO checks use: their identity, their stacks, their end,
//! and that they run concurrently. No AIO is needed.

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::check::Check;
use crate::os;

pub(crate) fn run(check: &mut Check) {
    let here = 0_u8;
    let here = (&raw const here).addr();
    let thread = AtomicUsize::new(0);
    let process = AtomicUsize::new(0);
    let place = AtomicUsize::new(0);
    let lives = os::beside(
        &|| {
            let local = 0_u8;
            place.store((&raw const local).addr(), Ordering::Relaxed);
            process.store(os::getpid().unwrap_or(0), Ordering::Relaxed);
            thread.store(os::gettid().unwrap_or(0), Ordering::Release);
        },
        os::getpid,
    );
    let Some(pid) = check.needs("thread clone", lives) else {
        return;
    };
    let (thread, process) = (thread.into_inner(), process.into_inner());
    check.equal("thread is of this process", Ok(process), pid);
    check.holds(
        "thread has its own number",
        thread != 0 && Ok(thread) != pid,
    );
    let apart = place.into_inner().abs_diff(here);
    check.holds(
        "thread has its own stack",
        apart > 0x1_0000 && apart != here,
    );
    check.equal("thread has not changed the first's ID", os::gettid(), pid);
    // The thread's word is cleared slightly before its number is free.
    let end = os::Moment::now().plus(500);
    while os::kill(thread, 0).is_ok() && !end.has_expired() {
        os::yield_now();
    }
    check.holds("thread is gone", os::kill(thread, 0).is_err());

    talk(check);
    many(check);
}

/// Lets two threads count alternately: neither can continue without the other.
fn talk(check: &mut Check) {
    const TURNS: u32 = 200;
    let turn = AtomicU32::new(0);
    let take = |mine: u32| {
        while turn.load(Ordering::Acquire) < TURNS {
            if turn.load(Ordering::Acquire) & 1 == mine {
                turn.store(turn.load(Ordering::Relaxed) + 1, Ordering::Release);
            } else {
                os::yield_now();
            }
        }
    };
    let talked = os::beside(&|| take(1), || take(0));
    check.equal("thread beside another", talked, Ok(()));
    let turns = turn.load(Ordering::Acquire);
    check.holds("thread takes turns", (TURNS..TURNS + 2).contains(&turns));
}

/// Runs several threads at a time, several times. Each returns from a deep call. Here
/// and elsewhere no atomic is added to in place: the MC68000 cannot do that.
fn many(check: &mut Check) {
    let sums = [const { AtomicU32::new(0) }; 4];
    let add = |sum: &AtomicU32| {
        sum.store(sum.load(Ordering::Relaxed) + deep(40), Ordering::Relaxed);
    };
    let [a, b, c, d] = &sums;
    let mut done = Ok(());
    for _ in 0..8 {
        let all = os::beside(&|| add(a), || {
            os::beside(&|| add(b), || os::beside(&|| add(c), || add(d)))
        });
        done = done.and(all.and_then(|rest| rest).and_then(|rest| rest));
    }
    check.equal("thread many times", done, Ok(()));
    let all = sums.iter().all(|sum| sum.load(Ordering::Relaxed) == 8 * 40);
    check.holds("thread many results", all);
}

/// Returns its argument, computed by that many nested calls: on sparc more than there
/// are register windows.
#[inline(never)]
fn deep(level: u32) -> u32 {
    if core::hint::black_box(level) == 0 {
        return 0;
    }
    core::hint::black_box(deep(level - 1)) + 1
}
