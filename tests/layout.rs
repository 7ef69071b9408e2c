//! The structures and constants held to the kernel's own headers, through the
//! C compiler.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::mem::offset_of;
use std::process::{Command, Stdio};

use linux_aio::abi::{self, Event, Iocb, IocbFlags, RwFlags};

/// What the C compiler says of these integer expressions.
fn evaluate(expressions: &[&str]) -> Vec<i64> {
    let mut source = String::from(
        "#include <stddef.h>\n#include <stdio.h>\n#include <linux/aio_abi.h>\nint main(void) {\n",
    );
    for expression in expressions {
        source += &format!("printf(\"%lld\\n\", (long long)({expression}));\n");
    }
    source += "return 0; }\n";
    let program = format!(
        "{}/layout-{}",
        env!("CARGO_TARGET_TMPDIR"),
        std::process::id()
    );
    let mut cc = Command::new("cc")
        .args(["-x", "c", "-", "-o", &program])
        .stdin(Stdio::piped())
        .spawn()
        .expect("a C compiler");
    let mut input = cc.stdin.take().unwrap();
    input.write_all(source.as_bytes()).unwrap();
    drop(input);
    assert!(cc.wait().unwrap().success());
    let output = Command::new(&program).output().unwrap().stdout;
    std::fs::remove_file(&program).unwrap();
    let lines = String::from_utf8(output).unwrap();
    lines.lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn structures_and_constants_are_the_headers() {
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
    let names = ours.map(|row| row.0);
    let header_says = evaluate(&names);
    assert_eq!(header_says.len(), ours.len());
    for ((name, value), header) in ours.into_iter().zip(header_says) {
        assert_eq!(value as i64, header, "{name}");
    }
}
