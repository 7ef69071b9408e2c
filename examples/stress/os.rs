//! Signals, eventfds, and how much memory the process has.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

const SIGNAL: i32 = libc::SIGUSR1;
/// Between two signals to the same thread.
const PERIOD: Duration = Duration::from_millis(1);
/// As long as a wait is at the most.
pub(crate) const PAUSE: Duration = Duration::from_millis(5);

static SIGNALS: AtomicU64 = AtomicU64::new(0);

/// Lets the signal interrupt system calls: without SA_RESTART.
pub(crate) fn catch() {
    extern "C" fn handler(_: i32) {
        SIGNALS.fetch_add(1, Relaxed);
    }
    // SAFETY: the structure is all zero but for the handler, which only adds
    // to an atomic.
    unsafe {
        let mut action: libc::sigaction = core::mem::zeroed();
        action.sa_sigaction = handler as extern "C" fn(i32) as libc::sighandler_t;
        assert_eq!(
            libc::sigaction(SIGNAL, &raw const action, core::ptr::null_mut()),
            0
        );
    }
}

/// How many signals were handled.
pub(crate) fn signals() -> u64 {
    SIGNALS.load(Relaxed)
}

/// Sends each thread a signal a millisecond.
pub(crate) fn pester(threads: &[AtomicI32], over: &AtomicBool) {
    let mut next = Instant::now();
    while !over.load(Relaxed) {
        for thread in threads {
            let thread = thread.load(Relaxed);
            if thread != 0 {
                // SAFETY: no memory is passed. A thread that has just gone is
                // no error that matters.
                unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, SIGNAL) };
            }
        }
        next += PERIOD;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

pub(crate) fn thread_id() -> i32 {
    // SAFETY: no memory is passed.
    unsafe { libc::gettid() }
}

pub(crate) fn eventfd() -> File {
    // SAFETY: a fresh descriptor, or −1, which the assertion catches.
    unsafe {
        let fd = libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC);
        assert!(fd >= 0, "eventfd: {}", std::io::Error::last_os_error());
        File::from_raw_fd(fd)
    }
}

pub(crate) fn signal(eventfd: &File) {
    let one = 1_u64.to_ne_bytes();
    // SAFETY: eight bytes are read.
    let written = unsafe { libc::write(eventfd.as_raw_fd(), one.as_ptr().cast(), 8) };
    assert_eq!(written, 8);
}

pub(crate) fn clear(eventfd: &File) {
    let mut count = [0_u8; 8];
    // SAFETY: eight bytes are written.
    let read = unsafe { libc::read(eventfd.as_raw_fd(), count.as_mut_ptr().cast(), 8) };
    assert_eq!(read, 8);
}

/// Where each thread is in the kernel, if it is: a line each.
pub(crate) fn whereabouts() -> String {
    let mut lines = String::new();
    for task in std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        let read = |name: &str| std::fs::read_to_string(task.path().join(name));
        let (call, place) = (read("syscall"), read("wchan"));
        let (call, place) = (call.unwrap_or_default(), place.unwrap_or_default());
        let call = call.split_whitespace().next().unwrap_or("?");
        lines += &format!("thread {:?}: call {call}, at {place}\n", task.file_name());
    }
    lines
}

/// In KiB.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// VmRSS: what is in memory.
    pub(crate) now: u64,
    /// VmHWM: the most that ever was.
    pub(crate) peak: u64,
}

/// As `/proc/self/status` tells it.
pub(crate) fn memory() -> Memory {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let of = |name: &str| {
        let mut lines = status.lines().filter_map(|line| line.strip_prefix(name));
        let words = lines.next().and_then(|line| line.split_whitespace().next());
        words.and_then(|number| number.parse().ok()).unwrap()
    };
    Memory {
        now: of("VmRSS:"),
        peak: of("VmHWM:"),
    }
}
