//! Tests the feature `rt` from outside the library. A program that links only this
//! library is built in each profile and run, and its symbols and segments are
//! inspected.
#![cfg(all(
    target_os = "linux",
    // `_start` exists where `arch/` supports the architecture.
    any(
        target_arch = "x86_64",
        target_arch = "x86",
        target_arch = "aarch64",
        target_arch = "riscv64",
    ),
))]

#[path = "support/skip.rs"]
mod skip;

use std::ffi::{CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The profiles of the program: those of `cargo build` and `cargo build --release`, and
/// the one with the smallest result, in which link-time optimisation has the memory
/// functions and all their callers in one unit.
const PROFILES: [(&str, &str); 3] = [("dev", "debug"), ("release", "release"), ("small", "small")];

/// The linker arguments of a program at a fixed address, and of one that relocates
/// itself. Their tables of relocations differ: entries, and bitmaps.
const FIXED: &[&str] = &["-nostartfiles", "-nostdlib", "-static", "-no-pie"];
const RELOCATED: &[&[&str]] = &[
    &["-nostartfiles", "-nostdlib", "-static-pie"],
    &[
        "-nostartfiles",
        "-nostdlib",
        "-static-pie",
        "-Wl,-z,pack-relative-relocs",
    ],
];

/// The triple to build for. `None` is the triple of the host.
const TARGET: Option<&str> = if cfg!(target_arch = "x86") {
    Some("i686-unknown-linux-gnu")
} else {
    None
};

/// Returns the executables of `tests/fixtures/rt/main.rs`, one for each profile. The
/// first test that needs them builds them.
fn programs() -> &'static [PathBuf] {
    static PROGRAMS: OnceLock<Vec<PathBuf>> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let mut programs = build("main", "fixed", FIXED, &PROFILES);
        // The first and the last profile differ the most in the code before relocation.
        for (form, link) in ["entries", "bitmaps"].into_iter().zip(RELOCATED) {
            let [first, _, last] = PROFILES;
            programs.extend(build("main", form, link, &[first, last]));
        }
        programs
    })
}

/// Returns whether a program is position-independent.
fn is_relocated(program: &Path) -> bool {
    let header = fs::read(program).unwrap();
    // The field `e_type`: ET_DYN.
    u16::from_ne_bytes([header[16], header[17]]) == 3
}

/// Builds one of the fixture's programs in some profiles, with these linker arguments.
/// `form` is the name of the executable.
///
/// The manifest is written here and not kept beside the source: `cargo package` leaves
/// out a directory with a manifest, and a build would leave a lock file among the
/// sources. The library's own lock file avoids downloads.
fn build(program: &str, form: &str, link: &[&str], profiles: &[(&str, &str)]) -> Vec<PathBuf> {
    let library = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fixture = library.join("tests/fixtures/rt");
    // Each program has its own manifest, as tests run at the same time. Cargo locks the
    // target directory that they share.
    let rt = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rt");
    let home = rt.join(format!("{program}-{form}"));
    fs::create_dir_all(&home).unwrap();
    let sc = if cfg!(feature = "sc") {
        r#", "sc""#
    } else {
        ""
    };
    let text = format!(
        r#"[workspace]
[package]
name = "rt-fixture"
version = "0.0.0"
edition = "2024"
[[bin]]
name = "{program}-{form}"
path = {path:?}
[dependencies]
linux-aio = {{ path = {library:?}, features = ["rt"{sc}] }}
[profile.dev]
panic = "abort"
[profile.release]
panic = "abort"
[profile.small]
inherits = "release"
opt-level = "s"
lto = "fat"
codegen-units = 1
"#,
        path = fixture.join(program).with_extension("rs"),
    );
    let manifest = home.join("Cargo.toml");
    // An unchanged manifest keeps its modification time, so nothing is rebuilt.
    if fs::read_to_string(&manifest).ok().as_ref() != Some(&text) {
        fs::write(&manifest, text).unwrap();
    }
    let lock = library.join("Cargo.lock");
    if lock.exists() {
        fs::copy(lock, home.join("Cargo.lock")).unwrap();
    }

    let build = |&(profile, directory): &(&str, &str)| {
        let target = rt.join("target");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["rustc", "--quiet", "--profile", profile]);
        // Environment variables for profiles and targets apply to the build of this
        // test, not to the fixture.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PROFILE_") || name == "CARGO_BUILD_TARGET" {
                cargo.env_remove(&*name);
            }
        }
        cargo.arg("--manifest-path").arg(&manifest);
        cargo.arg("--target-dir").arg(&target);
        if let Some(triple) = TARGET {
            cargo.arg(format!("--target={triple}"));
            if !has_core(triple) {
                // A build of this test without a precompiled `core` had the source of
                // `core`.
                cargo.arg("-Zbuild-std=core").env("RUSTC_BOOTSTRAP", "1");
            }
        }
        cargo.arg("--");
        cargo.args(link.iter().map(|argument| format!("-Clink-arg={argument}")));
        if link == FIXED {
            // The executable stays non-relocatable even if other flags request a static
            // program.
            cargo.arg("-Crelocation-model=static");
        }
        let output = cargo.output().unwrap();
        assert!(
            output.status.success(),
            "profile {profile}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        target
            .join(TARGET.unwrap_or(""))
            .join(directory)
            .join(format!("{program}-{form}"))
    };
    profiles.iter().map(build).collect()
}

/// Returns whether the toolchain includes `core` for a triple.
fn has_core(triple: &str) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let output = Command::new(rustc)
        .args(["--print=target-libdir", "--target", triple])
        .output()
        .unwrap();
    Path::new(String::from_utf8_lossy(&output.stdout).trim_end()).exists()
}

/// Runs the program of every profile in the same way.
fn each(mode: &str, prepare: impl Fn(&mut Command), check: impl Fn(&Output)) {
    for program in programs() {
        let mut command = Command::new(program);
        command.arg(mode);
        prepare(&mut command);
        let output = command.output().unwrap();
        println!(
            "{}: {mode}: {}\n{}{}",
            program.display(),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        check(&output);
    }
}

#[test]
fn arguments_environment_and_auxv_arrive() {
    // SAFETY: sysconf is always sound to call.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let phent = if cfg!(target_pointer_width = "64") {
        56
    } else {
        32
    };
    each(
        "show",
        |command| {
            command.arg0("called so");
            command
                .args(["", "two words"])
                .arg(OsStr::from_bytes(b"\xff"));
            command.env_clear().env("RT_TEST", "a=b").env("EMPTY", "");
        },
        |output| {
            assert_eq!(output.status.code(), Some(0));
            let text = String::from_utf8(output.stdout.clone()).unwrap();
            let of = |kind: &str| {
                let lines = text.lines().filter_map(|line| line.strip_prefix(kind));
                lines.collect::<Vec<_>>()
            };
            assert_eq!(
                of("arg "),
                [
                    r#""called so""#,
                    r#""show""#,
                    r#""""#,
                    r#""two words""#,
                    r#""\xff""#
                ]
            );
            let mut env = of("env ");
            env.sort_unstable();
            assert_eq!(env, [r#""EMPTY=""#, r#""RT_TEST=a=b""#]);
            assert_eq!(of("var "), [r#"Some("a=b")"#]);
            assert_eq!(of("page "), [format!("Some({page})")]);
            assert_eq!(of("phent "), [format!("Some({phent})")]);
            assert!(of("auxv ")[0].parse::<usize>().unwrap() >= 8);
            assert_eq!(output.stderr, b"to standard error\n");
        },
    );
}

/// Closes the standard descriptors of these bits in the child. Standard input is another file
/// than /dev/null.
fn close(command: &mut Command, bits: i32) {
    // The test itself opens no standard descriptor as /dev/null.
    command.stdin(Stdio::piped());
    let close = move || {
        for fd in (0..3).filter(|fd| bits & 1 << fd != 0) {
            // SAFETY: the descriptor belongs to the child, and the next program replaces it.
            unsafe { libc::close(fd) };
        }
        Ok(())
    };
    // SAFETY: the closure only makes system calls.
    unsafe { command.pre_exec(close) };
}

#[test]
fn closed_standard_descriptors_are_dev_null() {
    for closed in 0..8 {
        each(
            "null",
            |command| close(command, closed),
            |output| assert_eq!(output.status.code(), Some(closed)),
        );
    }
}

/// A program that relies on open descriptors opens none.
#[test]
fn standard_descriptors_are_left_as_they_are_on_request() {
    let [first, _, last] = PROFILES;
    for program in build("open", "fixed", FIXED, &[first, last]) {
        for closed in 0..8 {
            let mut command = Command::new(&program);
            close(&mut command, closed);
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(closed), "{}", program.display());
        }
    }
}

/// Without /dev in the root directory, the descriptors are opened nevertheless.
#[test]
fn closed_standard_descriptors_are_taken_without_dev_null() {
    // SAFETY: no memory is passed.
    if unsafe { libc::geteuid() } != 0 {
        skip::skip("only root may change the root directory");
        return;
    }
    for program in programs() {
        let directory = program.parent().unwrap().as_os_str().as_bytes().to_vec();
        let directory = CString::new(directory).unwrap();
        let mut command = Command::new(Path::new("/").join(program.file_name().unwrap()));
        let enter = move || {
            // SAFETY: the path ends in a zero byte; the other calls pass no memory.
            unsafe {
                assert_eq!(libc::chroot(directory.as_ptr()), 0);
                libc::close(0);
                libc::close(2);
            }
            Ok(())
        };
        // SAFETY: the closure only makes system calls.
        unsafe { command.pre_exec(enter) };
        let status = command.arg("next").status().unwrap();
        assert_eq!(status.code(), Some(3), "{}", program.display());
    }
}

#[test]
fn an_empty_environment() {
    each(
        "show",
        |command| {
            command.env_clear();
        },
        |output| {
            assert_eq!(output.status.code(), Some(0));
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(!text.contains("env "));
            assert!(text.contains("\nvar None\n"));
        },
    );
}

#[test]
fn the_exit_status_is_passed_on() {
    // The kernel keeps the low eight bits of the status.
    for (argument, status) in [("0", 0), ("1", 1), ("255", 255), ("256", 0), ("-1", 255)] {
        each(
            "status",
            |command| {
                command.arg(argument);
            },
            |output| assert_eq!(output.status.code(), Some(status)),
        );
    }
}

/// The number of strings shifts the end of the stack's contents. The kernel aligns the
/// stack pointer, and `_start` must keep it aligned.
#[test]
fn the_stack_is_aligned_whatever_the_arguments() {
    for count in 0..8 {
        each(
            "aligned",
            |command| {
                command.args(["odd"; 8].iter().take(count));
            },
            |output| assert_eq!(output.status.code(), Some(0)),
        );
    }
}

#[test]
fn memory_functions_work_through_their_symbols() {
    each(
        "memory",
        |_| {},
        |output| {
            // Infinite recursion would end the process by a signal.
            assert_eq!(output.status.signal(), None);
            assert_eq!(output.status.code(), Some(0));
        },
    );
}

#[test]
fn memory_functions_survive_when_only_the_compiler_calls_them() {
    for program in build("implicit", "fixed", FIXED, &PROFILES) {
        let status = Command::new(program).args(["1", "2"]).status().unwrap();
        assert_eq!(status.code(), Some(3));
    }
}

#[test]
fn a_panic_says_where_and_why_and_exits() {
    each(
        "panic",
        |_| {},
        |output| {
            assert_eq!(output.status.code(), Some(101));
            let text = String::from_utf8_lossy(&output.stderr);
            let (first, rest) = text.split_once('\n').unwrap();
            assert!(
                first.starts_with("panicked at ") && first.contains("tests/fixtures/rt/main.rs:")
            );
            assert_eq!(rest, "42 and \"panic\"\n");
            assert!(output.stdout.is_empty());
        },
    );
    each(
        "index",
        |_| {},
        |output| {
            assert_eq!(output.status.code(), Some(101));
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(text.contains("the len is 3 but the index is 3"));
        },
    );
}

#[test]
fn a_long_panic_message_is_whole() {
    each(
        "panic-long",
        |_| {},
        |output| {
            assert_eq!(output.status.code(), Some(101));
            let text = String::from_utf8_lossy(&output.stderr);
            let message = format!("\n{:0>3000}\n", 7);
            assert!(text.ends_with(&message));
        },
    );
}

#[test]
fn a_panic_in_a_panic_ends() {
    each(
        "panic-twice",
        |_| {},
        |output| {
            assert_eq!(output.status.code(), Some(101));
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(text.starts_with("panicked at "));
            assert!(text.ends_with(", in a panic's message\n"));
            assert_eq!(text.lines().count(), 1);
        },
    );
}

#[test]
fn a_panic_with_closed_stderr_exits_as_well() {
    for program in programs() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec \"$0\" panic 2>&-"]).arg(program);
        assert_eq!(shell.status().unwrap().code(), Some(101));
    }
}

/// Every form of relocation is tested: functions, strings, methods of trait objects, and
/// the address of a variable.
#[test]
fn constants_are_relocated() {
    each(
        "pointers",
        |_| {},
        |output| assert_eq!(output.status.code(), Some(0)),
    );
    let packed = |program: &&PathBuf| is_relocated(program) && skip::have(&["readelf"]);
    let tables: String = (programs().iter().filter(packed))
        .map(|program| {
            let output = Command::new("readelf").arg("-dW").arg(program).output();
            String::from_utf8(output.unwrap().stdout).unwrap()
        })
        .collect();
    // One form of programs has entries, the other bitmaps.
    assert!(tables.is_empty() || tables.contains("(RELR)"), "{tables}");
    assert!(
        tables.is_empty() || tables.contains("(RELA)") || tables.contains("(REL)"),
        "{tables}"
    );
}

#[test]
fn a_relocated_program_has_a_random_address_and_constant_constants() {
    for program in programs().iter().filter(|program| is_relocated(program)) {
        // Addresses are not random in a process with ADDR_NO_RANDOMIZE.
        let address = || {
            let output = Command::new(program).arg("address").output().unwrap();
            assert_eq!(output.status.code(), Some(0));
            String::from_utf8(output.stdout).unwrap()
        };
        let first = address();
        assert!((0..20).any(|_| address() != first), "always at {first}");
        let status = Command::new(program).arg("overwrite").status().unwrap();
        assert_eq!(
            status.signal(),
            Some(libc::SIGSEGV),
            "{}",
            program.display()
        );
    }
}

/// Without the linker script, a shared library is detected when the program starts. GNU ld
/// for 32-bit x86 detects it itself.
#[test]
#[cfg(not(target_arch = "x86"))]
fn a_shared_library_is_reported() {
    let mut link = FIXED.to_vec();
    // As rustc passes the libraries of a dependency.
    link.extend(["-Wl,-Bdynamic", "-Wl,--no-as-needed", "-lc"]);
    let profiles = [PROFILES[0]];
    for program in build("libc", "needed", &link, &profiles) {
        let output = Command::new(program).output().unwrap();
        assert_eq!(output.status.code(), Some(127), "{output:?}");
        assert_eq!(output.stderr, b"linked against a shared library\n");
    }
}

/// A function of C overwrites its frame, and a second one does not.
#[test]
#[cfg(target_arch = "x86_64")]
fn an_overwritten_stack_guard_is_detected() {
    if !skip::have(&["cc"]) {
        return;
    }
    let library = Path::new(env!("CARGO_MANIFEST_DIR"));
    let object = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guard.o");
    let mut cc = Command::new("cc");
    cc.args(["-c", "-O0", "-w", "-fPIC", "-fstack-protector-all"]);
    cc.args(["-mstack-protector-guard=global", "-o"]);
    cc.arg(&object)
        .arg(library.join("tests/fixtures/rt/guard.c"));
    assert!(cc.status().unwrap().success());
    let mut link = FIXED.to_vec();
    link.push(object.to_str().unwrap());
    for program in build("guard", "fixed", &link, &[PROFILES[0]]) {
        let run = |length: &str| Command::new(&program).arg(length).output().unwrap();
        let output = run("8");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let output = run("64");
        assert_eq!(output.status.code(), Some(134), "{output:?}");
        assert_eq!(output.stderr, b"stack smashing detected\n");
    }
}

#[test]
fn a_signal_handler_returns() {
    each(
        "signal",
        |_| {},
        |output| assert_eq!(output.status.code(), Some(0)),
    );
}

/// The program is static: it has no undefined symbol, no dynamic section and no
/// interpreter.
#[test]
fn the_program_links_nothing_else() {
    if !skip::have(&["nm", "readelf"]) {
        return;
    }
    let tool = |name: &str, argument: &str, program: &Path| {
        let output = Command::new(name).arg(argument).arg(program).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{name} {argument}");
        String::from_utf8(output.stdout).unwrap()
    };
    for program in programs() {
        assert_eq!(tool("nm", "-u", program), "");
        let dynamic = tool("readelf", "-dW", program);
        let segments = tool("readelf", "-lW", program);
        if is_relocated(program) {
            assert!(!dynamic.contains("NEEDED"), "{dynamic}");
            assert!(!dynamic.contains("TEXTREL"), "{dynamic}");
        } else {
            assert!(dynamic.contains("There is no dynamic section"), "{dynamic}");
            assert!(segments.contains("Elf file type is EXEC"), "{segments}");
        }
        assert!(!segments.contains("INTERP"), "{segments}");
        // No segment is both writable and executable.
        assert!(!segments.contains("RWE"), "{segments}");
    }
}

/// This test is itself a program of the standard library. It verifies that such a
/// program links with the feature, runs, and can call the memory functions.
#[cfg(feature = "rt")]
#[test]
fn the_feature_adds_no_symbol_to_other_programs() {
    use linux_aio::{Errno, rt};

    if !skip::have(&["nm"]) {
        return;
    }
    assert_eq!(rt::write_all(rt::Stdout, b""), Ok(()));
    // It is open for reading only.
    let file = std::fs::File::open("/dev/null").unwrap();
    #[cfg(feature = "std")]
    assert_eq!(rt::write_all(&file, b"x"), Err(Errno::BADF));
    let me = std::env::current_exe().unwrap();
    let output = Command::new("nm").arg(me).output().unwrap();
    let symbols = String::from_utf8_lossy(&output.stdout);
    let defined = |name: &str| {
        let mut lines = symbols.lines().filter_map(|line| line.split_once(" T "));
        lines.any(|(_, symbol)| symbol == name)
    };
    assert!(defined("main"));
    // A static program contains libc's memory functions, and would not have linked with
    // this library's.
    if !cfg!(target_feature = "crt-static") {
        for name in ["memcpy", "memmove", "memset", "memcmp", "bcmp", "strlen"] {
            assert!(!defined(name), "{name}");
        }
    }
}
