//! Prints a line: `examples/hello-static`.
#![no_std]
#![no_main]

use linux_aio::rt::{Process, Stdout, write_all};

#[cfg(not(feature = "descriptors-open"))]
linux_aio::entry!(main);
// SAFETY: it is started to be measured, by a shell that opens all three.
#[cfg(feature = "descriptors-open")]
linux_aio::entry!(main, unsafe { linux_aio::rt::OpenDescriptors::assume() });

fn main(_process: Process) -> i32 {
    match write_all(Stdout, b"hello\n") {
        Ok(()) => 0,
        Err(errno) => errno.raw_os_error(),
    }
}
