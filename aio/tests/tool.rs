//! Tests of `aio probe`, the command line, and the binary itself.

mod common;

use std::fs;
use std::process::{Command, Stdio};

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
        assert_eq!(report["opcodes"][opcode], true, "{opcode}");
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
        "opcodes   PREAD PWRITE PREADV PWRITEV FSYNC FDSYNC POLL\n",
        "next      'aio bench FILE' measures what AIO gains\n",
        "          io_pgetevents_time64 -\n",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
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
            &["help", "benhc"],
            "aio: unknown command 'benhc'; did you mean 'bench'? see 'aio --help'",
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
            &["copy", "--block", "1Mb", "a", "b"],
            "aio: '--block' is a number from 512 to 1073741824, not '1Mb'; see 'aio copy --help'",
        ),
        (
            &["probe", "--color=red"],
            "aio: '--color' is 'auto', 'always' or 'never', not 'red'; see 'aio probe --help'",
        ),
        (
            &["bench", "--block", "4K,1"],
            "aio: '--block' is a list of up to 8 numbers from 512 to 67108864, not '4K,1'; \
             see 'aio bench --help'",
        ),
        (&["bench"], "aio: PATH is missing; see 'aio bench --help'"),
        (
            &["bench", "--overwrite", "x"],
            "aio: '--overwrite' needs '--write'; see 'aio bench --help'",
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
        (&["help", "bench"], "Measure reads and writes"),
        (&["help"], "Linux native AIO at the command line.\n"),
        (&["-V"], concat!("aio ", env!("CARGO_PKG_VERSION"), "\n")),
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
    let dynamic = run("readelf", &["-d"]);
    assert!(!dynamic.contains("NEEDED") && !dynamic.contains("TEXTREL"));
    let headers = run("readelf", &["-lW"]);
    assert!(!headers.contains("INTERP"));
    // At a fixed address, or position-independent, as it is without other flags.
    assert!(headers.contains("EXEC (Executable file)") || headers.contains("GNU_RELRO"));
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
    assert!(size < 128 << 10, "{size}");
    assert!(
        Command::new(&stripped)
            .arg("--version")
            .output()
            .unwrap()
            .status
            .success()
    );
}

#[test]
fn probe_measures_the_reads_of_a_file() {
    let directory = directory();
    let file = directory.path().join("a");
    fs::write(&file, bytes(1 << 20)).unwrap();
    let report = json(&["probe", "--json", file.to_str().unwrap()]);
    assert_eq!(report["file"]["name"], file.to_str().unwrap());
    let buffered = &report["file"]["buffered"];
    // The file has just been written: its reads are served by the page cache.
    assert_eq!(buffered["asynchronous"], false, "{report}");
    assert_eq!(buffered["reads"], 32);
    assert!(buffered["submit_ns"].as_u64() <= buffered["total_ns"].as_u64());
    if direct_works() {
        let direct = &report["file"]["direct"];
        assert_eq!(direct["reads"], 32, "{report}");
        let shown = stdout(&aio(&["probe", file.to_str().unwrap()]).output().unwrap());
        assert!(shown.contains("\nalignment "), "{shown}");
        assert!(shown.contains("\nbuffered  not asynchronous: "), "{shown}");
    }
    // Nothing waits for a writer of a pipe, and what cannot be read is an answer, too.
    for (name, text) in [
        ("/dev/null", ": neither a regular file nor a block device"),
        ("/no/such", ": no such file or directory (ENOENT)"),
        ("/proc/self/comm", ": too small, there is no block to read"),
    ] {
        let output = aio(&["probe", name]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}");
        let line = format!("file      {name}{text}\n");
        assert!(stdout(&output).contains(&line), "{output:?}");
    }
}

/// The kernel takes tens of milliseconds to destroy a context, for which the probe does not
/// wait if pid 1 leaves no zombies: here, a shell that ignores SIGCHLD.
#[test]
fn probe_does_not_wait_for_the_end_of_its_context() {
    let script = format!(
        "trap '' CHLD; for i in 1 2 3 4 5 6 7 8 9 10; do a=$(date +%s%N); {} probe -q || exit; \
         b=$(date +%s%N); echo $(((b - a) / 1000)); done",
        tool().display()
    );
    let output = Command::new("unshare")
        .args(["-fp", "--mount-proc", "bash", "-c", &script])
        .output()
        .unwrap();
    if !output.status.success() {
        return skip("no PID namespaces");
    }
    let shown = stdout(&output);
    let times = shown.lines().map(|line| line.parse::<u64>().unwrap());
    let fastest = times.min().unwrap();
    println!("{fastest} us");
    assert!(fastest < 20_000, "{shown}");
}

/// Colors appear on a terminal alone, and NO_COLOR and `--color` decide otherwise.
#[test]
fn colors_on_request() {
    for (arguments, colored) in [
        (&["probe"][..], false),
        (&["probe", "--color=always"], true),
        (&["probe", "--color", "never"], false),
    ] {
        let shown = stdout(&aio(arguments).output().unwrap());
        assert_eq!(shown.contains("\x1b[32mworks\x1b[0m"), colored, "{shown}");
        assert_eq!(shown.contains('\x1b'), colored);
    }
    for (name, value, colored) in [
        ("TERM", "xterm", true),
        ("TERM", "dumb", false),
        ("NO_COLOR", "1", false),
        ("NO_COLOR", "", true),
    ] {
        let mut command = on_terminal(&format!("{} probe", tool().display()), 80);
        command
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .env(name, value);
        let shown = stdout(&command.output().unwrap());
        assert_eq!(
            shown.contains("\x1b[32m"),
            colored,
            "{name}={value}: {shown}"
        );
    }
}
