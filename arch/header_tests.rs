//! Tests that compare the numbers of every ABI with the kernel headers.
//!
//! The numbers are written as C static assertions about the definitions in the
//! headers. The C compiler of the host evaluates them with the headers of each
//! architecture. No program for another architecture is run, and no table is
//! compared manually.
//!
//! The headers come from the Debian package linux-libc-dev (trixie or later),
//! which contains those of every architecture. `cargo qemu setup headers`
//! unpacks it into the cache; otherwise `LINUX_HEADERS` names the folder that
//! holds its `usr`.

extern crate std;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::string::{String, ToString};
use std::vec::Vec;
use std::{env, format};

use super::{ALL_ABIS, Abi, HeaderSource};
use crate::direct_io::{self, Statx};
use crate::pages;

/// Returns the headers of an ABI.
fn header_source(abi: &str) -> HeaderSource {
    let of_this = |row: &&Abi| row.aio.abi == abi;
    let row = every().find(of_this).expect(abi);
    assert!(!row.headers.folder.is_empty(), "{abi} names no headers");
    row.headers
}

#[path = "../tests/support/skip.rs"]
mod skip;

/// Returns whether the headers and a compiler are available, and reports the test
/// as skipped if they are not.
#[track_caller]
fn have_witness() -> bool {
    let folder = headers();
    if !folder.join("usr/lib/linux/uapi").is_dir() {
        skip::skip(&format!(
            "no kernel headers of every architecture in {}: `cargo qemu setup headers` fetches them",
            folder.display()
        ));
        return false;
    }
    skip::have(&["cc"])
}

/// Returns the folder that holds the `usr` of linux-libc-dev.
fn headers() -> PathBuf {
    env::var_os("LINUX_HEADERS").map_or_else(
        || {
            let target = env::var_os("CARGO_TARGET_DIR").map_or_else(
                || Path::new(env!("CARGO_MANIFEST_DIR")).join("target"),
                PathBuf::from,
            );
            target.join("cache/linux-libc-dev")
        },
        PathBuf::from,
    )
}

/// Compiles a C source with the headers of an ABI. Returns the output of the
/// compiler, or its error messages.
fn compile(header_source: &HeaderSource, mode: &[&str], source: &str) -> Result<String, String> {
    let usr = headers().join("usr");
    let mut cc = Command::new("cc");
    cc.args([header_source.width, "-nostdinc", "-x", "c", "-w"])
        .args(mode);
    // The compiler targets x86; its predefined macros must not select x86 headers.
    cc.args(["-U__x86_64__", "-U__i386__", "-U__ILP32__"]);
    if header_source.width == "-mx32" {
        cc.arg("-D__ILP32__");
    }
    for define in header_source.defines {
        cc.arg(format!("-D{define}"));
    }
    cc.arg("-I")
        .arg(usr.join("lib/linux/uapi").join(header_source.folder));
    cc.arg("-I").arg(usr.join("include"));
    let mut child = cc
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(source.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// The compiler option that checks a source without producing an object.
const CHECK: &[&str] = &["-fsyntax-only"];

/// Returns the line that includes `header` from `asm` or `asm-generic`.
fn include(header_source: &HeaderSource, header: &str) -> String {
    format!("#include <{}/{header}>\n", header_source.headers)
}

/// Returns C code that asserts the value of each name, or that it is undefined.
fn claims(rows: &[(&str, Option<i64>)]) -> String {
    let claim = |&(name, value): &(&str, Option<i64>)| match value {
        Some(value) => format!("_Static_assert(({name}) == {value}, \"{name} is not {value}\");\n"),
        None => format!("#ifdef {name}\n#error {name} exists\n#endif\n"),
    };
    rows.iter().map(claim).collect()
}

/// Panics unless every row agrees with the header of the ABI.
fn hold(abi: &str, header: &str, rows: &[(&str, Option<i64>)]) {
    let header_source = header_source(abi);
    let source = include(&header_source, header) + &claims(rows);
    if let Err(complaint) = compile(&header_source, CHECK, &source) {
        panic!("{abi}: the headers say otherwise:\n{complaint}");
    }
}

/// Returns the names of the macros that the header of the ABI defines.
fn names(abi: &str, header: &str) -> Vec<String> {
    let header_source = header_source(abi);
    let macros = compile(
        &header_source,
        &["-E", "-dM"],
        &include(&header_source, header),
    )
    .unwrap();
    let name = |line: &str| line.split(' ').nth(1).map(ToString::to_string);
    macros.lines().filter_map(name).collect()
}

fn every() -> impl Iterator<Item = &'static Abi> {
    ALL_ABIS.iter().flat_map(|abis| abis.iter())
}

fn numbers(facts: &Abi) -> [(&'static str, Option<i64>); 20] {
    let Abi { aio, base, .. } = facts;
    [
        ("__NR_io_setup", aio.io_setup),
        ("__NR_io_destroy", aio.io_destroy),
        ("__NR_io_submit", aio.io_submit),
        ("__NR_io_cancel", aio.io_cancel),
        ("__NR_io_getevents", aio.io_getevents),
        ("__NR_io_pgetevents", aio.io_pgetevents),
        ("__NR_io_pgetevents_time64", aio.io_pgetevents_time64),
        ("__NR_madvise", Some(base.madvise)),
        ("__NR_ppoll", base.ppoll),
        ("__NR_write", Some(base.write)),
        ("__NR_exit_group", Some(base.exit_group)),
        ("__NR_statx", Some(base.statx)),
        ("MMAP", Some(base.mmap)),
        ("__NR_getpid", Some(base.getpid)),
        ("__NR_openat", Some(base.openat)),
        ("__NR_close", Some(base.close)),
        ("FCNTL", Some(base.fcntl)),
        ("__NR_mprotect", Some(base.mprotect)),
        ("__NR_rt_sigaction", Some(base.rt_sigaction)),
        ("__NR_rt_sigprocmask", Some(base.rt_sigprocmask)),
    ]
    .map(|(name, value)| (name, value.map(i64::from)))
}

/// C code that defines `MMAP` as the number of mmap2(2), the newer call, where it
/// exists, and otherwise as the number of mmap(2).
const MMAP: &str = "
#ifdef __NR_mmap2
#define MMAP __NR_mmap2
#else
#define MMAP __NR_mmap
#endif
";

/// C code that defines `FCNTL` as the number of fcntl(2) where it exists, and otherwise as
/// the number of fcntl64(2). They are the same for the commands without a lock.
const FCNTL: &str = "
#ifdef __NR_fcntl
#define FCNTL __NR_fcntl
#else
#define FCNTL __NR_fcntl64
#endif
";

/// Compiles assertions about the system call numbers of the ABI. Returns the
/// error messages of the compiler if one fails.
fn check_numbers(abi: &str, rows: &[(&str, Option<i64>)]) -> Result<String, String> {
    let header_source = header_source(abi);
    let source = include(&header_source, "unistd.h") + MMAP + FCNTL + &claims(rows);
    compile(&header_source, CHECK, &source)
}

#[test]
fn every_number_is_the_headers() {
    if !have_witness() {
        return;
    }
    for facts in every() {
        let abi = facts.aio.abi;
        if let Err(complaint) = check_numbers(abi, &numbers(facts)) {
            panic!("{abi}: the headers say otherwise:\n{complaint}");
        }
    }
}

/// Compares the arguments of mmap(2) and madvise(2) with the headers.
#[test]
fn the_flags_of_mappings_are_the_headers() {
    if !have_witness() {
        return;
    }
    for facts in every() {
        let rows = [
            ("PROT_READ | PROT_WRITE", pages::PROT_READ_WRITE),
            ("MAP_PRIVATE", pages::MAP_PRIVATE),
            ("MAP_ANONYMOUS", facts.map_anonymous as usize),
            ("MADV_NORMAL", pages::MADV_NORMAL),
            ("MADV_DONTFORK", pages::MADV_DONTFORK),
            ("MADV_WIPEONFORK", pages::MADV_WIPEONFORK),
        ]
        .map(|(name, value)| (name, Some(value as i64)));
        let abi = facts.aio.abi;
        let source = String::from("#include <linux/mman.h>\n") + &claims(&rows);
        if let Err(complaint) = compile(&header_source(abi), CHECK, &source) {
            panic!("{abi}: the headers say otherwise:\n{complaint}");
        }
    }
}

#[test]
fn the_flag_of_openat_is_the_headers() {
    if !have_witness() {
        return;
    }
    for facts in every() {
        let value = Some(i64::from(facts.o_cloexec));
        hold(facts.aio.abi, "fcntl.h", &[("O_CLOEXEC", value)]);
    }
}

/// Changes every number of every ABI and verifies that the compiler rejects it.
#[test]
fn a_changed_number_is_seen() {
    if !have_witness() {
        return;
    }
    for facts in every() {
        let abi = facts.aio.abi;
        // One source contains all rows; each wrong row produces one error.
        let wrong = numbers(facts).map(|(name, value)| match value {
            Some(value) => (name, Some(value + 1)),
            None => (name, Some(0)),
        });
        let complaint = check_numbers(abi, &wrong).expect_err("nothing was refused");
        for (name, _) in wrong {
            let refused = complaint
                .lines()
                .any(|line| line.contains("error: ") && line.contains(name));
            assert!(refused, "{abi}: {name}:\n{complaint}");
        }
    }
}

/// Compares the values, and the names: a name that the header defines and the
/// table lacks fails the test.
#[test]
fn every_error_number_is_the_headers() {
    if !have_witness() {
        return;
    }
    // EWOULDBLOCK equals EAGAIN everywhere, and EDEADLOCK mostly equals EDEADLK.
    // Only mips and sparc have the other four, and no Linux call returns them.
    let left_out = [
        "EWOULDBLOCK",
        "EDEADLOCK",
        "EINIT",
        "EREMDEV",
        "EPROCLIM",
        "ERREMOTE",
    ];
    for facts in every() {
        let abi = facts.aio.abi;
        let rows: Vec<_> = facts
            .errnos
            .iter()
            .map(|&(name, value)| (name, Some(i64::from(value))))
            .collect();
        hold(abi, "errno.h", &rows);
        let is_error = |name: &str| {
            name.starts_with('E')
                && name
                    .chars()
                    .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
        };
        for name in names(abi, "errno.h").iter().filter(|name| is_error(name)) {
            let known = rows.iter().any(|row| row.0 == name) || left_out.contains(&name.as_str());
            assert!(known, "{abi}: the header has {name}");
        }
    }
}

#[test]
fn rdhup_is_the_headers() {
    if !have_witness() {
        return;
    }
    for facts in every() {
        let value = Some(i64::from(facts.pollrdhup));
        hold(facts.aio.abi, "poll.h", &[("POLLRDHUP", value)]);
    }
}

/// Compares the number of signals where the headers define it for programs: only
/// those of mips and powerpc and the generic one do.
#[test]
fn the_signal_set_is_the_headers() {
    if !have_witness() {
        return;
    }
    let mut told = Vec::new();
    for facts in every() {
        let abi = facts.aio.abi;
        if names(abi, "signal.h").iter().any(|name| name == "_NSIG") {
            let signals = 8 * facts.sigset_bytes as i64;
            hold(abi, "signal.h", &[("_NSIG", Some(signals))]);
            told.push(abi);
        } else {
            assert_eq!(facts.sigset_bytes, 8, "{abi}");
        }
    }
    for abi in [
        "mips",
        "mips64",
        "mips-n32",
        "powerpc",
        "powerpc64",
        "aarch64",
        "hexagon",
    ] {
        assert!(told.contains(&abi), "{abi}: {told:?}");
    }
}

/// Compares the constants of signal actions with the headers. Where the headers define
/// no `SA_RESTORER`, the structure may have its field nevertheless (m68k, sparc).
#[test]
fn the_signal_constants_are_the_headers() {
    if !have_witness() {
        return;
    }
    for facts in every() {
        let (abi, signals) = (facts.aio.abi, facts.signals);
        let mut rows = Vec::from([
            ("SIG_SETMASK", Some(i64::from(signals.set_mask))),
            ("SA_RESTART", Some(i64::from(signals.restart))),
            ("SA_SIGINFO", Some(i64::from(signals.siginfo))),
        ]);
        if names(abi, "signal.h")
            .iter()
            .any(|name| name == "SA_RESTORER")
        {
            rows.push(("SA_RESTORER", Some(i64::from(signals.restorer))));
            assert!(signals.restorer_field, "{abi}");
        }
        hold(abi, "signal.h", &rows);
    }
}

/// Compares the layout of the iocb with the headers. The byte order determines the
/// order of the fields `aio_key` and `aio_rw_flags`; the pointer width does not.
#[test]
fn the_iocb_is_the_headers() {
    if !have_witness() {
        return;
    }
    for facts in every() {
        let abi = facts.aio.abi;
        let header_source = header_source(abi);
        let (key, flags) = if header_source.big_endian {
            (12, 8)
        } else {
            (8, 12)
        };
        let rows = [
            ("sizeof(struct iocb)", 64),
            ("sizeof(struct io_event)", 32),
            ("__builtin_offsetof(struct iocb, aio_key)", key),
            ("__builtin_offsetof(struct iocb, aio_rw_flags)", flags),
            ("__builtin_offsetof(struct iocb, aio_resfd)", 60),
        ]
        .map(|(what, value)| (what, Some(value)));
        let source = String::from("#include <linux/aio_abi.h>\n") + &claims(&rows);
        if let Err(complaint) = compile(&header_source, CHECK, &source) {
            panic!("{abi}: the headers say otherwise:\n{complaint}");
        }
    }
}

/// Compares the fields of `struct statx` that the library reads with the headers.
/// Some headers predate the field for the alignment of reads.
#[test]
fn the_statx_is_the_headers() {
    if !have_witness() {
        return;
    }
    let claims = claims(&[
        ("sizeof(struct statx)", Some(size_of::<Statx>() as i64)),
        (
            "__builtin_offsetof(struct statx, stx_mask)",
            at(Statx::MASK),
        ),
        (
            "__builtin_offsetof(struct statx, stx_dio_mem_align)",
            at(Statx::DIO_MEM_ALIGN),
        ),
        (
            "__builtin_offsetof(struct statx, stx_dio_offset_align)",
            at(Statx::DIO_OFFSET_ALIGN),
        ),
        ("STATX_DIOALIGN", Some(i64::from(direct_io::STATX_DIOALIGN))),
        ("AT_EMPTY_PATH", Some(direct_io::AT_EMPTY_PATH as i64)),
    ]) + "#ifdef STATX_DIO_READ_ALIGN\n"
        + &self::claims(&[
            (
                "__builtin_offsetof(struct statx, stx_dio_read_offset_align)",
                at(Statx::DIO_READ_OFFSET_ALIGN),
            ),
            (
                "STATX_DIO_READ_ALIGN",
                Some(i64::from(direct_io::STATX_DIO_READ_ALIGN)),
            ),
        ])
        + "#endif\n";
    fn at(word: usize) -> Option<i64> {
        Some(4 * word as i64)
    }
    for facts in every() {
        let abi = facts.aio.abi;
        let source = String::from("#include <linux/stat.h>\n#include <linux/fcntl.h>\n") + &claims;
        if let Err(complaint) = compile(&header_source(abi), CHECK, &source) {
            panic!("{abi}: the headers say otherwise:\n{complaint}");
        }
    }
}
