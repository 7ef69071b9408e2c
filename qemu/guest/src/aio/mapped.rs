//! Buffers that are a mapping of the very file that is read or written, and a
//! file that is only ever written at its end.

use core::ptr::with_exposed_provenance_mut;

use linux_aio::opcode::{PRead, PWrite};
use linux_aio::{Context, Errno, Iocb};

use super::{complete, result};
use crate::check::Check;
use crate::nr;
use crate::os;

/// A whole number of pages, whatever a page is.
const LENGTH: usize = 1 << 18;

/// What is transferred.
const SOME: usize = 512;

const MIPS: bool = cfg!(any(
    target_arch = "mips",
    target_arch = "mips32r6",
    target_arch = "mips64",
    target_arch = "mips64r6",
));

type One<'a> = &'a dyn Fn(Iocb) -> Result<usize, Errno>;

#[inline(never)]
pub(crate) fn run(check: &mut Check, context: &Context) {
    let one = |mut iocb: Iocb| {
        // SAFETY: buffers that live, in all of these.
        result(unsafe { complete(context, &mut iocb) })
    };
    if let Some(file) = check.needs("mapped file", os::memfd(c"mapped")) {
        let content = [0x6d; SOME];
        check.equal("mapped content", os::pwrite(file, &content, 0), Ok(SOME));
        let end = os::pwrite(file, b"end", LENGTH as u64 - 3);
        check.equal("mapped end", end, Ok(3));
        mapped(check, file, &one);
        let _ = os::close(file);
    }
    appended(check, &one);
}

/// Maps the file, does something with the address, and unmaps it again.
fn with<R>(file: i32, protection: u32, act: impl FnOnce(*mut u8) -> R) -> os::Result<R> {
    // SAFETY: a new mapping.
    let at = unsafe { os::mmap(0, LENGTH, protection, nr::MAP_SHARED, file, 0) }?;
    let answer = act(with_exposed_provenance_mut(at));
    // SAFETY: the mapping above; what was begun has ended.
    unsafe { os::munmap(at, LENGTH) }?;
    Ok(answer)
}

fn mapped(check: &mut Check, file: i32, one: One<'_>) {
    let write = |at: *mut u8| one(PWrite::new(file, at, SOME).build());
    let read = |at: *mut u8| one(PRead::new(file, at, SOME).build());
    let done = with(file, nr::PROT_READ_WRITE, |at| (write(at), read(at)));
    check.holds("mapped write and read", done == Ok((Ok(SOME), Ok(SOME))));
    // Nobody has touched the pages before the kernel does.
    let done = with(file, nr::PROT_READ_WRITE, |at| (read(at), write(at)));
    check.holds("mapped read and write", done == Ok((Ok(SOME), Ok(SOME))));
    let done = with(file, nr::PROT_READ, |at| (write(at), read(at)));
    let right = done == Ok((Ok(SOME), Err(Errno::FAULT)));
    check.holds("mapped for reading: written from, not read into", right);
    let done = with(file, nr::PROT_WRITE, read);
    check.holds("mapped for writing: read into", done == Ok(Ok(SOME)));
    // Whether such memory can be read is the machine's affair: as write(2)
    // finds it. On mips that is not known: there write(2) never ends.
    let name = "mapped for writing: written from as by write(2)";
    if MIPS {
        check.skip(name, "this kernel's write(2) never ends");
    } else {
        let done = with(file, nr::PROT_WRITE, |at| {
            let _ = os::seek(file, 0, nr::SEEK_SET);
            let plain = os::write_from(file, at.expose_provenance(), SOME);
            write(at) == plain
        });
        check.equal(name, done, Ok(true));
    }
    let mut content = [0; SOME];
    let got = os::pread(file, &mut content, 0);
    check.equal("mapped pread", got, Ok(SOME));
    check.holds("mapped content is the same", content == [0x6d; SOME]);
}

/// With O_APPEND the offset of a write does not count.
fn appended(check: &mut Check, one: One<'_>) {
    let Some(file) = check.needs("append file", os::memfd(c"append")) else {
        return;
    };
    let flags = os::set_status_flags(file, nr::O_APPEND);
    check.equal("append fcntl", flags, Ok(0));
    let mut bytes = [0; 16];
    let read = |bytes: &mut [u8]| one(PRead::new(file, bytes.as_mut_ptr(), 16).build());
    check.equal("append read of nothing", read(&mut bytes), Ok(0));
    for part in [b"1234", b"5678"] {
        let written = one(PWrite::new(file, part.as_ptr(), 4).build());
        check.equal("append write", written, Ok(4));
    }
    check.equal("append read", read(&mut bytes), Ok(8));
    check.equal("append what was written", &bytes[..8], b"12345678");
    let _ = os::close(file);
}
