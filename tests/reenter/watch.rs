//! [`Watched`], a lock that records whether it is held, and the watchdog.

use std::cell::Cell;
use std::io::Write;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use linux_aio::reactor::Lock;

/// The longest time without progress. After it a wake-up was lost, or a lock is held
/// for ever. Kernel threads complete cancelled polls, which may take seconds on a busy
/// machine.
const STALLED: Duration = Duration::from_secs(60);

static PROGRESS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static HELD: Cell<bool> = const { Cell::new(false) };
}

/// A lock that records for each thread that it is held.
pub(crate) struct Watched<L>(L);

// SAFETY: the inner lock runs `f` alone and once. Neither assertion fails unless the
// reactor nests its calls, and then the process ends.
unsafe impl<L: Lock> Lock for Watched<L> {
    const NEW: Watched<L> = Watched(L::NEW);

    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        assert!(!HELD.get(), "the reactor nests its calls of the lock");
        self.0.with(|| {
            HELD.set(true);
            let value = f();
            HELD.set(false);
            value
        })
    }
}

/// Returns whether this thread holds a watched lock.
pub(crate) fn is_held() -> bool {
    HELD.get()
}

pub(crate) fn progress() {
    PROGRESS.fetch_add(1, Relaxed);
}

/// Starts the watchdog and installs the panic hook. From then on every panic with a
/// message is a failure and ends the process, since the reactor may catch it. (The
/// planned panics of the user code do not reach the hook.)
pub(crate) fn begin() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        std::panic::set_hook(Box::new(|info| fail(&format!("{info}"))));
        thread::spawn(|| {
            let (mut last, mut since) = (0, Instant::now());
            loop {
                thread::sleep(Duration::from_secs(1));
                let now = PROGRESS.load(Relaxed);
                if now != last {
                    (last, since) = (now, Instant::now());
                } else if since.elapsed() > STALLED {
                    fail("nothing ends any more: a wake-up was lost");
                }
            }
        });
    });
}

/// Ends the process with a message. It bypasses the print macros, whose output the test
/// harness captures.
fn fail(message: &str) -> ! {
    let place = super::round::description();
    let _ = writeln!(std::io::stderr(), "\n{place}: {message}: BAD");
    std::process::exit(101);
}
