//! Does the same as `smallest`, by the system calls alone: `raw < FILE`.
#![no_std]
#![no_main]

use linux_aio::opcode::Pread;
use linux_aio::rt::{Process, Stdout, write_all};
use linux_aio::sys::abi::AioContext;
use linux_aio::sys::{io_destroy, io_getevents, io_setup, io_submit};
use linux_aio::{Errno, Event};

#[cfg(not(feature = "descriptors-open"))]
linux_aio::entry!(main);
// SAFETY: it is started to be measured, by a shell that opens all three.
#[cfg(feature = "descriptors-open")]
linux_aio::entry!(main, unsafe { linux_aio::rt::OpenDescriptors::assume() });

fn main(_: Process) -> i32 {
    match start_of(0) {
        Ok(()) => 0,
        Err(errno) => errno.raw_os_error(),
    }
}

fn start_of(fd: i32) -> Result<(), Errno> {
    let mut buffer = [0; 64];
    let mut context = AioContext(0);
    let mut event = [Event::EMPTY];
    let mut read = Pread::new(fd, buffer.as_mut_ptr(), buffer.len()).build();
    // SAFETY: the pointers are to variables of this function, which are not accessed until
    // the context is destroyed: that waits for the read.
    unsafe {
        io_setup(1, &raw mut context)?;
        let done = io_submit(context, 1, [&raw mut read].as_mut_ptr())
            .and_then(|_| io_getevents(context, 1, 1, event.as_mut_ptr(), core::ptr::null()));
        io_destroy(context)?;
        done?;
    }
    let len = event[0].result()?;
    write_all(Stdout, buffer.get(..len).unwrap_or_default())
}
