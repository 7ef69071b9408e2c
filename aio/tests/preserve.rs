//! Tests of `aio copy --preserve`, in comparison with cp.

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use common::*;

/// Creates a file with all attributes that can be kept.
fn make(path: &Path) {
    fs::write(path, "data").unwrap();
    if is_root() {
        chown(path, Some(65_534), Some(65_533)).unwrap();
    }
    fs::set_permissions(path, Permissions::from_mode(0o640)).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    let at = |seconds| std::time::UNIX_EPOCH + std::time::Duration::new(seconds, 123_456_789);
    let times = fs::FileTimes::new().set_accessed(at(1_000_000_000));
    file.set_times(times.set_modified(at(1_100_000_000)))
        .unwrap();
}

/// Returns the user, the group, the permissions and the time of last modification.
fn seen(path: &Path) -> (u32, u32, u32, i64, i64) {
    let file = fs::metadata(path).unwrap();
    let mode = file.mode() & 0o7777;
    (
        file.uid(),
        file.gid(),
        mode,
        file.mtime(),
        file.mtime_nsec(),
    )
}

#[test]
fn each_preserve_option_keeps_what_cp_keeps() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    make(&at("a"));
    for list in [
        "mode",
        "ownership",
        "timestamps",
        "mode,ownership",
        "mode,timestamps",
        "mode,ownership,timestamps",
    ] {
        for there in [false, true] {
            for flags in [&[][..], &["--engine=aio"]] {
                for name in ["b", "c"] {
                    let _ = fs::remove_file(at(name));
                    if there {
                        fs::write(at(name), "old").unwrap();
                    }
                }
                let keep = format!("--preserve={list}");
                let flags = [flags, &[keep.as_str()]].concat();
                quiet(&copy(&flags, &at("a"), &at("b")).output().unwrap());
                let mut cp = Command::new("cp");
                cp.args([&keep]).args([at("a"), at("c")]);
                quiet(&cp.output().unwrap());
                let (ours, mut cps) = (seen(&at("b")), seen(&at("c")));
                if !list.contains("timestamps") {
                    assert!(ours.3 > 1_200_000_000, "{list}");
                    (cps.3, cps.4) = (ours.3, ours.4);
                }
                assert_eq!(ours, cps, "{list} {there}");
                assert_eq!(fs::read_to_string(at("b")).unwrap(), "data");
            }
        }
    }
}

#[test]
fn attributes_and_access_lists_are_kept() {
    if !have(&["setfattr", "getfattr", "setfacl", "getfacl"]) {
        return;
    }
    let directory = directory();
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(directory.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        stdout(&output)
    };
    make(&directory.path().join("a"));
    run("setfattr", &["-n", "user.note", "-v", "kept", "a"]);
    run("setfacl", &["-m", "u:1:r", "a"]);
    let output = copy(&["--preserve=all"], Path::new("a"), Path::new("b"))
        .current_dir(directory.path())
        .output()
        .unwrap();
    quiet(&output);
    let note = ["--only-values", "-n", "user.note", "b"];
    assert_eq!(run("getfattr", &note), "kept");
    let list = |name: &str| run("getfacl", &["--omit-header", name]);
    assert!(list("a").contains("user:daemon:r") || list("a").contains("user:1:r"));
    assert_eq!(list("b"), list("a"));
}

#[test]
fn privileges_are_not_kept() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    make(&at("a"));
    fs::set_permissions(at("a"), Permissions::from_mode(0o6755)).unwrap();
    quiet(
        &copy(&["--preserve=all"], &at("a"), &at("b"))
            .output()
            .unwrap(),
    );
    assert_eq!(seen(&at("b")).2, 0o755);
}

#[test]
fn attributes_of_read_only_files_and_long_ones() {
    if !have(&["setfattr", "getfattr"]) {
        return;
    }
    // The directory is in memory, where an attribute may be longer than a block.
    let directory = Directory::new_in(Path::new("/dev/shm"));
    let run = |text: &str| {
        let mut command = Command::new("sh");
        command.args(["-euc", text, "sh"]).arg(tool());
        stdout(&command.current_dir(directory.path()).output().unwrap())
    };
    let output = run("long=$(head -c 6000 /dev/zero | tr '\\0' a); echo d >s
        setfattr -n user.long -v $long s; setfattr -n user.other -v b s; chmod 444 s
        chmod 777 .; cp \"$1\" aio; user=
        if [ $(id -u) = 0 ]; then
            chown 65534:65534 s; user='setpriv --reuid=65534 --regid=65534 --clear-groups'
        fi
        $user ./aio copy --preserve=all s t 2>&1
        getfattr --only-values -n user.long t | wc -c; getfattr --only-values -n user.other t
        stat -c ' %a' t");
    assert_eq!(output, "6000\nb 444\n");
}
