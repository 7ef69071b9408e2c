//! Shared parts of the integration tests: files, pipes, signals, child processes and
//! sandboxes. The tests require Linux with AIO; without it they fail rather than skip.
//! A test that needs a tool that the machine lacks is skipped by name (`skip`).
#![allow(dead_code, reason = "each test binary uses a part")]

pub(crate) mod again;
pub(crate) mod inject;
pub(crate) mod skip;
pub(crate) mod tasks;

use std::any::Any;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use linux_aio::{Context, Event, Fd, Iocb, WaitOptions, nr};

/// Returns a descriptor without the library's feature `std`.
pub(crate) fn fd(owner: &impl AsFd) -> Fd<'_> {
    // SAFETY: the descriptor is open for as long as its owner is borrowed.
    unsafe { Fd::borrow_raw(owner.as_fd().as_raw_fd()) }
}

/// Returns a descriptor that is not open, which causes EBADF.
pub(crate) fn no_fd() -> Fd<'static> {
    // SAFETY: no descriptor ever has this number.
    unsafe { Fd::borrow_raw(-1) }
}

/// A file that is removed when the test ends.
pub(crate) struct TempFile {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
}

impl TempFile {
    pub(crate) fn with(content: &[u8]) -> TempFile {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .unwrap();
        file.write_all(content).unwrap();
        file.sync_all().unwrap();
        TempFile { path, file }
    }

    pub(crate) fn fd(&self) -> Fd<'_> {
        fd(&self.file)
    }

    /// Opens the same file for direct I/O.
    pub(crate) fn direct(&self) -> File {
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_DIRECT)
            .open(&self.path)
            .expect("a file system with O_DIRECT")
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Returns bytes that differ from block to block and are never zero.
///
/// Some tests take 32 MiB. Blocks are copied, which no sanitizer instruments byte by byte.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    const BLOCK: usize = 251;
    let ramp: Vec<u8> = (0..256 + BLOCK).map(|i| i as u8 | 1).collect();
    let mut bytes = Vec::with_capacity(len);
    for block in 0..len.div_ceil(BLOCK) {
        let rest = BLOCK.min(len - bytes.len());
        bytes.extend_from_slice(&ramp[block * 7 % 256..][..rest]);
    }
    bytes
}

/// Creates a pipe and returns its reading and writing ends.
pub(crate) fn pipe() -> (OwnedFd, OwnedFd) {
    let mut ends = [0; 2];
    // SAFETY: two integers are written; both are new descriptors.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    }
}

/// Creates a file that is on no disk.
pub(crate) fn memory_file() -> OwnedFd {
    // SAFETY: this is a new descriptor, or −1, which the assertion catches.
    unsafe {
        let fd = libc::memfd_create(c"test".as_ptr(), libc::MFD_CLOEXEC);
        assert!(fd >= 0);
        OwnedFd::from_raw_fd(fd)
    }
}

pub(crate) fn eventfd() -> OwnedFd {
    // SAFETY: this is a new descriptor, or −1, which the assertion catches.
    unsafe {
        let fd = libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC);
        assert!(fd >= 0);
        OwnedFd::from_raw_fd(fd)
    }
}

/// Submits one operation and waits for its event.
///
/// # Safety
///
/// The promise of `Context::submit` applies, with buffers that are alive until this
/// function returns.
pub(crate) unsafe fn run(context: &Context, mut iocb: Iocb) -> Event {
    // SAFETY: the caller keeps the promise of `Context::submit`. The buffers are alive
    // until this function returns, which is after the event.
    assert_eq!(unsafe { context.submit(&mut [&mut iocb]) }, Ok(1));
    let mut events = [Event::EMPTY; 2];
    let wait = WaitOptions::new().timeout(Duration::from_secs(20));
    let done = context.wait_with(1, &mut events, wait).unwrap();
    assert_eq!(done.len(), 1, "one operation, one event");
    assert_eq!(done[0].obj, (&raw const iocb).addr() as u64);
    done[0]
}

/// Runs `body` in a forked child and returns its exit status. Panics if the
/// child panicked, was killed, or took more than two minutes.
///
/// Other threads of this process may have held locks that stay locked in the
/// child; glibc keeps its allocator usable.
pub(crate) fn in_child(body: impl FnOnce() -> i32) -> i32 {
    const PANICKED: i32 = 101;
    // SAFETY: the child ends by _exit, also after a panic, and so never returns
    // to the test harness, which would count the test as passed.
    let status = unsafe {
        match libc::fork() {
            -1 => panic!("fork: {}", std::io::Error::last_os_error()),
            0 => {
                libc::alarm(120);
                // Objects that the body leaves in an inconsistent state do not outlive
                // the child.
                let result = catch_unwind(AssertUnwindSafe(body));
                libc::_exit(result.unwrap_or_else(|payload| {
                    report(&*payload);
                    PANICKED
                }))
            }
            child => {
                let mut status = 0;
                assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
                status
            }
        }
    };
    assert!(
        libc::WIFEXITED(status),
        "the child died: status {status:#x}"
    );
    let status = libc::WEXITSTATUS(status);
    assert_ne!(status, PANICKED, "the child panicked");
    status
}

/// Writes a panic's message to the standard error: the harness captures the output of
/// the panic hook, and the capture is lost with the child.
fn report(payload: &(dyn Any + Send)) {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let line = format!("panic in a child: {}\n", text.unwrap_or("(no text)"));
    // SAFETY: the bytes are initialised, and their length is passed.
    unsafe { libc::write(2, line.as_ptr().cast(), line.len()) };
}

/// Makes the kernel return `errno` for each of the numbers, as a container's seccomp
/// profile does.
pub(crate) fn forbid(numbers: &[Option<u32>], errno: i32) {
    filter(numbers, libc::SECCOMP_RET_ERRNO | errno as u32);
}

/// Makes the kernel kill this process with SIGSYS if it makes one of these system
/// calls.
pub(crate) fn die_of(numbers: &[Option<u32>]) {
    filter(numbers, libc::SECCOMP_RET_KILL_PROCESS);
}

/// Installs a seccomp filter for these system calls in this process.
fn filter(numbers: &[Option<u32>], action: u32) {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JEQ: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RET: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let statement = |code, k, jf| libc::sock_filter { code, jt: 0, jf, k };
    let mut filter = [statement(RET, libc::SECCOMP_RET_ALLOW, 0); 32];
    let mut len = 0;
    let mut push = |s| {
        filter[len] = s;
        len += 1;
    };
    push(statement(LOAD, 0, 0)); // This loads seccomp_data.nr.
    for number in numbers.iter().flatten() {
        push(statement(JEQ, *number, 1));
        push(statement(RET, action, 0));
    }
    push(statement(RET, libc::SECCOMP_RET_ALLOW, 0));
    let program = libc::sock_fprog {
        len: len as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the program is valid for the call and is copied.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        assert_eq!(
            libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program),
            0
        );
    }
}

/// The system calls that wait.
pub(crate) const WAITS: [Option<u32>; 3] = [
    nr::IO_GETEVENTS,
    nr::IO_PGETEVENTS,
    nr::IO_PGETEVENTS_TIME64,
];

/// All AIO system calls.
pub(crate) const ALL: [Option<u32>; 7] = [
    nr::IO_SETUP,
    nr::IO_DESTROY,
    nr::IO_SUBMIT,
    nr::IO_CANCEL,
    nr::IO_GETEVENTS,
    nr::IO_PGETEVENTS,
    nr::IO_PGETEVENTS_TIME64,
];

/// Lets `signal` interrupt system calls, by a handler that does nothing, without
/// SA_RESTART.
pub(crate) fn catch(signal: i32) {
    extern "C" fn handler(_: i32) {}
    // SAFETY: the structure is all zero but for the handler, which is valid.
    unsafe {
        let mut action: libc::sigaction = core::mem::zeroed();
        action.sa_sigaction = handler as extern "C" fn(i32) as libc::sighandler_t;
        assert_eq!(
            libc::sigaction(signal, &raw const action, core::ptr::null_mut()),
            0
        );
    }
}

/// Catches `signal`, and blocks it in this thread.
pub(crate) fn block(signal: i32) {
    catch(signal);
    // SAFETY: the set is initialised by sigemptyset; only this thread's mask
    // changes.
    unsafe {
        let mut set = core::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        let (block, old) = (libc::SIG_BLOCK, core::ptr::null_mut());
        assert_eq!(libc::pthread_sigmask(block, &raw const set, old), 0);
    }
}

/// Sends `signal` to this thread, once.
pub(crate) fn send_here(signal: i32) {
    // SAFETY: this thread is alive.
    let sent = unsafe { libc::pthread_kill(libc::pthread_self(), signal) };
    assert_eq!(sent, 0);
}

/// Sends `signal` to this thread again and again until the guard is dropped.
pub(crate) fn pester(signal: i32) -> impl Drop {
    struct Guard(&'static AtomicBool, Option<thread::JoinHandle<()>>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.store(true, Relaxed);
            self.1.take().unwrap().join().unwrap();
        }
    }
    catch(signal);
    let stop: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    // SAFETY: the thread lives at least as long as the guard.
    let target = unsafe { libc::pthread_self() };
    let sender = thread::spawn(move || {
        while !stop.load(Relaxed) {
            thread::sleep(Duration::from_millis(10));
            // SAFETY: the target thread lives at least as long as the guard, which
            // stops this thread.
            unsafe { libc::pthread_kill(target, signal) };
        }
    });
    Guard(stop, Some(sender))
}
