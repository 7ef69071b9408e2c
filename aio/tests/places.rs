//! Tests of the targets of `aio copy`: the attributes that a new file gets, those that
//! an old one keeps, and names that lead elsewhere.

mod common;

use std::ffi::CString;
use std::fs::{self, Permissions};
use std::io::{Read, Seek, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use common::*;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// Runs a command under this umask.
fn under_umask(command: &mut Command, mask: libc::mode_t) -> &mut Command {
    // SAFETY: a system call between fork and exec, and no allocation.
    unsafe {
        command.pre_exec(move || {
            libc::umask(mask);
            Ok(())
        })
    }
}

#[test]
fn a_new_file_gets_permissions_as_cp_gives_them() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    for mask in [0o000, 0o022, 0o027, 0o077] {
        for of_source in [0o400, 0o640, 0o755, 0o777, 0o1666, 0o4755, 0o2711, 0o6777] {
            for unnamed in [true, false] {
                fs::write(at("a"), "data").unwrap();
                set_mode(&at("a"), of_source);
                let mut command = copy(&[], &at("a"), &at("b"));
                if !unnamed {
                    without_unnamed(&mut command);
                }
                quiet(&under_umask(&mut command, mask).output().unwrap());
                let mut cp = Command::new("cp");
                cp.args([at("a"), at("c")]);
                quiet(&under_umask(&mut cp, mask).output().unwrap());
                assert_eq!(mode(&at("b")), mode(&at("c")), "{mask:o} {of_source:o}");
                assert_eq!(mode(&at("b")), of_source & 0o777 & !mask);
                assert_eq!(names(directory.path()), ["a", "b", "c"]);
                for name in ["a", "b", "c"] {
                    fs::remove_file(at(name)).unwrap();
                }
            }
        }
    }
}

#[test]
fn an_old_file_keeps_its_permissions() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    for old in [0o200, 0o600, 0o640, 0o666, 0o755] {
        for unnamed in [true, false] {
            fs::write(at("a"), "data").unwrap();
            set_mode(&at("a"), 0o6755);
            fs::write(at("b"), "something longer").unwrap();
            set_mode(&at("b"), old);
            let before = fs::metadata(at("b")).unwrap().ino();
            let mut command = copy(&[], &at("a"), &at("b"));
            if !unnamed {
                without_unnamed(&mut command);
            }
            quiet(&command.output().unwrap());
            let after = fs::metadata(at("b")).unwrap();
            assert_eq!(after.mode() & 0o7777, old);
            assert_ne!(after.ino(), before, "replaced as a whole");
            set_mode(&at("b"), 0o600);
            assert_eq!(fs::read_to_string(at("b")).unwrap(), "data");
            assert_eq!(names(directory.path()), ["a", "b"]);
        }
    }
}

#[test]
fn an_old_file_keeps_its_owner() {
    if !is_root() {
        return skip("chown needs root");
    }
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("a"), "data").unwrap();
    fs::write(at("b"), "old").unwrap();
    chown(at("b"), Some(65_534), Some(65_533)).unwrap();
    set_mode(&at("b"), 0o640);
    quiet(&copy(&[], &at("a"), &at("b")).output().unwrap());
    let after = fs::metadata(at("b")).unwrap();
    assert_eq!((after.uid(), after.gid()), (65_534, 65_533));
    assert_eq!(after.mode() & 0o7777, 0o640);
    assert_eq!(fs::read_to_string(at("b")).unwrap(), "data");
}

/// Tests that the file itself is written, as by cp, if its attributes could not be kept
/// otherwise.
#[test]
fn other_names_and_attributes_stay() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("a"), "data").unwrap();
    fs::write(at("b"), "something longer").unwrap();
    fs::hard_link(at("b"), at("c")).unwrap();
    quiet(&copy(&[], &at("a"), &at("b")).output().unwrap());
    assert_eq!(fs::metadata(at("b")).unwrap().nlink(), 2);
    assert_eq!(fs::read_to_string(at("c")).unwrap(), "data");

    fs::write(at("d"), "something longer").unwrap();
    let path = CString::new(at("d").to_str().unwrap()).unwrap();
    let name = c"user.note";
    // SAFETY: the names end in zero bytes; one byte is read.
    let set = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), b"x".as_ptr().cast(), 1, 0) };
    if set != 0 {
        return skip("the build directory's file system has no attributes");
    }
    quiet(&copy(&[], &at("a"), &at("d")).output().unwrap());
    let mut value = [0_u8; 8];
    // SAFETY: the names end in zero bytes; at most eight bytes are written.
    let length = unsafe {
        let value = value.as_mut_ptr().cast();
        libc::getxattr(path.as_ptr(), name.as_ptr(), value, 8)
    };
    assert_eq!((length, value[0]), (1, b'x'));
    assert_eq!(fs::read_to_string(at("d")).unwrap(), "data");
}

/// Tests that a dangling link is refused: the owner of the link would choose where
/// root's file goes.
#[test]
fn a_link_to_nothing_is_not_written_through() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("a"), "data").unwrap();
    fs::create_dir(at("d")).unwrap();
    symlink("../elsewhere", at("d/a")).unwrap();
    symlink("elsewhere", at("link")).unwrap();
    for target in ["link", "d", "d/a"] {
        let output = aio(&["copy", "a", target])
            .current_dir(directory.path())
            .output()
            .unwrap();
        fails(
            &output,
            &format!("aio: copy: {target}: a symbolic link to nothing: not written through"),
        );
    }
    assert_eq!(names(directory.path()), ["a", "d", "link"]);
}

/// Runs the tool with an open file of the test as its descriptor 9.
fn copy_to_descriptor(source: &Path, file: &fs::File) -> Output {
    let mut command = copy(&[], source, Path::new("/proc/self/fd/9"));
    let fd = file.as_raw_fd();
    // SAFETY: a system call between fork and exec, and no allocation.
    unsafe {
        command.pre_exec(move || {
            libc::dup2(fd, 9);
            // If `fd` is 9 already, it is still close-on-exec.
            libc::fcntl(9, libc::F_SETFD, 0);
            Ok(())
        });
    }
    command.current_dir(source.parent().unwrap());
    command.output().unwrap()
}

fn content(file: &mut fs::File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn only_an_open_file_is_written_through() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("a"), "data").unwrap();
    let open = |name: &str| {
        let mut options = fs::OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(true);
        let mut file = options.open(at(name)).unwrap();
        file.write_all(b"something longer").unwrap();
        file
    };

    let mut deleted = open("x");
    fs::remove_file(at("x")).unwrap();
    quiet(&copy_to_descriptor(&at("a"), &deleted));
    assert_eq!(content(&mut deleted), "data");

    // SAFETY: the name ends in a zero byte; the descriptor is new and owned by nothing
    // else.
    let mut memory = unsafe { fs::File::from_raw_fd(libc::memfd_create(c"disk".as_ptr(), 0)) };
    quiet(&copy_to_descriptor(&at("a"), &memory));
    assert_eq!(content(&mut memory), "data");

    // A file that has a name is still the same file afterwards, so open descriptors
    // refer to it.
    let mut named = open("named");
    quiet(&copy_to_descriptor(&at("a"), &named));
    assert_eq!(content(&mut named), "data");
    assert_eq!(fs::read_to_string(at("named")).unwrap(), "data");

    assert_eq!(names(directory.path()), ["a", "named"]);
    let stray = |name: &String| name.contains("disk") || name.contains("deleted");
    assert!(!names(Path::new("/")).iter().any(stray));
}

#[test]
fn closed_standard_descriptors_are_not_reused() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    for size in [4, 10_000, 1_000_000] {
        fs::write(at("a"), bytes(size)).unwrap();
        for closed in 0..8 {
            for flags in [&[][..], &["--direct"]] {
                let mut command = copy(flags, &at("a"), &at("b"));
                // SAFETY: system calls between fork and exec, and no allocation.
                unsafe {
                    command.pre_exec(move || {
                        for fd in (0..3).filter(|fd| closed & 1 << fd != 0) {
                            libc::close(fd);
                        }
                        Ok(())
                    });
                }
                assert!(command.status().unwrap().success());
                let same = fs::read(at("a")).unwrap() == fs::read(at("b")).unwrap();
                assert!(same, "{closed:03b} {flags:?} {size}");
                fs::remove_file(at("b")).unwrap();
            }
        }
    }
}

/// Tests the same if the tool prints a message in the middle, and if it fails.
#[test]
fn messages_do_not_go_into_the_copy() {
    if !can_mount() {
        return skip("nothing can be mounted");
    }
    let directory = directory();
    fs::write(directory.path().join("a"), "data").unwrap();
    fs::create_dir(directory.path().join("m")).unwrap();
    // ramfs does not support O_DIRECT.
    let script = r#"mount -t ramfs none "$2/m"; cd "$2"
        for all in "" "0<&-" "1>&-" "2>&-" "0<&- 1>&-" "0<&- 2>&-" "1>&- 2>&-" "0<&- 1>&- 2>&-"; do
            rm -f m/b
            eval "\"$1\" copy --direct a m/b $all" 2>/dev/null
            cmp a m/b || exit 9
        done"#;
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(tool())
        .arg(directory.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Runs a script in a new mount namespace, in a directory with a file `a`. `$1` is the
/// tool.
fn mounted(script: &str) -> Output {
    let directory = Directory::new_in(&std::env::temp_dir());
    set_mode(directory.path(), 0o755);
    fs::copy(tool(), directory.path().join("aio")).unwrap();
    fs::write(directory.path().join("a"), "data\n").unwrap();
    Command::new("unshare")
        .args(["-m", "sh", "-ec"])
        .arg(format!("cd \"$1\"\n{script}"))
        .arg("sh")
        .arg(directory.path())
        .output()
        .unwrap()
}

#[test]
fn a_target_that_a_rename_cannot_replace_is_written() {
    if !can_mount() || !is_root() {
        return skip("nothing can be mounted");
    }
    // The targets are another user's file in a directory where only owners may rename,
    // and a file with a mount on it.
    let output = mounted(
        "umask 0; mkdir t; mount -t tmpfs -o mode=1777 none t
        echo something longer >t/theirs; chown 65534:65534 t/theirs
        setpriv --reuid=1 --regid=1 --clear-groups ./aio copy a t/theirs
        cat t/theirs; stat -c '%u %a' t/theirs
        echo something longer >t/below; echo something longer >t/mounted
        mount --bind t/below t/mounted; ./aio copy a t/mounted; cat t/below
        ls -A t",
    );
    assert_eq!(stderr(&output), "");
    assert_eq!(
        stdout(&output),
        "data\n65534 666\ndata\nbelow\nmounted\ntheirs\n"
    );
}

#[test]
fn an_unchangeable_target_is_refused_before_anything_is_written() {
    if !can_mount() || !is_root() || !have(&["chattr"]) {
        return skip("nothing can be mounted");
    }
    let output = mounted(
        "mkdir t; mount -t tmpfs none t; cd t; echo old >i; echo old >p
        chattr +i i || exit 0; chattr +a p
        for f in i p; do ../aio copy ../a $f 2>&1 || echo $?; cat $f; done
        chattr -i i; chattr -a p; ls -A",
    );
    let text = stdout(&output);
    if !text.is_empty() {
        let refused =
            |name: &str| format!("aio: copy: {name}: operation not permitted (EPERM)\n1\nold\n");
        assert_eq!(text, refused("i") + &refused("p") + "i\np\n");
    }
}

#[test]
fn block_devices() {
    if !is_root() || !have(&["losetup"]) {
        return skip("block devices need root");
    }
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    let losetup = |arguments: &[&str], file: &Path| {
        let mut command = Command::new("losetup");
        let output = command.args(arguments).arg(file).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        stdout(&output).trim().to_owned()
    };
    let size = 3 << 20;
    let (before, data) = (bytes(size), bytes(size - 70_000));
    fs::write(at("disk"), &before).unwrap();
    // Holes of the source become zeros on the device.
    fs::write(at("a"), &data).unwrap();
    let sparse = fs::File::options().write(true).open(at("a")).unwrap();
    sparse.set_len(1 << 20).unwrap();
    sparse.set_len(data.len() as u64).unwrap();
    let device = losetup(&["--find", "--show"], &at("disk"));
    for flags in [&[][..], &["--engine=aio"], &["--direct"]] {
        fs::write(at("disk"), &before).unwrap();
        let device = Path::new(&device);
        let to = copy(flags, &at("a"), device).output().unwrap();
        let from = copy(flags, device, &at("b")).output().unwrap();
        let whole = fs::read(at("b")).unwrap();
        let written = fs::read(at("a")).unwrap();
        if !to.status.success() || whole[..written.len()] != written {
            losetup(&["--detach"], device);
            panic!("{flags:?} {to:?} {from:?}");
        }
        assert_eq!(whole.len(), size);
        assert!(whole[written.len()..] == before[written.len()..]);
        fs::remove_file(at("b")).unwrap();
    }
    losetup(&["--detach"], Path::new(&device));
    assert_eq!(names(directory.path()), ["a", "disk"]);
}

/// Tests that attributes set by chattr(1), which a new file would not have, are kept.
#[test]
fn an_old_file_keeps_attributes_that_statx_does_not_report() {
    if !have(&["chattr", "lsattr"]) {
        return;
    }
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("a"), "new").unwrap();
    for attribute in ["S", "A", "j"] {
        fs::write(at("b"), "old").unwrap();
        let mut chattr = Command::new("chattr");
        let set = chattr.arg(format!("+{attribute}")).arg(at("b")).output();
        if !set.unwrap().status.success() {
            // The file system does not support the attribute, or only root may set it.
            continue;
        }
        quiet(&copy(&[], &at("a"), &at("b")).output().unwrap());
        let listed = Command::new("lsattr").arg(at("b")).output().unwrap();
        let listed = stdout(&listed);
        let flags = listed.split_whitespace().next().unwrap();
        assert!(flags.contains(attribute), "{attribute}: {listed}");
        assert_eq!(fs::read_to_string(at("b")).unwrap(), "new");
        fs::remove_file(at("b")).unwrap();
    }
}

/// Tests that a running program is replaced. Its process continues with the old file.
#[test]
fn a_running_program_is_replaced() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    fs::copy("/bin/sleep", at("program")).unwrap();
    let mut running = Command::new(at("program")).arg("60").spawn().unwrap();
    fs::write(at("a"), "new").unwrap();
    let output = copy(&[], &at("a"), &at("program")).output().unwrap();
    running.kill().unwrap();
    running.wait().unwrap();
    quiet(&output);
    assert_eq!(fs::read_to_string(at("program")).unwrap(), "new");
}
