//! Faults that concern one process alone: a test runs itself again in a new process, which
//! a filter then forbids system calls.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::process::Command;

/// Runs `body` in a new process. `test` is the name of the test that calls this.
pub(crate) fn in_process(test: &str, body: impl FnOnce()) {
    const HERE: &str = "LINUX_AIO_TOKIO_FAULT";
    if std::env::var_os(HERE).is_some_and(|name| name == test) {
        return body();
    }
    // The time limit is for a wake-up that is lost.
    let output = Command::new("timeout")
        .arg("60")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(HERE, test)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{output:?}"
    );
}

/// A rule of a filter: the system call fails with the error, if its first argument is at
/// least this.
pub(crate) struct Forbidden(pub(crate) Option<u32>, pub(crate) u32, pub(crate) i32);

/// Forbids system calls to all threads of this process.
pub(crate) fn forbid(rules: &[Forbidden]) {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let line = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    // The low half of the first argument of `struct seccomp_data`.
    let argument = if cfg!(target_endian = "little") {
        16
    } else {
        20
    };
    let mut filter = Vec::new();
    for Forbidden(call, least, errno) in rules {
        // The ABI may not have it.
        let Some(call) = call else { continue };
        filter.push(line(LOAD, 0, 0, 0));
        filter.push(line(EQUAL, 0, 3, *call));
        filter.push(line(LOAD, 0, 0, argument));
        filter.push(line(AT_LEAST, 0, 1, *least));
        filter.push(line(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | *errno as u32));
    }
    filter.push(line(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the program has as many lines, which live until the calls return.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let all_threads = libc::SECCOMP_FILTER_FLAG_TSYNC;
        let set = libc::SECCOMP_SET_MODE_FILTER;
        assert_eq!(
            libc::syscall(libc::SYS_seccomp, set, all_threads, &raw const program),
            0
        );
    }
}

/// Returns the number of AIO contexts of this process.
pub(crate) fn contexts() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains("[aio]")).count()
}
