//! Prints a line by one write(2), and relies on open standard descriptors: no more than C
//! programs of that kind do. For the architecture whose sizes the page states.
#![no_std]
#![no_main]

use linux_aio::rt::{OpenDescriptors, Process};
use linux_aio::syscall::syscall3;

// SAFETY: it is started to be measured, by a shell that opens all three.
linux_aio::entry!(main, unsafe { OpenDescriptors::assume() });

const WRITE: usize = 1;

fn main(_: Process) -> i32 {
    let line = b"hello\n";
    // SAFETY: the kernel reads no more than the array.
    let written = unsafe { syscall3(WRITE, 1, line.as_ptr().expose_provenance(), line.len()) };
    i32::from(written != 6)
}
