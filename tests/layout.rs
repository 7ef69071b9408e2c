//! Compares the structures and constants with the kernel headers, by the C compiler of
//! the target: `cc`, or the one named by `TARGET_CC`.
#![cfg(target_os = "linux")]

#[path = "support/skip.rs"]
mod skip;

use std::env;
use std::ffi::OsStr;
use std::io::Write;
use std::mem::offset_of;
use std::process::{Command, Stdio};

use linux_aio::abi::{self, Event, Iocb, IocbFlags, RwFlags};

/// Returns the compiler's error messages about these claims. Nothing is run, so the
/// compiler may be for another architecture.
fn complaints(cc: &OsStr, claims: &[(&str, usize)]) -> String {
    let mut source = String::from("#include <stddef.h>\n#include <linux/aio_abi.h>\n");
    for (expression, value) in claims {
        source += &format!("_Static_assert(({expression}) == {value}, \"{expression}\");\n");
    }
    let mut cc = Command::new(cc)
        .args(["-fsyntax-only", "-x", "c", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = cc.stdin.take().unwrap();
    input.write_all(source.as_bytes()).unwrap();
    drop(input);
    let output = cc.wait_with_output().unwrap();
    let complaints = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.success(), complaints.is_empty());
    complaints
}

#[test]
fn structures_and_constants_match_the_headers() {
    let cc = env::var_os("TARGET_CC").unwrap_or("cc".into());
    if !skip::have(&[&cc.to_string_lossy()]) {
        return;
    }
    if !complaints(&cc, &[]).is_empty() {
        return skip::skip("the C compiler has no linux/aio_abi.h");
    }
    let ours: [(&str, usize); 35] = [
        ("sizeof(struct iocb)", size_of::<Iocb>()),
        ("offsetof(struct iocb, aio_data)", offset_of!(Iocb, data)),
        ("offsetof(struct iocb, aio_key)", offset_of!(Iocb, key)),
        (
            "offsetof(struct iocb, aio_rw_flags)",
            offset_of!(Iocb, rw_flags),
        ),
        (
            "offsetof(struct iocb, aio_lio_opcode)",
            offset_of!(Iocb, opcode),
        ),
        (
            "offsetof(struct iocb, aio_reqprio)",
            offset_of!(Iocb, reqprio),
        ),
        (
            "offsetof(struct iocb, aio_fildes)",
            offset_of!(Iocb, fildes),
        ),
        ("offsetof(struct iocb, aio_buf)", offset_of!(Iocb, buf)),
        (
            "offsetof(struct iocb, aio_nbytes)",
            offset_of!(Iocb, nbytes),
        ),
        (
            "offsetof(struct iocb, aio_offset)",
            offset_of!(Iocb, offset),
        ),
        (
            "offsetof(struct iocb, aio_reserved2)",
            offset_of!(Iocb, reserved2),
        ),
        ("offsetof(struct iocb, aio_flags)", offset_of!(Iocb, flags)),
        ("offsetof(struct iocb, aio_resfd)", offset_of!(Iocb, resfd)),
        (
            "sizeof(((struct iocb *)0)->aio_rw_flags)",
            size_of::<RwFlags>(),
        ),
        (
            "sizeof(((struct iocb *)0)->aio_flags)",
            size_of::<IocbFlags>(),
        ),
        ("sizeof(struct io_event)", size_of::<Event>()),
        ("offsetof(struct io_event, data)", offset_of!(Event, data)),
        ("offsetof(struct io_event, obj)", offset_of!(Event, obj)),
        ("offsetof(struct io_event, res)", offset_of!(Event, res)),
        ("offsetof(struct io_event, res2)", offset_of!(Event, res2)),
        ("IOCB_CMD_PREAD", abi::IOCB_CMD_PREAD.into()),
        ("IOCB_CMD_PWRITE", abi::IOCB_CMD_PWRITE.into()),
        ("IOCB_CMD_FSYNC", abi::IOCB_CMD_FSYNC.into()),
        ("IOCB_CMD_FDSYNC", abi::IOCB_CMD_FDSYNC.into()),
        ("IOCB_CMD_POLL", abi::IOCB_CMD_POLL.into()),
        ("IOCB_CMD_NOOP", abi::IOCB_CMD_NOOP.into()),
        ("IOCB_CMD_PREADV", abi::IOCB_CMD_PREADV.into()),
        ("IOCB_CMD_PWRITEV", abi::IOCB_CMD_PWRITEV.into()),
        ("IOCB_FLAG_RESFD", IocbFlags::RESFD.bits() as usize),
        ("IOCB_FLAG_IOPRIO", IocbFlags::IOPRIO.bits() as usize),
        ("RWF_HIPRI", RwFlags::HIPRI.bits() as usize),
        ("RWF_DSYNC", RwFlags::DSYNC.bits() as usize),
        ("RWF_SYNC", RwFlags::SYNC.bits() as usize),
        ("RWF_NOWAIT", RwFlags::NOWAIT.bits() as usize),
        ("RWF_APPEND", RwFlags::APPEND.bits() as usize),
    ];
    assert_eq!(complaints(&cc, &ours), "");

    // This verifies that each claim is checked: a false one produces an error.
    let wrong = complaints(
        &cc,
        &ours.map(|(expression, value)| (expression, value + 1)),
    );
    for (expression, _) in ours {
        let claim = format!("static assertion failed: \"{expression}\"");
        assert!(wrong.contains(&claim), "{expression}");
    }
}
