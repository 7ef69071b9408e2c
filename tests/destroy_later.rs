//! Tests contexts that are destroyed in the background.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

mod support;

use std::ptr::{null, null_mut};
use std::thread::sleep;
use std::time::{Duration, Instant};

use linux_aio::{AioContext, Context, Errno, IdleContext, sys};

/// Creates an idle context. Returns its name, too.
fn idle() -> (IdleContext, AioContext) {
    let context = Context::new(1).unwrap();
    let name = context.as_raw();
    // SAFETY: nothing was submitted in the new context, which is for one operation.
    (unsafe { IdleContext::from_context(context, 1) }, name)
}

/// Returns whether the context exists.
fn exists(name: AioContext) -> bool {
    // SAFETY: no event is asked for, so none is taken or written.
    match unsafe { sys::io_getevents(name, 0, 0, null_mut(), null()) } {
        Ok(_) => true,
        Err(Errno::INVAL) => false,
        Err(errno) => panic!("{errno}"),
    }
}

fn await_end(name: AioContext) {
    let begin = Instant::now();
    while exists(name) {
        assert!(begin.elapsed() < Duration::from_secs(20), "not destroyed");
        sleep(Duration::from_millis(1));
    }
}

/// Returns how often this thread has waited so far.
fn waits() -> libc::c_long {
    // SAFETY: all fields of the structure may be zero.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is a local variable.
    let got = unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
    assert_eq!(got, 0);
    usage.ru_nvcsw
}

/// A drop waits for the kernel. `destroy_later` may wait for the lock of the address space,
/// which its threads and a fork beside it take on a busy machine: seldom, or not for long.
#[test]
fn the_caller_does_not_wait() {
    const MANY: libc::c_long = 32;
    let contexts: Vec<_> = (0..MANY).map(|_| idle()).collect();
    let (before, begin) = (waits(), Instant::now());
    let mut names = Vec::new();
    for (context, name) in contexts {
        context.destroy_later();
        names.push(name);
    }
    let (later, later_took) = (waits() - before, begin.elapsed());
    names.into_iter().for_each(await_end);
    let contexts: Vec<_> = (0..MANY).map(|_| idle()).collect();
    let (before, begin) = (waits(), Instant::now());
    drop(contexts);
    let (now, now_took) = (waits() - before, begin.elapsed());
    assert!(now >= MANY, "{now} waits of {MANY} drops");
    assert!(
        later < MANY / 2 || later_took < now_took / 4,
        "{later} waits in {later_took:?}, and {now} in {now_took:?} of {MANY} drops"
    );
}

/// The context is destroyed by the caller then.
#[test]
fn a_context_is_destroyed_without_a_thread() {
    let status = support::in_child(|| {
        let (context, name) = idle();
        let calls = [libc::SYS_clone, libc::SYS_clone3];
        support::forbid(&calls.map(|call| Some(call as u32)), libc::EAGAIN);
        assert!(std::thread::Builder::new().spawn(|| ()).is_err());
        context.destroy_later();
        assert!(!exists(name));
        7
    });
    assert_eq!(status, 7);
}

/// A child of fork drops the contexts that it has inherited, and destroys its own.
#[test]
fn a_forked_child_destroys_its_own_contexts() {
    let (before, _) = idle();
    before.destroy_later();
    let (inherited, name) = idle();
    let mut inherited = Some(inherited);
    let status = support::in_child(|| {
        inherited.take().unwrap().destroy_later();
        let (own, own_name) = idle();
        own.destroy_later();
        await_end(own_name);
        7
    });
    assert_eq!(status, 7);
    assert!(exists(name));
    inherited.unwrap().destroy_later();
    await_end(name);
}
