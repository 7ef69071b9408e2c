//! Prints a line: `examples/hello-static`.
#![no_std]
#![no_main]

use linux_aio::rt::{Process, Stdout, write_all};

#[cfg(not(feature = "descriptors-open"))]
linux_aio::entry!(main);
#[cfg(feature = "descriptors-open")]
linux_aio::entry!(main, unsafe(standard_descriptors_open));

fn main(_process: Process) -> i32 {
    match write_all(Stdout, b"hello\n") {
        Ok(()) => 0,
        Err(errno) => errno.raw_os_error(),
    }
}
