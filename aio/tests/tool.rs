//! Tests of `aio probe`, `aio who`, the command line, and the binary itself.

mod common;

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use common::*;
use serde_json::Value;

fn json(arguments: &[&str]) -> Value {
    let output = aio(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn probe_reports_what_works() {
    let report = json(&["probe", "--json"]);
    assert_eq!(report["works"], true);
    assert_eq!(report["cause"], Value::Null);
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(report["release"], release.trim());
    assert_eq!(report["machine"], std::env::consts::ARCH);
    assert_eq!(report["ring"]["requested"], 128);
    assert!(report["ring"]["slots"].as_u64().unwrap() >= 128);
    assert_eq!(report["ring"]["user_space_reaping"], true);
    assert_eq!(report["opcodes"].as_object().unwrap().len(), 7);
    for opcode in [
        "PREAD", "PWRITE", "PREADV", "PWRITEV", "FSYNC", "FDSYNC", "POLL",
    ] {
        assert_eq!(report["opcodes"][opcode], "accepted", "{opcode}");
    }
    assert_eq!(report["numbers"]["io_setup"], libc::SYS_io_setup);
    assert_eq!(report["numbers"]["io_destroy"], libc::SYS_io_destroy);
    assert_eq!(report["numbers"]["io_pgetevents_time64"], Value::Null);

    let output = aio(&["probe"]).output().unwrap();
    let shown = stdout(&output);
    assert_eq!(stderr(&output), "");
    for line in [
        "AIO       works\n",
        "reaping   in user space, without a system call\n",
        "opcodes   PWRITE PREAD PWRITEV PREADV FSYNC FDSYNC POLL\n",
        "          io_pgetevents_time64 -\n",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
}

/// The lock under which one test at a time holds contexts in this process.
static HOLDING: Mutex<()> = Mutex::new(());

#[test]
fn who_finds_the_holders() {
    let _alone = HOLDING.lock();
    let held = [Held::new(1), Held::new(1), Held::new(1000)];
    assert!(held.iter().all(Option::is_some), "the limit is used up");
    let report = json(&["who", "--json"]);
    let me = std::process::id();
    let mine: Vec<&Value> = report["processes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|process| process["pid"] == me)
        .collect();
    let [mine] = mine[..] else { panic!("{report}") };
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    assert_eq!(mine["rings"], maps.matches("/[aio]").count());
    assert!(mine["rings"].as_u64().unwrap() >= 3);
    let pages = mine["bytes"].as_u64().unwrap();
    assert!(pages >= 3 * 4096 + 32 * 1000 && pages % 4096 == 0, "{mine}");
    assert!(report["aio_nr"].as_u64().unwrap() >= 1002);
    let command = fs::read_to_string("/proc/self/comm").unwrap();
    assert_eq!(mine["command"], command.trim_end());

    let output = aio(&["who"]).output().unwrap();
    let shown = stdout(&output);
    assert!(
        shown.starts_with("       PID  RINGS       SIZE  COMMAND\n"),
        "{shown}"
    );
    let line = shown
        .lines()
        .find(|line| line.split_whitespace().next() == Some(&me.to_string()))
        .unwrap();
    assert!(
        line.ends_with(&format!("KiB  {}", command.trim_end())),
        "{line}"
    );
    assert!(shown.contains(" of fs.aio-max-nr "), "{shown}");

    drop(held);
    let report = json(&["who", "--json"]);
    let still = report["processes"].as_array().unwrap().iter();
    assert_eq!(still.filter(|process| process["pid"] == me).count(), 0);
}

#[test]
fn who_handles_long_maps_and_names() {
    let _alone = HOLDING.lock();
    // Many mappings make lines cross the end of the read buffer. The command name
    // contains characters that JSON must escape.
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
    let name = c"a\"\\\x01\n\x7f\xc2\x9b\xe2\x80\xae\xff";
    // SAFETY: the name ends in a zero byte and is shorter than 16.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    // The file is that of the main thread, which this thread may not be. Another test
    // reads it.
    let before = fs::read("/proc/self/comm").unwrap();
    fs::write("/proc/self/comm", name.to_bytes()).unwrap();
    let report = json(&["who", "--json"]);
    let text = stdout(&aio(&["who", "--json"]).output().unwrap());
    fs::write("/proc/self/comm", before.trim_ascii_end()).unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    drop(held);
    let me = std::process::id();
    let mine = report["processes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|process| process["pid"] == me)
        .unwrap();
    let command = "a\"\\\u{1}\n\u{7f}\u{9b}\u{202e}\u{fffd}";
    assert_eq!(mine["command"], command);
    // Nor does the output contain characters that a terminal interprets.
    let obeyed = ['\u{7f}', '\u{9b}', '\u{202e}'];
    assert!(!text.contains(obeyed), "{text:?}");
    assert_eq!(mine["rings"], maps.matches("/[aio]").count());
}

#[test]
fn wrong_command_lines_get_a_hint() {
    for (arguments, line) in [
        (&[][..], "aio: a command is missing; see 'aio --help'"),
        (
            &["cpoy"],
            "aio: unknown command 'cpoy'; did you mean 'copy'? see 'aio --help'",
        ),
        (
            &["frobnicate"],
            "aio: unknown command 'frobnicate'; see 'aio --help'",
        ),
        (
            &["--vresion"],
            "aio: unknown flag '--vresion'; did you mean '--version'? see 'aio --help'",
        ),
        (
            &["copy", "--dept", "3", "a", "b"],
            "aio: unknown flag '--dept'; did you mean '--depth'? see 'aio copy --help'",
        ),
        (
            &["copy", "--force", "a", "b"],
            "aio: unknown flag '--force'; see 'aio copy --help'",
        ),
        (
            &["copy", "-x", "a", "b"],
            "aio: unknown flag '-x'; see 'aio copy --help'",
        ),
        (
            &["copy", "--direct=1", "a", "b"],
            "aio: flag '--direct' takes no value; see 'aio copy --help'",
        ),
        (
            &["copy", "--depth"],
            "aio: flag '--depth' needs a value; see 'aio copy --help'",
        ),
        (
            &["copy", "--depth", "0", "a", "b"],
            "aio: '--depth' is a number from 1 to 65536, not '0'; see 'aio copy --help'",
        ),
        (
            &["copy", "--block", "12T", "a", "b"],
            "aio: '--block' is a number from 512 to 1073741824, not '12T'; see 'aio copy --help'",
        ),
        (
            &["copy", "--block", "99999999999999999999G", "a", "b"],
            "aio: '--block' is a number from 512 to 1073741824, not '99999999999999999999G'; \
             see 'aio copy --help'",
        ),
        (
            &["copy"],
            "aio: SRC and DST are missing; see 'aio copy --help'",
        ),
        (&["copy", "a"], "aio: DST is missing; see 'aio copy --help'"),
        (
            &["copy", "--engine=fast", "a", "b"],
            "aio: '--engine' is 'aio', 'kernel' or 'auto', not 'fast'; see 'aio copy --help'",
        ),
        (
            &["copy", "a", "b", "--sparse", "yes"],
            "aio: '--sparse' is 'auto', 'always' or 'never', not 'yes'; see 'aio copy --help'",
        ),
        (
            &["probe", "--jsno"],
            "aio: unknown flag '--jsno'; did you mean '--json'? see 'aio probe --help'",
        ),
        (
            &["who", "me"],
            "aio: unexpected argument 'me'; see 'aio who --help'",
        ),
    ] {
        let output = aio(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(stderr(&output), format!("{line}\n"));
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn help_and_version() {
    for (arguments, begins) in [
        (&["--help"][..], "Linux native AIO at the command line.\n"),
        (&["-h"], "Linux native AIO at the command line.\n"),
        (&["copy", "--help"], "Copy files, each whole or not at all"),
        (
            &["copy", "a", "b", "--help"],
            "Copy files, each whole or not at all",
        ),
        (
            &["probe", "--help"],
            "Report whether Linux native AIO works here",
        ),
        (&["who", "-h"], "List the processes that hold AIO contexts"),
        (
            &["--version"],
            concat!("aio ", env!("CARGO_PKG_VERSION"), "\n"),
        ),
    ] {
        let output = aio(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(stdout(&output).starts_with(begins), "{arguments:?}");
        assert!(stdout(&output).lines().all(|line| line.len() <= 80));
        assert_eq!(stderr(&output), "");
    }
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    for arguments in [&["probe"][..], &["probe", "--json"], &["who"], &["--help"]] {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = aio(arguments).stdout(Stdio::from(full)).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let line = "aio: standard output: no space left on device (ENOSPC)\n";
        assert!(stderr(&output).starts_with(line), "{output:?}");
    }
}

#[test]
fn one_static_binary_without_dependencies() {
    if !have(&["readelf", "nm", "strip"]) {
        return;
    }
    let run = |program: &str, flags: &[&str]| {
        let output = Command::new(program)
            .args(flags)
            .arg(tool())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        stdout(&output)
    };
    assert!(run("readelf", &["-d"]).contains("There is no dynamic section"));
    let headers = run("readelf", &["-lW"]);
    assert!(!headers.contains("INTERP") && headers.contains("EXEC (Executable file)"));
    let stack = headers
        .lines()
        .find(|line| line.contains("GNU_STACK"))
        .unwrap();
    assert!(!stack.contains('E'), "{stack}");
    assert_eq!(run("nm", &["-u"]), "");

    let directory = directory();
    let stripped = directory.path().join("aio");
    run("strip", &["-o", stripped.to_str().unwrap()]);
    let size = fs::metadata(&stripped).unwrap().len();
    println!("aio is {size} bytes, stripped");
    assert!(size < 80 << 10, "{size}");
    assert!(
        Command::new(&stripped)
            .arg("--version")
            .output()
            .unwrap()
            .status
            .success()
    );
}

/// Tests that the manual page and the help list the same flags.
#[test]
fn the_manual_page_has_every_flag() {
    let page = include_str!("../aio.1");
    for command in ["copy", "probe", "who"] {
        let help = stdout(&aio(&[command, "--help"]).output().unwrap());
        let words = help.split(|c: char| c.is_whitespace() || c == ']');
        for flag in words.filter_map(|word| word.trim_start_matches('[').strip_prefix("--")) {
            assert!(page.contains(&format!("Fl -{flag}")), "--{flag}");
        }
    }
    for line in page.lines() {
        if let Some(flag) = line.strip_prefix(".It Fl -") {
            let flag = flag.split(' ').next().unwrap();
            let help = stdout(&aio(&["copy", "--help"]).output().unwrap());
            assert!(help.contains(&format!("--{flag} ")), "--{flag}");
        }
    }
}
