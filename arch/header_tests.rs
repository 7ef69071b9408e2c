//! Every row held to the kernel's own headers, through the C compiler: the
//! preprocessor evaluates what the headers say, not what an eye reads there.
//!
//! This needs `cc` and the headers of an x86 Debian (linux-libc-dev), which
//! carry x86's three tables and the generic one.

extern crate std;

use std::collections::HashMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::string::{String, ToString};
use std::vec::Vec;
use std::{env, format, fs, process};

use super::{EVERY, Facts, errno_generic};

/// The values of macros after `#include`-ing a header, with `defines` set.
/// What is not defined is not in the map.
fn values(defines: &[&str], header: &str, names: &[&str]) -> HashMap<String, i64> {
    let mut source = format!("#include <stdio.h>\n#include <{header}>\nint main(void) {{\n");
    for name in names {
        source +=
            &format!("#ifdef {name}\nprintf(\"{name} %lld\\n\", (long long)({name}));\n#endif\n");
    }
    source += "return 0; }\n";
    let key = format!("{}{}", header.replace('/', "-"), defines.concat());
    let program = env::temp_dir().join(format!("header-{}-{key}", process::id()));
    let mut cc = Command::new("cc")
        .args(defines)
        .args(["-x", "c", "-", "-o"])
        .arg(&program)
        .stdin(Stdio::piped())
        .spawn()
        .expect("a C compiler");
    let mut input = cc.stdin.take().unwrap();
    input.write_all(source.as_bytes()).unwrap();
    drop(input);
    assert!(cc.wait().unwrap().success(), "{header}");
    let output = Command::new(&program).output().unwrap();
    fs::remove_file(&program).unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let pairs = lines.lines().map(|line| line.split_once(' ').unwrap());
    pairs
        .map(|(name, value)| (name.to_string(), value.parse().unwrap()))
        .collect()
}

/// Where the kernel's headers hold an ABI's numbers, and what to define so
/// that they say the ABI's and not the compiler's.
fn witness(abi: &str) -> (&'static str, &'static [&'static str]) {
    match abi {
        "x86_64" => ("asm/unistd_64.h", &[]),
        "x32" => ("asm/unistd_x32.h", &["-D__X32_SYSCALL_BIT=0x40000000"]),
        "x86" => ("asm/unistd_32.h", &[]),
        "aarch64" | "riscv64" => ("asm-generic/unistd.h", &["-D__BITS_PER_LONG=64"]),
        other => panic!("no header known for {other}"),
    }
}

#[test]
fn every_number_is_the_headers() {
    let mut checked = 0;
    for Facts { aio, base, .. } in EVERY.iter().flat_map(|abis| abis.iter()) {
        let (header, defines) = witness(aio.abi);
        let rows = [
            ("__NR_io_setup", aio.io_setup),
            ("__NR_io_destroy", aio.io_destroy),
            ("__NR_io_submit", aio.io_submit),
            ("__NR_io_cancel", aio.io_cancel),
            ("__NR_io_getevents", aio.io_getevents),
            ("__NR_io_pgetevents", aio.io_pgetevents),
            ("__NR_io_pgetevents_time64", aio.io_pgetevents_time64),
            ("__NR_madvise", Some(base.madvise)),
            ("__NR_write", Some(base.write)),
            ("__NR_exit_group", Some(base.exit_group)),
        ];
        let names: Vec<&str> = rows.iter().map(|row| row.0).collect();
        let header_says = values(defines, header, &names);
        for (name, ours) in rows {
            let theirs = header_says.get(name).copied();
            assert_eq!(ours.map(i64::from), theirs, "{} {name}", aio.abi);
            checked += 1;
        }
    }
    assert_eq!(checked, 50, "five ABIs of ten numbers");
}

#[test]
fn every_error_number_is_the_headers() {
    let names: Vec<&str> = errno_generic::TABLE.iter().map(|row| row.0).collect();
    let header_says = values(&[], "asm-generic/errno.h", &names);
    assert_eq!(header_says.len(), 131);
    for &(name, ours) in errno_generic::TABLE {
        assert_eq!(i64::from(ours), header_says[name], "{name}");
    }
}

#[test]
fn rdhup_is_the_headers() {
    let header_says = values(&[], "asm-generic/poll.h", &["POLLRDHUP"])["POLLRDHUP"];
    for facts in EVERY.iter().flat_map(|abis| abis.iter()) {
        assert_eq!(i64::from(facts.pollrdhup), header_says, "{}", facts.aio.abi);
    }
}
