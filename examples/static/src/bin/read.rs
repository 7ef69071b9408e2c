//! `read FILE`: reads the start of a file by AIO, and writes it to standard output.
#![no_std]
#![no_main]

use core::ffi::CStr;
use core::fmt::Write;

use linux_aio::rt::{Process, Stderr, Stdout, write_all};
use linux_aio::{Errno, ScopeSlot, scope};
use rustix::fs::OFlags;
use static_programs::file::File;

linux_aio::entry!(main);

fn main(process: Process) -> i32 {
    let Some(path) = process.args().nth(1) else {
        let _ = writeln!(Stderr, "which FILE?");
        return 2;
    };
    match read(path) {
        Ok(()) => 0,
        Err(errno) => {
            let _ = writeln!(Stderr, "{path:?}: {errno}");
            1
        }
    }
}

fn read(path: &CStr) -> Result<(), Errno> {
    let file = File::open(path, OFlags::RDONLY)?;
    let mut buffer = [0; 64];
    let length = scope(&mut ScopeSlot::array::<1>(), |s| {
        let read = s
            .read(&file, &mut buffer[..], 0)
            .map_err(|_| Errno::AGAIN)?;
        read.wait().result
    })??;
    write_all(Stdout, buffer.get(..length).unwrap_or_default())
}
