//! Sets up a context, reads the start of standard input by AIO, destroys the
//! context, and writes out what it read: `smallest < FILE`.
#![no_std]
#![no_main]

use linux_aio::opcode::Pread;
use linux_aio::rt::{Process, Stdout, write_all};
use linux_aio::{Context, Errno, Event};

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
    let context = Context::new(1)?;
    let mut read = Pread::new(fd, buffer.as_mut_ptr(), buffer.len()).build();
    // SAFETY: `destroy` waits for the read, and the buffer is accessed only after it.
    unsafe { context.submit(&mut [&mut read]) }?;
    let mut event = [Event::EMPTY];
    let taken = context
        .wait(1, &mut event)
        .map(|events| events.first().copied());
    context.destroy()?;
    let len = taken?.map_or(Ok(0), |event| event.result())?;
    write_all(Stdout, buffer.get(..len).unwrap_or_default())
}
