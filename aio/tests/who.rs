//! Tests of `aio who`: each context once, for the process that made it, and a statement
//! of what could not be seen.

mod common;
#[path = "../src/who/range.rs"]
mod range;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;

use common::*;
use serde_json::Value;

/// The lock under which one test at a time holds contexts in this process.
static HOLDING: Mutex<()> = Mutex::new(());

fn parse(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn who() -> Value {
    parse(&aio(&["who", "--json"]).output().unwrap())
}

fn of(report: &Value, process: u32) -> Option<&Value> {
    let processes = report["processes"].as_array().unwrap();
    processes.iter().find(|one| one["pid"] == process)
}

/// A forked child that calls `run` and then waits for its end.
struct Child(i32);

impl Child {
    /// # Safety
    /// `run` makes only system calls.
    unsafe fn new(run: impl FnOnce()) -> Child {
        let mut ends = [0; 2];
        // SAFETY: the kernel writes two descriptors. The child makes only system calls.
        unsafe {
            assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
            let child = libc::fork();
            if child == 0 {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                run();
                libc::write(ends[1], c"x".as_ptr().cast(), 1);
                loop {
                    libc::pause();
                }
            }
            let mut byte = 0_u8;
            assert_eq!(libc::read(ends[0], (&raw mut byte).cast(), 1), 1);
            libc::close(ends[0]);
            libc::close(ends[1]);
            Child(child)
        }
    }

    fn id(&self) -> u32 {
        self.0 as u32
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // SAFETY: the process is a child of this one that was not waited for.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}

#[test]
fn who_finds_the_holders() {
    let _alone = HOLDING.lock();
    let held = [Held::new(1), Held::new(1), Held::new(1000)];
    assert!(held.iter().all(Option::is_some), "the limit is used up");
    let report = who();
    let me = std::process::id();
    let mine = of(&report, me).unwrap();
    let contexts = mine["contexts"].as_array().unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    assert_eq!(contexts.len(), maps.matches("/[aio]").count());
    assert!(contexts.len() >= 3);
    // The largest comes first. Its request is known up to a page of the ring.
    let largest = &contexts[0];
    let (least, most) = (
        largest["events_min"].as_u64(),
        largest["events_max"].as_u64(),
    );
    assert!(least <= Some(1000) && most >= Some(1000), "{largest}");
    assert!(most.unwrap() - least.unwrap() <= 64, "{largest}");
    if is_root() {
        assert!(largest["slots"].as_u64() >= Some(2000), "{largest}");
        assert_eq!(largest["ready"], 0);
    }
    let pages = mine["bytes"].as_u64().unwrap();
    assert!(pages >= 3 * 4096 + 32 * 1000 && pages % 4096 == 0, "{mine}");
    assert!(report["aio_nr"].as_u64().unwrap() >= 1002);
    // SAFETY: no memory is passed.
    assert_eq!(mine["uid"], unsafe { libc::geteuid() });
    let command = mine["command"].as_str().unwrap();
    assert!(std::env::args().next().unwrap().starts_with(&command[..20]));

    let output = aio(&["who"]).output().unwrap();
    let shown = stdout(&output);
    let words =
        |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    let header = words(shown.lines().next().unwrap());
    assert_eq!(
        header,
        [
            "PID", "USER", "CONTEXTS", "EVENTS", "SHARE", "READY", "UNIT", "COMMAND"
        ]
    );
    let line = shown
        .lines()
        .find(|line| words(line)[0] == me.to_string())
        .unwrap();
    assert_eq!(words(line)[2], contexts.len().to_string(), "{line}");
    assert!(shown.contains(" of fs.aio-max-nr "), "{shown}");
    let free = " events are free; a larger request gets EAGAIN";
    let free = shown.lines().find_map(|line| line.strip_suffix(free));
    let free: u64 = free.unwrap().parse().unwrap();
    assert!(
        free + 1002 <= report["aio_max_nr"].as_u64().unwrap(),
        "{shown}"
    );

    drop(held);
    assert!(of(&who(), me).is_none());
}

/// A child inherits the mapping of a ring, but not the context.
#[test]
fn who_counts_a_context_once() {
    let _alone = HOLDING.lock();
    let held = Held::new(500).expect("the limit is used up");
    // SAFETY: nothing is run in the children.
    let children = [(); 3].map(|()| unsafe { Child::new(|| ()) });
    let report = who();
    let mine = of(&report, std::process::id()).unwrap();
    assert_eq!(mine["contexts"].as_array().unwrap().len(), 1, "{mine}");
    assert_eq!(mine["contexts"][0]["inherited_by"], 3, "{mine}");
    for child in &children {
        assert!(of(&report, child.id()).is_none(), "{report}");
    }
    let before = report["events_max"].as_u64().unwrap();

    // Without the context, the mappings of the children are nothing.
    drop(held);
    if is_root() {
        let report = who();
        for child in &children {
            assert!(of(&report, child.id()).is_none(), "{report}");
        }
        assert!(
            report["events_max"].as_u64().unwrap() + 500 <= before + 200,
            "{report}"
        );
    }
}

/// A part of the ring that is protected makes two lines in the list of mappings.
#[test]
fn who_adds_the_parts_of_a_mapping() {
    let _alone = HOLDING.lock();
    // SAFETY: the child makes only system calls. The second page of its ring exists.
    let child = unsafe {
        Child::new(|| {
            let mut context = 0_usize;
            libc::syscall(libc::SYS_io_setup, 500, &raw mut context);
            let page = (context + 4096) as *mut libc::c_void;
            libc::mprotect(page, 4096, libc::PROT_READ);
        })
    };
    let maps = fs::read_to_string(format!("/proc/{}/maps", child.id())).unwrap();
    assert_eq!(maps.matches("/[aio]").count(), 3, "{maps}");
    let report = who();
    let it = of(&report, child.id()).unwrap();
    assert_eq!(it["contexts"].as_array().unwrap().len(), 1, "{it}");
    assert_eq!(it["contexts"][0]["inherited_by"], 0, "{it}");
    let (least, most) = (it["events_min"].as_u64(), it["events_max"].as_u64());
    assert!(least <= Some(500) && most >= Some(500), "{it}");
}

/// Maps a file with the name of a ring, of a file system that is not mounted any more.
#[test]
fn who_is_not_misled_by_a_forged_mapping() {
    if !can_mount() {
        return skip("no mount namespaces");
    }
    let _alone = HOLDING.lock();
    let directory = directory();
    let path = std::ffi::CString::new(directory.path().to_str().unwrap()).unwrap();
    // SAFETY: the child makes only system calls, with strings that end in a zero byte.
    let child = unsafe {
        Child::new(|| {
            let none = c"none".as_ptr();
            libc::unshare(libc::CLONE_NEWNS);
            libc::mount(
                none,
                c"/".as_ptr(),
                none,
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            );
            libc::mount(none, path.as_ptr(), c"tmpfs".as_ptr(), 0, std::ptr::null());
            libc::chdir(path.as_ptr());
            let file = libc::open(c"[aio]".as_ptr(), libc::O_CREAT | libc::O_RDWR, 0o600);
            libc::ftruncate(file, 1 << 20);
            libc::mmap(
                std::ptr::null_mut(),
                1 << 20,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file,
                0,
            );
            // The name in the list of mappings is that in the file system alone.
            libc::umount2(path.as_ptr(), libc::MNT_DETACH);
        })
    };
    let maps = fs::read_to_string(format!("/proc/{}/maps", child.id())).unwrap();
    assert!(maps.contains(" /[aio]\n"), "{maps}");
    let _held = Held::new(10).expect("the limit is used up");
    let report = who();
    assert!(of(&report, child.id()).is_none(), "{report}");
    assert_eq!(report["forged"], 1, "{report}");
    let line = "aio: who: 1 forged mapping, with the name of a ring\n";
    let output = aio(&["who"]).output().unwrap();
    assert!(stderr(&output).contains(line), "{output:?}");
    assert!(of(&report, std::process::id()).is_some(), "{report}");
}

#[test]
fn who_says_what_it_could_not_see() {
    let _alone = HOLDING.lock();
    let _held = Held::new(300).expect("the limit is used up");
    // Two descriptors are left: one for /proc, and one for a file of a process.
    let limited = |descriptors: u32| {
        let mut command = aio(&["who", "--json"]);
        let limit = libc::rlimit {
            rlim_cur: descriptors.into(),
            rlim_max: descriptors.into(),
        };
        // SAFETY: the function makes one system call.
        unsafe {
            command.pre_exec(move || {
                libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
                Ok(())
            })
        };
        command.output().unwrap()
    };
    let output = limited(4);
    let report = parse(&output);
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert_eq!(report["complete"], false, "{report}");
    assert!(report["unreadable"].as_u64().unwrap() > 0, "{report}");
    let output = limited(3);
    assert_eq!(output.status.code(), Some(1));
    let line = "aio: who: /proc: too many open files in the process (EMFILE)\n";
    assert_eq!(stderr(&output), line);

    if !is_root() || !can_mount() {
        return skip("no mount namespaces");
    }
    let run = |flags: &[&str], script: &str| {
        let script = script.replace("AIO", tool().to_str().unwrap());
        Command::new("unshare")
            .args(flags)
            .args(["sh", "-c", &script])
            .output()
            .unwrap()
    };
    let output = run(&["-m"], "mount -t tmpfs none /proc && exec AIO who");
    assert_eq!(output.status.code(), Some(1));
    let line = "aio: who: /proc: no such file or directory (ENOENT); it must be mounted\n";
    assert_eq!(stderr(&output), line);

    // Another PID namespace, in which the holder is not visible.
    let output = run(&["-fpm", "--mount-proc"], "AIO who");
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains(" belong to contexts that are not visible here\n"));
    assert!(
        stderr(&output).contains("outside this PID namespace"),
        "{output:?}"
    );

    // Another user, and hidden processes.
    let nobody = "exec setpriv --reuid=65534 --regid=65534 --clear-groups AIO who";
    let output = run(&["-m"], nobody);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stderr(&output).contains("run it as root"), "{output:?}");
    // A process of another user is named.
    let text = stderr(&output);
    let (_, named) = text
        .split_once(" may not be read (EACCES), the first is ")
        .unwrap();
    let named: u32 = named.split(';').next().unwrap().parse().unwrap();
    let status = fs::read_to_string(format!("/proc/{named}/status"));
    assert!(status.is_ok_and(|text| !text.contains("Uid:\t65534")));
    let script = format!("mount -o remount,hidepid=2 /proc && {nobody}");
    let output = run(&["-fpm", "--mount-proc"], &script);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stderr(&output).contains("(hidepid)"), "{output:?}");
}

/// Ranges of every length end at the same column, and a space precedes them.
#[test]
fn ranges_are_separated_from_the_column_before() {
    let written = |least, most| {
        let mut text = String::new();
        range::write_range(&mut text, least, most).unwrap();
        text
    };
    for (least, most, row) in [
        (7, 7, "               7"),
        (63, 126, "          63-126"),
        (99_999, 100_000, "    99999-100000"),
        (410_051, 418_230, "   410051-418230"),
        (2_097_152, 4_194_304, " 2097152-4194304"),
        (20_971_520, 41_943_040, " 20971520-41943040"),
        (u64::MAX, u64::MAX, " 18446744073709551615"),
    ] {
        assert_eq!(written(least, most), row);
    }
    assert_eq!(written(0, 1).len(), range::WIDTH);
}

#[test]
fn who_sums_up_to_the_limit() {
    let _alone = HOLDING.lock();
    // SAFETY: the child makes only system calls.
    let small = unsafe {
        Child::new(|| {
            for _ in 0..60 {
                std::mem::forget(Held::new(1));
            }
        })
    };
    // SAFETY: the child makes only system calls.
    let big = unsafe { Child::new(|| std::mem::forget(Held::new(5000))) };
    let report = who();
    let [one, other] = [&small, &big].map(|child| of(&report, child.id()).unwrap());
    assert_eq!(one["contexts"].as_array().unwrap().len(), 60);
    // Sixty events need sixty pages, but count little.
    assert_eq!(one["events_min"], 60, "{one}");
    assert!(other["events_min"].as_u64().unwrap() >= 4900, "{other}");
    assert!(other["events_max"].as_u64().unwrap() <= 5100, "{other}");
    let used = report["aio_nr"].as_u64().unwrap();
    assert!(used >= 5060);
    assert!(report["events_min"].as_u64().unwrap() <= used, "{report}");
    assert!(report["events_max"].as_u64().unwrap() >= used, "{report}");
    // The one with the larger share comes first.
    let position = |child: &Child| {
        let processes = report["processes"].as_array().unwrap();
        processes.iter().position(|one| one["pid"] == child.id())
    };
    assert!(position(&big) < position(&small), "{report}");
}

/// The requests of a process are known up to a page for each ring, but no share is above
/// that of all events that are requested.
#[test]
fn a_share_is_at_most_what_is_used() {
    if !is_root() {
        return skip("no other user's processes");
    }
    let _alone = HOLDING.lock();
    // SAFETY: the child makes only system calls.
    let child = unsafe {
        Child::new(|| {
            for _ in 0..40 {
                std::mem::forget(Held::new(129));
            }
            libc::setresuid(65534, 65534, 65534);
            // The process may be read by its user.
            libc::prctl(libc::PR_SET_DUMPABLE, 1);
        })
    };
    // Processes that cannot be read may have contexts, so the ranges remain wide.
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=0", "--clear-groups"])
        .arg(tool())
        .arg("who")
        .output()
        .unwrap();
    let shown = stdout(&output);
    let row = shown
        .lines()
        .find(|line| line.split_whitespace().next() == Some(&child.id().to_string()))
        .unwrap();
    let words: Vec<&str> = row.split_whitespace().collect();
    let number = |text: &str| text.parse::<u64>().unwrap();
    let after = |mark| {
        let (_, text) = shown.split_once(mark).unwrap();
        number(text.split([' ', '\n']).next().unwrap())
    };
    let (used, most) = (after("fs.aio-nr is "), after("fs.aio-max-nr "));
    let (_, largest) = words[3].split_once('-').unwrap();
    let share = number(&words[4].replace('.', ""));
    assert_eq!(share, number(largest).min(used) * 1000 / most, "{shown}");
}

#[test]
fn who_handles_long_maps_and_names() {
    let _alone = HOLDING.lock();
    // Many mappings make lines cross the end of the read buffer.
    let directory = directory();
    let file = fs::File::create(directory.path().join("x".repeat(200))).unwrap();
    file.set_len(4096).unwrap();
    use std::os::fd::AsRawFd;
    let mut held = Vec::new();
    for number in 0..300 {
        if number % 25 == 0 {
            held.push(Held::new(1).expect("the limit is used up"));
        }
        // SAFETY: the mappings are new, at addresses that the kernel chooses, and
        // nothing else uses them.
        unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                4096,
                libc::PROT_READ,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            );
        }
    }
    let report = who();
    let mine = of(&report, std::process::id()).unwrap();
    assert_eq!(mine["contexts"].as_array().unwrap().len(), held.len());
}

/// The command line of a process is what the process says: its control characters do not
/// reach the terminal.
#[test]
fn who_shows_no_control_characters() {
    let _alone = HOLDING.lock();
    // The child of the shell keeps its name while it waits.
    let mut child = Command::new("python3");
    child.args(["-c", "import ctypes,sys\nc=ctypes.c_long(0)\nctypes.CDLL(None).syscall(206,7,ctypes.byref(c))\nprint('x',flush=True)\nsys.stdin.read()"]);
    child.arg("a\"\\\x01\n\x7f\u{9b}\u{202e}b");
    if !have(&["python3"]) || cfg!(not(target_arch = "x86_64")) {
        return;
    }
    let mut child = child
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let output = aio(&["who", "--json"]).output().unwrap();
    let shown = stdout(&aio(&["who"]).output().unwrap());
    let report = parse(&output);
    let command = of(&report, child.id()).unwrap()["command"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        command.ends_with("a\"\\\u{1}\n\u{7f}\u{9b}\u{202e}b"),
        "{command:?}"
    );
    let obeyed = ['\u{1}', '\u{7f}', '\u{9b}', '\u{202e}'];
    assert!(!stdout(&output).contains(obeyed), "{output:?}");
    assert!(!shown.contains(obeyed), "{shown:?}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn who_watches() {
    let mut child = aio(&["who", "--watch", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines.take(2) {
        let report: Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert!(report["aio_max_nr"].as_u64().is_some(), "{report}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
