//! Does the same as `raw` by one write(2), and relies on open standard descriptors: no more
//! than C programs of that kind do. For the architecture whose sizes the page states.
#![no_std]
#![no_main]

use core::mem::MaybeUninit;

use linux_aio::opcode::Pread;
use linux_aio::rt::{OpenDescriptors, Process};
use linux_aio::sys::abi::AioContext;
use linux_aio::sys::{io_destroy, io_getevents, io_setup, io_submit};
use linux_aio::syscall::syscall3;
use linux_aio::{Errno, Event};

// SAFETY: it is started to be measured, by a shell that opens all three.
linux_aio::entry!(main, unsafe { OpenDescriptors::assume() });

const WRITE: usize = 1;

fn main(_: Process) -> i32 {
    match copy() {
        Ok(written) => i32::from(written < 0),
        Err(errno) => errno.raw_os_error(),
    }
}

/// Reads the start of standard input, and returns the result of the write.
fn copy() -> Result<isize, Errno> {
    let mut buffer = MaybeUninit::<[u8; 64]>::uninit();
    let mut context = AioContext::NONE;
    let mut event = MaybeUninit::<Event>::uninit();
    let mut read = Pread::new(0, buffer.as_mut_ptr().cast(), size_of_val(&buffer)).build();
    let mut list = [&raw mut read];
    // SAFETY: the pointers are to variables of this function, which are not accessed until
    // the context is destroyed: that waits for the read. The event is one that the kernel
    // has written, because the call that returns it has succeeded, and waits for one.
    unsafe {
        io_setup(1, &raw mut context)?;
        if let Err(errno) = io_submit(context, 1, list.as_mut_ptr()) {
            io_destroy(context)?;
            return Err(errno);
        }
        let taken = io_getevents(context, 1, 1, event.as_mut_ptr(), core::ptr::null());
        io_destroy(context)?;
        taken?;
        let len = Errno::check(event.assume_init().res as isize)?;
        Ok(syscall3(WRITE, 1, buffer.as_ptr().expose_provenance(), len))
    }
}
