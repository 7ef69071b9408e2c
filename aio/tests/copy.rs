//! Tests of successful runs of `aio copy`.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use common::*;

#[track_caller]
fn copies(flags: &[&str], data: &[u8]) {
    let directory = directory();
    let (source, target) = (directory.path().join("a"), directory.path().join("b"));
    fs::write(&source, data).unwrap();
    // With O_DIRECT, the source is read from the page cache or from the disk.
    let direct = flags.contains(&"--direct");
    for from_disk in [false, true].into_iter().take(1 + usize::from(direct)) {
        if from_disk {
            uncache(&source);
            fs::remove_file(&target).unwrap();
        }
        quiet(&copy(flags, &source, &target).output().unwrap());
        assert!(
            fs::read(&target).unwrap() == data,
            "{flags:?} {} {from_disk}",
            data.len()
        );
    }
    assert_eq!(names(directory.path()), ["a", "b"]);
}

#[test]
fn every_size_around_a_block() {
    for size in [
        0, 1, 511, 512, 513, 4095, 4096, 4097, 8191, 8192, 8193, 12_287,
    ] {
        for depth in ["1", "2", "7"] {
            copies(&["--depth", depth, "--block", "4K"], &bytes(size));
        }
    }
    for size in [(256 << 10) - 1, 256 << 10, (256 << 10) + 1, 5_000_001] {
        copies(&["--engine=aio"], &bytes(size));
    }
    for size in [
        0,
        1,
        4096,
        (8 << 20) - 1,
        8 << 20,
        (8 << 20) + 1,
        20_000_001,
    ] {
        copies(&[], &bytes(size));
        copies(&["--engine=kernel"], &bytes(size));
    }
}

#[test]
fn odd_blocks() {
    for block in ["512", "513", "1000", "65537", "1M", "3m"] {
        copies(&["--block", block, "--depth", "5"], &bytes(200_001));
    }
}

#[test]
fn a_great_depth() {
    copies(&["--depth=4096", "--block=512"], &bytes(3_000_017));
}

#[test]
fn around_the_page_cache() {
    if !direct_works() {
        return skip("the build directory's file system refuses O_DIRECT");
    }
    for size in [
        0, 1, 511, 512, 4095, 4096, 4097, 65_536, 65_537, 1_048_576, 5_000_001,
    ] {
        for block in ["4K", "64K", "5000"] {
            copies(&["--direct", "--block", block], &bytes(size));
        }
    }
}

/// What the page cache holds as a whole is read from there, so that the disk only has to
/// write.
#[test]
fn cached_data_is_not_read_again() {
    if !direct_works() {
        return skip("the build directory's file system refuses O_DIRECT");
    }
    if !cache_is_reported() {
        return skip("the kernel or a sandbox does not report the page cache");
    }
    const SIZE: usize = 16 << 20;
    let directory = directory();
    let (source, target) = (directory.path().join("a"), directory.path().join("b"));
    fs::write(&source, bytes(SIZE)).unwrap();
    let way = || {
        let mut command = copy(&["--direct", "--verbose"], &source, &target);
        let output = command.output().unwrap();
        assert!(fs::read(&target).unwrap() == bytes(SIZE));
        stderr(&output)
    };
    let expected = |more: &str| {
        format!(
            "aio: copy: {}: {SIZE} bytes by AIO with O_DIRECT{more}\n",
            target.display()
        )
    };
    assert_eq!(way(), expected(", from the page cache"));
    uncache(&source);
    assert_eq!(way(), expected(""));
    // The copy did not put it there.
    assert_eq!(way(), expected(""));
    // A part is not the whole.
    let file = fs::File::open(&source).unwrap();
    file.read_exact_at(&mut [0; 4096], 0).unwrap();
    assert_eq!(way(), expected(""));
}

/// Pages of holes in the page cache do not stand for pages of data: the data is read from
/// the disk, around the cache.
#[test]
fn cached_holes_are_not_cached_data() {
    if !direct_works() {
        return skip("the build directory's file system refuses O_DIRECT");
    }
    if !cache_is_reported() {
        return skip("the kernel or a sandbox does not report the page cache");
    }
    const DATA: usize = 4 << 20;
    const HOLE: usize = 2 * DATA;
    let directory = directory();
    let (source, target) = (directory.path().join("a"), directory.path().join("b"));
    let file = fs::File::create_new(&source).unwrap();
    file.write_all_at(&bytes(DATA), 0).unwrap();
    file.set_len((DATA + HOLE) as u64).unwrap();
    uncache(&source);
    let read = |at: usize, size| {
        let file = fs::File::open(&source).unwrap();
        file.read_exact_at(&mut vec![0; size], at as u64).unwrap();
    };
    let way = || {
        let mut command = copy(&["--direct", "--verbose"], &source, &target);
        stderr(&command.output().unwrap())
    };
    read(DATA, HOLE);
    assert!(way().ends_with(" by AIO with O_DIRECT\n"));
    // With its data there as well, all of the file is in the cache.
    read(0, DATA);
    assert!(way().ends_with(" by AIO with O_DIRECT, from the page cache\n"));
    // The holes need not be there.
    uncache(&source);
    read(0, DATA);
    assert!(way().ends_with(" by AIO with O_DIRECT, from the page cache\n"));
}

/// Tests a file large enough for its last part to be copied while the context is
/// destroyed. Its data surrounds the beginning of that part and the end of the aligned
/// part.
#[test]
fn a_big_sparse_file_around_the_page_cache() {
    const MIB: u64 = 1 << 20;
    if !direct_works() {
        return skip("the build directory's file system refuses O_DIRECT");
    }
    for (size, islands) in [
        (120 * MIB + 4097, &[0, 95 * MIB, 120 * MIB - 5000][..]),
        (120 * MIB, &[96 * MIB - 70_000, 96 * MIB + 8192]),
        (97 * MIB + 1, &[]),
    ] {
        for sparse in ["auto", "always", "never"] {
            let directory = directory();
            let (source, target) = (directory.path().join("a"), directory.path().join("b"));
            let file = fs::File::create(&source).unwrap();
            for &at in islands {
                file.write_all_at(&bytes(200_000), at).unwrap();
            }
            file.set_len(size).unwrap();
            let sparse = format!("--sparse={sparse}");
            for from_disk in [true, false] {
                if from_disk {
                    uncache(&source);
                }
                quiet(
                    &copy(&["--direct", &sparse], &source, &target)
                        .output()
                        .unwrap(),
                );
                // This also puts the source into the page cache.
                let same = Command::new("cmp").arg(&source).arg(&target).status();
                assert!(same.unwrap().success(), "{size} {sparse} {from_disk}");
            }
            let blocks = |path| fs::metadata(path).unwrap().blocks();
            let kept = blocks(&target) <= blocks(&source) + 256;
            assert!(kept || sparse.ends_with("never"), "{size} {sparse}");
        }
    }
}

/// Tests that a thread destroys the context, or the main thread where no other can be
/// started.
#[test]
fn the_context_is_destroyed_once() {
    if !have(&["strace"]) {
        return;
    }
    for refusal in [None, Some("inject=clone:error=EAGAIN")] {
        let directory = directory();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("a"), bytes(300_000)).unwrap();
        let mut traced = Command::new("strace");
        traced.args(["-f", "-qq", "-e", "trace=clone,io_destroy,fsync", "-o"]);
        traced.arg(at("trace"));
        traced.args(refusal.iter().flat_map(|refusal| ["-e", refusal]));
        traced.arg(tool()).args(["copy", "--engine=aio"]);
        quiet(&traced.args([at("a"), at("b")]).output().unwrap());
        assert_eq!(fs::read(at("b")).unwrap(), bytes(300_000));
        let trace = fs::read_to_string(at("trace")).unwrap();
        // The ids of the threads that made the system call.
        let callers = |name: &str| {
            let lines = trace.lines().filter(|line| line.contains(name));
            let threads = lines.map(|line| line.split_whitespace().next().unwrap());
            threads.collect::<Vec<_>>()
        };
        let (cloned, destroyed) = (callers("clone("), callers("io_destroy("));
        let status = fs::read_to_string("/proc/self/status").unwrap();
        if !status.contains("Seccomp:\t0") {
            // In a sandbox no thread is started.
            assert!(cloned.is_empty() && destroyed.len() == 1, "{trace}");
            continue;
        }
        assert_eq!(cloned.len(), 1, "{trace}");
        match refusal {
            // The exit may precede `io_destroy`, and destroys the context itself.
            None => assert!(destroyed.len() < 2 && destroyed != cloned, "{trace}"),
            Some(_) => assert_eq!(destroyed, cloned, "{trace}"),
        }
        assert!(!callers("fsync(").is_empty(), "{trace}");
    }
}

#[test]
fn a_sandbox_that_kills_for_a_thread_gets_none() {
    let directory = directory();
    let (source, target) = (directory.path().join("a"), directory.path().join("b"));
    fs::write(&source, bytes(300_000)).unwrap();
    let mut command = copy(&["--engine=aio"], &source, &target);
    quiet(&without_threads(&mut command).output().unwrap());
    assert_eq!(fs::read(&target).unwrap(), bytes(300_000));
}

/// A filter that was made before cachestat(2) kills for it, if it kills for all system
/// calls that it does not know.
#[test]
fn a_sandbox_that_kills_for_a_new_call_gets_none() {
    let directory = directory();
    let (source, target) = (directory.path().join("a"), directory.path().join("b"));
    fs::write(&source, bytes(300_000)).unwrap();
    let mut command = copy(&["--direct", "--quiet"], &source, &target);
    let call = linux_raw_sys::general::__NR_cachestat as libc::c_long;
    forbidding(&mut command, &[call], libc::SECCOMP_RET_KILL_PROCESS);
    quiet(&command.output().unwrap());
    assert_eq!(fs::read(&target).unwrap(), bytes(300_000));
}

#[test]
fn a_refusal_of_direct_io_is_reported_and_it_copies() {
    if !can_mount() {
        return skip("nothing can be mounted");
    }
    let directory = directory();
    let source = directory.path().join("a");
    fs::write(&source, bytes(100_001)).unwrap();
    let mount = directory.path().join("mount");
    fs::create_dir(&mount).unwrap();
    // ramfs does not support O_DIRECT.
    let output = Command::new("unshare")
        .args(["-m", "sh", "-ec"])
        .arg(r#"mount -t ramfs none "$2/mount"; "$1" copy --direct "$2/a" "$2/mount/b"; cmp "$2/a" "$2/mount/b""#)
        .arg("sh")
        .arg(tool())
        .arg(directory.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let target = mount.join("b");
    assert_eq!(
        stderr(&output),
        format!(
            "aio: copy: {}: O_DIRECT refused by the file system (invalid argument (EINVAL)); \
             going through the page cache\n",
            target.display()
        )
    );
}

#[test]
fn into_a_directory_and_through_links() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("a"), "data").unwrap();
    fs::create_dir(at("d")).unwrap();
    quiet(&copy(&[], &at("a"), &at("d")).output().unwrap());
    assert_eq!(fs::read_to_string(at("d/a")).unwrap(), "data");

    // The file that a link names is replaced, and the link stays.
    fs::write(at("d/real"), "old").unwrap();
    symlink("d/real", at("link")).unwrap();
    quiet(&copy(&[], &at("a"), &at("link")).output().unwrap());
    assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(at("d/real")).unwrap(), "data");

    // Names without a directory.
    let output = aio(&["copy", "a", "z"])
        .current_dir(directory.path())
        .output();
    quiet(&output.unwrap());
    // After `--`, a name can begin with a dash.
    let output = aio(&["copy", "--", "a", "-x"])
        .current_dir(directory.path())
        .output();
    quiet(&output.unwrap());
    assert_eq!(fs::read_to_string(at("-x")).unwrap(), "data");
    assert_eq!(names(directory.path()), ["-x", "a", "d", "link", "z"]);
}

#[test]
fn a_name_as_long_as_can_be() {
    let directory = directory();
    let (source, target) = (
        directory.path().join("a"),
        directory.path().join("n".repeat(255)),
    );
    fs::write(&source, "data").unwrap();
    quiet(&copy(&[], &source, &target).output().unwrap());
    assert_eq!(fs::read_to_string(&target).unwrap(), "data");
}

#[test]
fn files_without_a_size_are_read_to_their_end() {
    let directory = directory();
    let target = directory.path().join("b");
    // A file that is read in pieces, one that AIO cannot read, and one whose size is
    // wrong.
    let environment = format!("/proc/{}/environ", std::process::id());
    for source in [
        "/proc/kallsyms",
        &environment,
        "/sys/kernel/mm/transparent_hugepage/enabled",
    ] {
        let Ok(data) = fs::read(source) else { continue };
        for flags in [&[][..], &["--engine=aio"], &["--direct"]] {
            let output = copy(flags, Path::new(source), &target).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            assert_eq!(fs::read(&target).unwrap(), data, "{source}");
        }
    }
}

#[test]
fn whole_blocks_move_through_io_submit_alone() {
    if !have(&["strace"]) {
        return;
    }
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("a"), bytes(1_000_001)).unwrap();
    for (flags, from_disk) in [
        (&["--block", "64K"][..], false),
        (&["--block", "64K", "--direct"], false),
        (&["--block", "64K", "--direct"], true),
    ] {
        if from_disk {
            uncache(&at("a"));
        }
        let output = Command::new("strace")
            .args(["-f", "-e"])
            .arg(
                "trace=io_submit,read,write,pread64,pwrite64,readv,writev,preadv,pwritev,\
                 preadv2,pwritev2,copy_file_range,sendfile,splice,mmap,ioctl,fcntl",
            )
            .arg("-o")
            .arg(at("trace"))
            .arg(tool())
            .arg("copy")
            .args(flags)
            .args([at("a"), at("b")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let trace = fs::read_to_string(at("trace")).unwrap();
        let mut moved = [0_u64; 2];
        let direct = flags.contains(&"--direct") && direct_works();
        for line in trace.lines() {
            let call = line.split_whitespace().nth(1).unwrap_or_default();
            assert!(
                ["io_submit(", "mmap(", "ioctl(", "fcntl(", "+++"]
                    .iter()
                    .any(|known| call.starts_with(known))
                    // Reads of the status of the process in /proc, up to the end of that file.
                    || call.starts_with("read(")
                        && (line.contains("\"Name:\\taio\\n") || line.ends_with(" = 0"))
                    // The data after the last aligned block.
                    || direct && call.starts_with("copy_file_range(")
                    // cachestat(2), which strace need not know.
                    || direct && call.starts_with("syscall_0x1c3("),
                "{line}"
            );
            moved[0] += line.matches("aio_lio_opcode=IOCB_CMD_PREAD").count() as u64;
            moved[1] += line.matches("aio_lio_opcode=IOCB_CMD_PWRITE").count() as u64;
        }
        assert!(moved[0] >= 15 && moved[1] >= 15, "{moved:?}\n{trace}");
        // O_DIRECT is switched on for both files, or only for the target; and off for
        // both.
        let reads_disk = from_disk || !cache_is_reported();
        let on = usize::from(direct) * (1 + usize::from(reads_disk));
        let calls = usize::from(direct) * 2 + on;
        assert_eq!(trace.matches("O_DIRECT").count(), on, "{trace}");
        assert_eq!(trace.matches("F_SETFL").count(), calls, "{trace}");
        assert_eq!(fs::read(at("a")).unwrap(), fs::read(at("b")).unwrap());
    }
}

#[test]
fn memory_does_not_grow_with_the_file() {
    let directory = directory();
    let (source, target) = (directory.path().join("a"), directory.path().join("b"));
    let file = fs::File::create(&source).unwrap();
    file.set_len(256 << 20).unwrap();
    let mut command = copy(&[], &source, &target);
    // SAFETY: a system call between fork and exec, and no allocation.
    unsafe {
        command.pre_exec(|| {
            let limit = libc::rlimit {
                rlim_cur: 12 << 20,
                rlim_max: 12 << 20,
            };
            libc::setrlimit(libc::RLIMIT_AS, &limit);
            Ok(())
        });
    }
    quiet(&command.output().unwrap());
    assert_eq!(fs::metadata(&target).unwrap().len(), 256 << 20);
}

/// Creates a file of 5 MiB and some bytes, of which the given parts are data.
fn sparse(path: &Path, parts: &[(u64, usize)]) -> u64 {
    let file = fs::File::create(path).unwrap();
    let length = (5 << 20) + 77;
    file.set_len(length).unwrap();
    for &(from, size) in parts {
        file.write_all_at(&bytes(size), from).unwrap();
    }
    length
}

#[test]
fn holes_stay_holes() {
    const MIB: u64 = 1 << 20;
    let directory = directory();
    let (source, target) = (directory.path().join("a"), directory.path().join("b"));
    let layouts: [&[(u64, usize)]; 7] = [
        &[],
        &[(0, 4096)],
        &[(5 * MIB, 77)],
        &[(2 * MIB, 65_536)],
        &[(MIB + 100, 5000), (3 * MIB - 1, 2)],
        &[(0, 1), (MIB, 1), (2 * MIB, 1), (5 * MIB + 76, 1)],
        &[(5 * MIB - 4096, 4096)],
    ];
    let stored = |path: &Path| fs::metadata(path).unwrap().blocks();
    for layout in layouts {
        let length = sparse(&source, layout);
        for flags in [
            &[][..],
            &["--engine=aio"],
            &["--engine=aio", "--block=5000", "--depth=3"],
            &["--direct"],
        ] {
            quiet(&copy(flags, &source, &target).output().unwrap());
            let same = fs::read(&source).unwrap() == fs::read(&target).unwrap();
            assert!(same, "{flags:?} {layout:?}");
            assert_eq!(fs::metadata(&target).unwrap().len(), length);
            // In blocks of 512 bytes. With O_DIRECT, each part may take one more block of the
            // file system.
            let (is, was) = (stored(&target), stored(&source));
            let most = was + 8 * (1 + layout.len() as u64);
            assert!(is <= most, "{flags:?} {layout:?}: {is} of {was}");
        }
        for flags in [&["--sparse=never"][..], &["--sparse=never", "--direct"]] {
            quiet(&copy(flags, &source, &target).output().unwrap());
            assert!(fs::read(&source).unwrap() == fs::read(&target).unwrap());
            let full = stored(&target) * 512;
            assert!(full >= length, "{flags:?} {layout:?}: {full}");
        }
    }
}

#[test]
fn zeros_become_holes() {
    let directory = directory();
    let (source, target) = (directory.path().join("a"), directory.path().join("b"));
    let mut data = vec![0; 6 << 20];
    data[1 << 20..(1 << 20) + 5000].fill(1);
    data[3 << 20] = 1;
    for length in [0, 1, 5000, 3 << 20, (3 << 20) + 1, 5_000_001, 6 << 20] {
        fs::write(&source, &data[..length]).unwrap();
        for (flags, most) in [
            (&["--sparse=always"][..], 64),
            (&["--sparse=always", "--engine=aio", "--block=64K"], 1024),
            (&["--sparse=always", "--direct", "--block=64K"], 1024),
        ] {
            quiet(&copy(flags, &source, &target).output().unwrap());
            assert!(
                fs::read(&target).unwrap() == data[..length],
                "{flags:?} {length}"
            );
            let stored = fs::metadata(&target).unwrap().blocks();
            assert!(stored <= most, "{flags:?} {length}: {stored}");
        }
    }
}

#[test]
fn the_method_of_the_copy_is_reported() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("a"), bytes(100_000)).unwrap();
    fs::write(at("b"), "old").unwrap();
    fs::hard_link(at("b"), at("other")).unwrap();
    for (flags, target, said) in [
        (&["--engine=aio"][..], "c", "100000 bytes by AIO"),
        (&["--depth=2"], "c", "100000 bytes by AIO"),
        (&["--engine=kernel"], "c", "100000 bytes by copy_file_range"),
        (
            &["--engine=auto"],
            "b",
            "100000 bytes by copy_file_range, written in place",
        ),
    ] {
        let mut command = aio(&["copy", "--verbose"]);
        command.args(flags).args(["a", target]);
        let output = command.current_dir(directory.path()).output().unwrap();
        assert!(output.status.success());
        assert_eq!(stderr(&output), format!("aio: copy: {target}: {said}\n"));
    }
    let output = aio(&["copy", "--verbose", "/proc/version", "c"])
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert!(stderr(&output).ends_with(" bytes by read and write\n"));
}

#[test]
fn data_appended_meanwhile_is_copied() {
    let directory = directory();
    let (source, target) = (directory.path().join("a"), directory.path().join("b"));
    let mut data = bytes(16 << 20);
    fs::write(&source, &data).unwrap();
    let child = copy(&["--block", "512", "--depth", "1"], &source, &target)
        .spawn()
        .unwrap();
    wait_until(|| draft_of(child.id()).is_some());
    let mut file = fs::OpenOptions::new().append(true).open(&source).unwrap();
    file.write_all(b"and more").unwrap();
    data.extend_from_slice(b"and more");
    assert!(child.wait_with_output().unwrap().status.success());
    assert!(fs::read(&target).unwrap() == data);
}

#[test]
fn progress_on_a_terminal_and_in_no_pipe() {
    let directory = directory();
    let (source, target) = (directory.path().join("a"), directory.path().join("b"));
    fs::write(&source, bytes(32 << 20)).unwrap();
    // The copy is slow enough for progress to be drawn.
    let flags = ["--block", "512", "--depth", "1"];
    quiet(&copy(&flags, &source, &target).output().unwrap());

    let (mut here, there) = terminal();
    let child = copy(&flags, &source, &target)
        .stderr(Stdio::from(there))
        .spawn()
        .unwrap();
    let mut seen = Vec::new();
    let mut buffer = [0; 1024];
    // The read fails when the last descriptor of the other side is closed.
    while let Ok(read @ 1..) = here.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..read]);
    }
    assert!(child.wait_with_output().unwrap().status.success());
    let seen = String::from_utf8(seen).unwrap();
    assert!(
        seen.ends_with("\n") && seen.matches('\n').count() == 1,
        "{seen:?}"
    );
    let drawn: Vec<&str> = seen
        .split('\r')
        .filter(|line| line.contains("/s"))
        .collect();
    assert!(drawn.len() >= 2, "{seen:?}");
    assert!(
        drawn.iter().all(|line| line.contains(" of 32.0 MiB, ")),
        "{seen:?}"
    );
    assert!(
        drawn
            .last()
            .unwrap()
            .contains("32.0 MiB of 32.0 MiB, 100 %, "),
        "{seen:?}"
    );
}

/// Opens a pseudoterminal, and returns the side of the test and the side for the tool.
fn terminal() -> (fs::File, OwnedFd) {
    // SAFETY: the descriptors are new and owned by nothing else; `ptsname` returns a
    // zero-terminated name.
    unsafe {
        let here = OwnedFd::from_raw_fd(libc::posix_openpt(libc::O_RDWR | libc::O_CLOEXEC));
        assert_eq!(libc::grantpt(here.as_raw_fd()), 0);
        assert_eq!(libc::unlockpt(here.as_raw_fd()), 0);
        let name = libc::ptsname(here.as_raw_fd());
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        let there = OwnedFd::from_raw_fd(libc::open(name, flags));
        (here.into(), there)
    }
}

/// Tests that the copy waits until the holder of a lease on the source releases it.
#[test]
fn a_lease_is_waited_for() {
    let directory = directory();
    let (source, target) = (directory.path().join("a"), directory.path().join("b"));
    fs::write(&source, "data").unwrap();
    let holder = fs::File::options().write(true).open(&source).unwrap();
    // SAFETY: no memory is passed. The signal is ignored because the kernel sends it to
    // request the lease's release, and it would end the process.
    let lease = unsafe {
        libc::signal(libc::SIGIO, libc::SIG_IGN);
        libc::fcntl(holder.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK)
    };
    if lease != 0 {
        return skip("the build directory's file system has no leases");
    }
    let mut child = copy(&[], &source, &target).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it does not wait");
    // SAFETY: no memory is passed.
    unsafe { libc::fcntl(holder.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK) };
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::read_to_string(&target).unwrap(), "data");
}

/// ext4 finds no data that has no place on the disk yet in a file that is mapped by blocks.
#[test]
fn data_of_a_file_without_extents_is_no_hole() {
    if !have(&["chattr"]) {
        return;
    }
    let data = bytes(1 << 20);
    for flags in [
        &[][..],
        &["--engine=aio"],
        &["--direct"],
        &["--sparse=always"],
    ] {
        // The data is the whole file, or follows a hole.
        for from in [0, 1 << 20] {
            let directory = directory();
            let at = |name: &str| directory.path().join(name);
            let source = fs::File::create(at("a")).unwrap();
            // Other file systems have no such attribute.
            let _ = Command::new("chattr").arg("-e").arg(at("a")).output();
            source.write_all_at(&data, from).unwrap();
            let output = copy(flags, &at("a"), &at("b")).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            let copied = fs::read(at("b")).unwrap();
            assert!(copied == fs::read(at("a")).unwrap(), "{flags:?} {from}");
        }
    }
}

/// The same below an overlay, which is another file system by its number.
#[test]
fn data_of_a_file_without_extents_is_no_hole_below_an_overlay() {
    if !can_mount() || !have(&["chattr"]) {
        return;
    }
    let directory = directory();
    let script = "mkdir lower upper work merged && : >upper/a && chattr -e upper/a
        mount -t overlay none -o lowerdir=lower,upperdir=upper,workdir=work merged || exit 0
        head -c 1048576 /dev/urandom | dd of=merged/a bs=1M seek=1 iflag=fullblock status=none
        \"$0\" copy merged/a b && cmp merged/a b";
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", script])
        .arg(tool())
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}
