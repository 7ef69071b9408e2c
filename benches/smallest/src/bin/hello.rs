//! Prints a line: `examples/hello-static`.
#![no_std]
#![no_main]

use linux_aio::rt::{Process, write_all};

linux_aio::entry!(main);

fn main(_process: Process) -> i32 {
    match write_all(1, b"hello\n") {
        Ok(()) => 0,
        Err(errno) => errno.raw_os_error(),
    }
}
