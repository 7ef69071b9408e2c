//! Tests of the library's futures that are dropped in flight, as tokio's timeouts do.

#[path = "support/drive.rs"]
mod drive;
#[path = "support/page.rs"]
mod page;

use std::fs::{File, OpenOptions};
use std::future::{Future, poll_fn};
use std::io::Write;
use std::ops::Deref;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use drive::{drive, eventfd};
use linux_aio::op::{Poll as PollFd, Read};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Local, Lock, Reactor, ReactorSlot, Shared};
use page::{CHUNK, Page};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{LocalSet, spawn, spawn_local};
use tokio::time::{sleep, timeout};

const SOON: Duration = Duration::from_millis(20);
/// The time limit of a wait. The kernel completes a cancelled poll in a kernel thread,
/// which took ten seconds on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A reactor whose operations each keep their file open.
type Owning<L> = Reactor<'static, Page, L, Arc<File>>;

/// Creates a reactor with `N` slots, and its eventfd.
fn reactor<L: Lock, const N: usize>() -> (Owning<L>, Arc<File>) {
    let slots = Box::leak(Box::new(ReactorSlot::array::<N>()));
    let eventfd = eventfd().unwrap();
    let reactor = Reactor::new(slots).unwrap();
    (reactor.eventfd_owned(Arc::clone(&eventfd)), eventfd)
}

/// Waits until the driver, another task, has taken all completions. The driver may then
/// be in the middle of its turn, so the turn is completed here.
async fn idle<L: Lock>(reactor: &Owning<L>) {
    let begin = Instant::now();
    while reactor.in_flight() > 0 {
        assert!(begin.elapsed() < PATIENCE, "{reactor:?}");
        sleep(Duration::from_millis(1)).await;
    }
    reactor.turn().unwrap();
}

/// Returns the output of a future. A timeout polls the future once more, so a lost wake
/// is detected only by the time that passed.
async fn woken<F: Future>(future: F) -> F::Output {
    let begin = Instant::now();
    let done = timeout(PATIENCE, future).await;
    assert!(begin.elapsed() < PATIENCE, "no task was woken");
    done.unwrap()
}

/// Tests a reactor of one slot.
async fn endless<L: Lock>(reactor: impl Deref<Target = Owning<L>>) {
    let never = eventfd().unwrap();
    let ready = eventfd().unwrap();
    let poll = |file: &Arc<File>| reactor.push(PollFd::owned(Arc::clone(file), PollMask::IN));
    ready.as_ref().write_all(&1_u64.to_ne_bytes()).unwrap();
    for _ in 0..20 {
        // A slot that is not freed would keep the second round waiting.
        let timed_out = timeout(SOON, poll(&never)).await;
        assert!(timed_out.is_err(), "{timed_out:?}");
        idle(&*reactor).await;
        // A second future waits for the slot of the first, and is dropped before it.
        {
            let mut first = pin!(poll(&never));
            let polled = poll_fn(|task| Poll::Ready(first.as_mut().poll(task))).await;
            assert!(polled.is_pending() && reactor.in_flight() == 1);
            let second = timeout(SOON, poll(&ready)).await;
            assert!(second.is_err(), "there was no slot: {second:?}");
            assert_eq!(reactor.in_flight(), 1);
        }
        // This one gets the slot, when the cancelled poll completes.
        let third = woken(poll(&ready)).await;
        let found = PollMask::from_result(third.result.unwrap());
        assert_eq!(found, PollMask::IN);
        assert_eq!(reactor.in_flight(), 0);
    }
}

#[test]
fn a_poll_that_never_completes_is_cancelled_by_a_timeout() {
    let (reactor, eventfd) = reactor::<Local, 1>();
    let reactor = Rc::new(reactor);
    let driven = reactor.clone();
    LocalSet::new().block_on(&one_thread(), async {
        let driver = spawn_local(async move { drive(&driven, eventfd).await });
        endless(reactor.clone()).await;
        assert!(!driver.is_finished());
    });
    Rc::into_inner(reactor)
        .unwrap()
        .into_idle_context()
        .unwrap();
}

#[test]
fn a_poll_is_cancelled_by_a_timeout_on_several_threads() {
    let (reactor, eventfd) = reactor::<Shared, 1>();
    let reactor = Arc::new(reactor);
    let driven = reactor.clone();
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let driver = spawn(async move { drive(&driven, eventfd).await });
        spawn(endless(reactor.clone())).await.unwrap();
        assert!(!driver.is_finished());
    });
    drop(runtime);
    Arc::into_inner(reactor)
        .unwrap()
        .into_idle_context()
        .unwrap();
}

/// Counts pages, so this must be the only test in the process that has any.
#[test]
fn the_page_of_a_dropped_read_is_kept_until_it_completes() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dropped");
    std::fs::write(&path, [7; CHUNK]).unwrap();
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_DIRECT);
    let file = Arc::new(options.open(&path).unwrap());
    let (reactor, eventfd) = reactor::<Local, 8>();
    let reactor = Rc::new(reactor);
    let driven = reactor.clone();
    let read = || reactor.push(Read::owned(Arc::clone(&file), Page::new()));
    LocalSet::new().block_on(&one_thread(), async {
        spawn_local(async move { drive(&driven, eventfd).await });
        let begin = Instant::now();
        let mut kept = 0;
        while kept < 100 {
            assert!(begin.elapsed() < PATIENCE, "every read has ended at once");
            let mut pending = 0;
            for _ in 0..8 {
                let mut read = pin!(read());
                let polled = poll_fn(|task| Poll::Ready(read.as_mut().poll(task))).await;
                pending += usize::from(polled.is_pending());
            }
            // The driver has not run yet, so each operation in flight holds its page.
            assert_eq!(Page::alive(), pending);
            kept += pending;
            idle(&*reactor).await;
            assert_eq!(Page::alive(), 0);
        }
        // The first is not submitted, so it is dropped at once; so is a future that was
        // never polled.
        drop(read());
        assert_eq!(Page::alive(), 0);
        // All slots are free again.
        for _ in 0..9 {
            let read = woken(read()).await;
            assert_eq!(read.result, Ok(CHUNK));
        }
    });
    Rc::into_inner(reactor)
        .unwrap()
        .into_idle_context()
        .unwrap();
    assert_eq!(Page::alive(), 0);
}
