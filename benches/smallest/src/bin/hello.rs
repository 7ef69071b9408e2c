//! Prints a line: `examples/hello-static`.
#![no_std]
#![no_main]

use linux_aio::rt::{Process, Stdout, write_all};

linux_aio::entry!(main);

fn main(_process: Process) -> i32 {
    match write_all(Stdout, b"hello\n") {
        Ok(()) => 0,
        Err(errno) => errno.raw_os_error(),
    }
}
