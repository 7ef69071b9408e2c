//! Tests of the blocks that `aio copy` reserves on ext4.

mod common;

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use common::*;

const MIB: usize = 1 << 20;

/// Returns whether the tool reserves blocks in this directory: on ext4.
fn reserves(directory: &Path) -> bool {
    let path = CString::new(directory.as_os_str().as_bytes()).unwrap();
    // SAFETY: zero is a valid value of every field.
    let mut status: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends in a zero byte, and `status` is valid for writes.
    assert_eq!(0, unsafe { libc::statfs(path.as_ptr(), &raw mut status) });
    status.f_type == libc::EXT4_SUPER_MAGIC
}

/// Runs the tool under strace, which `inject`s results. Returns the calls of fallocate(2).
fn reservations(directory: &Path, flags: &[&str], inject: &[&str]) -> Vec<String> {
    let at = |name: &str| directory.join(name);
    let mut traced = Command::new("strace");
    // strace injects only into calls that it traces.
    let calls = "trace=fallocate,copy_file_range,preadv";
    traced.args(["-qq", "-e", calls, "-o"]).arg(at("trace"));
    traced.args(inject.iter().flat_map(|inject| ["-e", inject]));
    traced.arg(tool()).arg("copy").args(flags);
    quiet(&traced.args([at("a"), at("b")]).output().unwrap());
    let trace = fs::read_to_string(at("trace")).unwrap();
    let calls = trace.lines().filter(|line| line.starts_with("fallocate("));
    calls.map(str::to_owned).collect()
}

/// Returns the number of bytes that the file occupies on the disk.
fn occupied(file: &Path) -> u64 {
    fs::metadata(file).unwrap().blocks() * 512
}

#[test]
fn the_rest_of_a_long_part_is_reserved() {
    if !have(&["strace"]) {
        return;
    }
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    let data = bytes(24 * MIB + 1);
    fs::write(at("a"), &data).unwrap();
    let calls = reservations(directory.path(), &[], &[]);
    assert!(fs::read(at("b")).unwrap() == data);
    assert!(occupied(&at("b")) <= occupied(&at("a")) + MIB as u64);
    let (from, length) = (8 * MIB, 16 * MIB + 1);
    let expected = format!("FALLOC_FL_KEEP_SIZE, {from}, {length}) = 0");
    match &calls[..] {
        [] => assert!(!reserves(directory.path())),
        [call] => assert!(call.contains(&expected), "{call}"),
        calls => panic!("{calls:?}"),
    }
    if reserves(directory.path()) {
        assert_eq!(calls.len(), 1);
    }
}

#[test]
fn nothing_is_reserved_in_place_for_zeros_and_for_short_files() {
    if !have(&["strace"]) {
        return;
    }
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    let data = bytes(24 * MIB);
    fs::write(at("a"), &data).unwrap();
    let none: [String; 0] = [];
    assert_eq!(
        reservations(directory.path(), &["--sparse=always"], &[]),
        none
    );
    // The second name keeps the file from being replaced.
    fs::hard_link(at("b"), at("c")).unwrap();
    assert_eq!(reservations(directory.path(), &[], &[]), none);
    assert!(fs::read(at("c")).unwrap() == data);
    fs::write(at("a"), &data[..8 * MIB]).unwrap();
    fs::remove_file(at("b")).unwrap();
    assert_eq!(reservations(directory.path(), &[], &[]), none);
}

/// Tests that a hole behind a reserved part stays a hole.
#[test]
fn holes_are_not_reserved() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    let data = bytes(24 * MIB);
    fs::write(at("a"), &data).unwrap();
    let file = fs::OpenOptions::new().write(true).open(at("a")).unwrap();
    file.set_len(96 << 20).unwrap();
    drop(file);
    quiet(&copy(&[], &at("a"), &at("b")).output().unwrap());
    assert!(occupied(&at("b")) <= occupied(&at("a")) + MIB as u64);
    let copied = fs::read(at("b")).unwrap();
    assert!(copied.len() == 96 << 20 && copied[..data.len()] == data);
}

/// Some files are shorter than their size says.
#[test]
fn what_is_reserved_beyond_the_end_is_given_back() {
    if !have(&["strace"]) {
        return;
    }
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    let data = bytes(64 * MIB);
    fs::write(at("a"), &data).unwrap();
    let end = [
        "inject=copy_file_range:retval=0:when=2+",
        "inject=preadv:retval=0",
    ];
    let calls = reservations(directory.path(), &[], &end);
    assert_eq!(calls.len(), usize::from(reserves(directory.path())));
    assert!(fs::read(at("b")).unwrap() == data[..8 * MIB]);
    let occupied = occupied(&at("b"));
    assert!(occupied <= 9 * MIB as u64, "{occupied}");
}

/// The space may suffice for the data even if it does not for a reservation.
#[test]
fn a_refused_reservation_is_no_error() {
    if !have(&["strace"]) {
        return;
    }
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    let data = bytes(40 * MIB);
    fs::write(at("a"), &data).unwrap();
    for errno in ["ENOSPC", "EOPNOTSUPP", "EINTR"] {
        let inject = format!("inject=fallocate:error={errno}");
        let calls = reservations(directory.path(), &[], &[&inject]);
        // It is not attempted again.
        assert_eq!(
            calls.len(),
            usize::from(reserves(directory.path())),
            "{errno}"
        );
        assert!(fs::read(at("b")).unwrap() == data, "{errno}");
    }
}
