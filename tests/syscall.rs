//! Tests the system call stubs: every arity, with a system call that uses all its
//! arguments, and results at the edges of the range. AIO needs two, three, five and six
//! arguments.
#![cfg(target_os = "linux")]

mod support;

use std::ffi::CString;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;

use linux_aio::Errno;
use linux_aio::syscall::{syscall0, syscall1, syscall2, syscall3, syscall4, syscall5, syscall6};
use support::{TempFile, pattern};

fn nr(number: libc::c_long) -> usize {
    number as usize
}

#[test]
fn none() {
    // SAFETY: getpid has no effect.
    let pid = unsafe { syscall0(nr(libc::SYS_getpid)) };
    assert_eq!(pid as u32, std::process::id());
}

#[test]
fn one() {
    // SAFETY: the descriptor and the system call number do not exist, so the calls
    // fail.
    unsafe {
        let closed = Errno::check(syscall1(nr(libc::SYS_close), usize::MAX));
        assert_eq!(closed, Err(Errno::BADF));
        assert_eq!(Errno::check(syscall1(9999, 0)), Err(Errno::NOSYS));
    }
}

#[test]
fn two() {
    let mut path = [0_u8; 4096];
    // SAFETY: the buffer has the passed length.
    let len = unsafe { syscall2(nr(libc::SYS_getcwd), path.as_mut_ptr().addr(), path.len()) };
    let path = std::str::from_utf8(&path[..len as usize - 1]).unwrap();
    assert_eq!(std::path::Path::new(path), std::env::current_dir().unwrap());
}

#[test]
fn three() {
    let (reader, writer) = support::pipe();
    let (out, mut back) = (*b"three", [0_u8; 8]);
    // SAFETY: the buffers have the passed lengths.
    unsafe {
        let write = nr(libc::SYS_write);
        let fd = writer.as_raw_fd() as usize;
        assert_eq!(syscall3(write, fd, out.as_ptr().addr(), 5), 5);
        let read = nr(libc::SYS_read);
        let fd = reader.as_raw_fd() as usize;
        assert_eq!(syscall3(read, fd, back.as_mut_ptr().addr(), 8), 5);
    }
    assert_eq!(&back[..5], b"three");
}

#[test]
fn four() {
    // For openat(2) the fourth argument is the mode of the new file.
    let path = TempFile::with(b"").path.clone();
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY;
    // SAFETY: the string ends in a zero byte; the descriptor is closed.
    let stat = unsafe {
        let cwd = libc::AT_FDCWD as usize;
        let open = nr(libc::SYS_openat);
        let fd = syscall4(open, cwd, name.as_ptr().addr(), flags as usize, 0o200);
        let stat = std::fs::metadata(&path).unwrap();
        assert_eq!(syscall1(nr(libc::SYS_close), fd as usize), 0);
        std::fs::remove_file(&path).unwrap();
        stat
    };
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(stat.permissions().mode() & 0o777, 0o200);
}

#[test]
fn five() {
    let file = TempFile::with(b"five!");
    let name = CString::new(file.path.as_os_str().as_bytes()).unwrap();
    // SAFETY: statx writes the structure and reads the string.
    let size = unsafe {
        let mut statx: libc::statx = core::mem::zeroed();
        let (cwd, path) = (libc::AT_FDCWD as usize, name.as_ptr().addr());
        let out = (&raw mut statx).expose_provenance();
        let mask = libc::STATX_SIZE as usize;
        assert_eq!(syscall5(nr(libc::SYS_statx), cwd, path, 0, mask, out), 0);
        statx.stx_size
    };
    assert_eq!(size, 5);
}

/// mmap(2) is not used: on s390x it takes one argument, and 32-bit ABIs count pages.
#[test]
fn six() {
    let content = pattern(3 * 4096);
    let (from, to) = (TempFile::with(&content), TempFile::with(b"before"));
    let (mut from_at, mut to_at) = (4096_i64, 6_i64);
    let mut copy = |flags| {
        let from_at = (&raw mut from_at).expose_provenance();
        let to_at = (&raw mut to_at).expose_provenance();
        let (from, to) = (from.fd().as_raw() as usize, to.fd().as_raw() as usize);
        let copy_file_range = nr(libc::SYS_copy_file_range);
        // SAFETY: the kernel reads and writes the two offsets.
        Errno::check(unsafe { syscall6(copy_file_range, from, from_at, to, to_at, 100, flags) })
    };
    assert_eq!(copy(1 << 10), Err(Errno::INVAL));
    assert_eq!(copy(0), Ok(100));
    assert_eq!((from_at, to_at), (4196, 106));
    let (text, copied) = (b"before", &content[4096..4196]);
    assert_eq!(std::fs::read(&to.path).unwrap(), [text, copied].concat());
}

/// Keeps live values in as many registers as possible across each stub.
#[test]
fn registers_survive() {
    let mut values: [u64; 24] = core::array::from_fn(|i| i as u64 + 1);
    let mut floats: [f64; 16] = core::array::from_fn(|i| i as f64 + 0.5);
    for round in 0..1000_usize {
        // SAFETY: the system call number does not exist, so the calls fail.
        let answers = unsafe {
            [
                syscall0(9999),
                syscall1(9999, round),
                syscall2(9999, round, 1),
                syscall3(9999, round, 1, 2),
                syscall4(9999, round, 1, 2, 3),
                syscall5(9999, round, 1, 2, 3, 4),
                syscall6(9999, round, 1, 2, 3, 4, 5),
            ]
        };
        assert_eq!(answers, [-(Errno::NOSYS.raw_os_error() as isize); 7]);
        for value in &mut values {
            *value = value.rotate_left(7) ^ round as u64;
        }
        for float in &mut floats {
            *float += 1.0;
        }
    }
    let mut expected: [u64; 24] = core::array::from_fn(|i| i as u64 + 1);
    for round in 0..1000 {
        for value in &mut expected {
            *value = value.rotate_left(7) ^ round;
        }
    }
    assert_eq!(values, expected);
    assert_eq!(floats, core::array::from_fn(|i| i as f64 + 1000.5));
}
