//! Tests of `aio copy` in directories of other users, under unusual parent processes,
//! and in sandboxes.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use common::*;

/// Runs a script in a new directory that contains the tool as `./aio`. `NOBODY` in the
/// script runs a command as another user.
fn script(text: &str) -> Output {
    let directory = Directory::new_in(&std::env::temp_dir());
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(tool(), directory.path().join("aio")).unwrap();
    let user = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    // Waits until the tool has examined its target and created a draft.
    let function = "wait_for_draft() { until ls -l /proc/$!/fd 2>/dev/null | grep -q deleted; do sleep .05; done; }";
    Command::new("sh")
        .args(["-uc", &format!("{function}\n{text}")])
        .env("NOBODY", user)
        .current_dir(directory.path())
        .output()
        .unwrap()
}

#[track_caller]
fn says(text: &str, said: &str) {
    let output = script(text);
    assert_eq!(stdout(&output), said, "{}", stderr(&output));
}

/// Tests that the default access list of a directory does not grant access to the copy.
#[test]
fn a_replaced_file_gets_no_access_list() {
    if !is_root() || !have(&["setfacl"]) {
        return skip("another user needs root");
    }
    says(
        "mkdir theirs; chown 65534 theirs
        echo old >theirs/shadow; chmod 640 theirs/shadow
        $NOBODY setfacl -d -m u:65534:rw theirs || exit 0
        echo secret >s; chmod 600 s
        ./aio copy s theirs/shadow; stat -c '%u:%g %a' theirs/shadow
        $NOBODY cat theirs/shadow 2>/dev/null; cat theirs/shadow",
        "0:0 640\nsecret\n",
    );
    // Nor does a copy with `--preserve=mode`, whose source has none, get an access list.
    says(
        "mkdir d; setfacl -d -m u:65534:rw d; echo s >m; chmod 640 m
        ./aio copy --preserve=mode m d/m; getfacl -c d/m | grep -c ^user:nobody
        echo old >old; setfacl -m u:65534:rw old
        ./aio copy --preserve=mode m old; getfacl -c old | grep -c ^user:nobody",
        "0\n0\n",
    );
}

/// Tests that a new file that reuses the inode number of a removed one is not mistaken
/// for it.
#[test]
fn a_reused_inode_number_is_another_file() {
    if !is_root() {
        return skip("another user needs root");
    }
    says(
        "mkdir -m 1777 st; $NOBODY sh -c 'echo o >st/x'; mkfifo p
        ./aio copy - st/x <p 2>/dev/null & exec 7>p; wait_for_draft
        $NOBODY rm st/x
        setpriv --reuid=1 --regid=1 --clear-groups sh -c 'umask 077; echo theirs >st/x'
        echo ours >&7; exec 7>&-; wait $!; echo $?
        stat -c '%u %a' st/x; cat st/x; ls -A st",
        "1\n1 600\ntheirs\nx\n",
    );
    // A file that got another name meanwhile is not replaced.
    says(
        "echo o >x; mkfifo p; ./aio copy - x <p 2>/dev/null & exec 7>p; wait_for_draft
        ln x y; echo n >&7; exec 7>&-; wait $!; echo $?; cat x y; ls",
        "1\no\no\naio\np\nx\ny\n",
    );
}

/// Tests that signals, which are blocked where a draft has a name, still end a copy
/// that waits for its source.
#[test]
fn a_source_that_waits_ends_where_drafts_have_names() {
    let directory = directory();
    let mut sources = vec!["-"];
    if is_root() {
        sources.push("/proc/kmsg");
    }
    for source in sources {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut command = aio(&["copy", source, "new"]);
        command.current_dir(directory.path()).stdin(reader);
        let mut child = without_unnamed(&mut command).spawn().unwrap();
        wait_until(|| !names(directory.path()).is_empty());
        std::thread::sleep(std::time::Duration::from_millis(200));
        // SAFETY: the child of this process has not been waited for, so its process id
        // is valid.
        unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
        wait_until(|| child.try_wait().unwrap().is_some());
        drop(writer);
        assert!(names(directory.path()).is_empty());
    }
}

#[test]
fn memory_does_not_grow_with_the_number_of_files() {
    for flags in ["", "--engine=aio --block=1M"] {
        says(
            &format!(
                "mkdir in out; for i in $(seq 60); do echo $i >in/$i; done
                ulimit -v 30000; ./aio copy {flags} --sparse=always in/* out; echo $?
                ls out | wc -l"
            ),
            "0\n60\n",
        );
    }
    // The time does not grow with the square of the number of files.
    let begin = std::time::Instant::now();
    says("mkdir d; ./aio copy $(seq 10000) d 2>&1 | wc -l", "10000\n");
    assert!(begin.elapsed() < std::time::Duration::from_secs(20));
}

#[test]
fn directories_by_way_of_proc() {
    says(
        "echo new >s; ./aio copy s /proc/self/cwd/a; cat a
        echo longer than that >b; ./aio copy --verbose s /proc/self/cwd/b 2>&1; cat b",
        "new\naio: copy: /proc/self/cwd/b: 4 bytes by copy_file_range\nnew\n",
    );
}

#[test]
fn signals_that_the_parent_blocked_stay_so() {
    if !have(&["env"]) {
        return;
    }
    says(
        "echo a >s; env --block-signal=USR1 sh -c 'kill -USR1 $$; exec ./aio copy s t'
        echo $?; cat t",
        "0\na\n",
    );
}

#[test]
fn written_data_is_not_read_again() {
    says(
        "ulimit -f 2000; head -c 100000 /dev/zero >f
        ./aio copy f - >>f 2>/dev/null; echo $?; ./aio copy - - <f >>f 2>/dev/null; echo $?
        stat -c %s f",
        "1\n1\n100000\n",
    );
}

#[test]
fn streams_have_no_attributes_and_no_directory() {
    says(
        "echo a >s; echo b >t
        ./aio copy s t - 2>&1; ./aio copy --sparse=always - u <s 2>&1; ls",
        "aio: copy: -: not a directory (ENOTDIR)\n\
         aio: copy: -: not a directory (ENOTDIR)\n\
         aio: copy: -: standard input and output take no --preserve and no --sparse\n\
         aio\ns\nt\n",
    );
}

/// Tests names of invalid UTF-8, and of characters that extend beyond the point where a
/// draft's name is truncated.
#[test]
fn long_names_of_any_bytes() {
    says(
        r"echo new >s
        for byte in '\200' '\277' '\342\202\254' a; do
            name=$(i=0; while [ $i -lt 80 ]; do printf $byte$byte$byte; i=$((i + 1)); done | head -c 240)
            echo old >$name; ./aio copy s $name; echo $?; cat $name; rm $name
        done; ls -A",
        "0\nnew\n0\nnew\n0\nnew\n0\nnew\naio\ns\n",
    );
}

#[test]
fn standard_input_has_no_name_in_a_directory() {
    says(
        "mkdir d; ./aio copy - d <aio 2>&1; ls d",
        "aio: copy: d: is a directory (EISDIR)\n",
    );
}

#[test]
fn a_name_is_taken_only_by_a_copy() {
    says(
        "mkdir d f; echo x >d/a; ./aio copy missing/a d/a f 2>/dev/null; cat f/a",
        "x\n",
    );
}

#[test]
fn sandboxes_without_newer_calls() {
    if !have(&["strace"]) {
        return;
    }
    for (call, errno) in [
        ("openat2", "EPERM"),
        ("openat2", "ENOSYS"),
        ("faccessat2", "EPERM"),
        ("faccessat2", "ENOSYS"),
        ("renameat2", "EINVAL:when=1"),
        ("renameat2", "EOPNOTSUPP:when=1"),
        ("linkat", "EPERM:when=1"),
        ("linkat", "ENOENT:when=1"),
        ("copy_file_range", "ENOSYS"),
        ("copy_file_range", "EPERM"),
        ("sync_file_range", "ENOSYS"),
        ("getrandom", "ENOSYS"),
    ] {
        says(
            &format!(
                "echo new >s; echo old >t; ln -s t l
                for to in t u l; do
                    strace -qq -o /dev/null -e inject={call}:error={errno} ./aio copy s $to
                    echo $?; cat $to
                done; ls"
            ),
            "0\nnew\n0\nnew\n0\nnew\naio\nl\ns\nt\nu\n",
        );
    }
}

#[test]
fn without_proc() {
    if !is_root() || !can_mount() {
        return skip("nothing can be mounted");
    }
    for user in ["", "$NOBODY"] {
        says(
            &format!(
                "export NOBODY; chown 65534 .
                unshare -m sh -uc '
                    mount -t tmpfs none /proc || exit
                    {user} sh -uc \"
                        echo old >old; echo old >linked; ln linked other; ln -s old link; mkdir d
                        umask 077; echo new >s; ln -s nothing dangling
                        for to in old link linked fresh d/; do
                            ./aio copy s \\$to; echo \\$?
                        done
                        ./aio copy s dangling 2>/dev/null; echo \\$?
                        cat old linked other fresh d/s; stat -c %a old fresh; ls -A
                    \"'"
            ),
            "0\n0\n0\n0\n0\n1\nnew\nnew\nnew\nnew\nnew\n644\n600\naio\nd\ndangling\nfresh\nlink\nlinked\nold\nother\ns\n",
        );
    }
}
