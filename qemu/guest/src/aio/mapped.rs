//! Checks buffers that are a mapping of the same file that is read or written, and a
//! file that is written only at its end.

use core::ptr::with_exposed_provenance_mut;
use core::slice;

use linux_aio::abi::RwFlags;
use linux_aio::opcode::{Pread, Pwrite};
use linux_aio::{Context, Errno, Iocb};

use super::{complete, result};
use crate::check::Check;
use crate::nr;
use crate::os;

/// A whole number of pages, for every page size.
const LENGTH: usize = 1 << 18;

/// The size in bytes of a transfer.
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
        // SAFETY: in all of these the buffer lives until the operation has completed.
        result(unsafe { complete(context, &mut iocb) })
    };
    let [by_aio, plain] = [c"mapped", c"plain"].map(os::memfd);
    if let Some((by_aio, plain)) = check.needs("mapped files", pair(by_aio, plain)) {
        mapped(check, by_aio, plain, &one);
        let _ = os::close(by_aio);
        let _ = os::close(plain);
    }
    appended(check, &one);
}

fn pair(one: os::Result<i32>, other: os::Result<i32>) -> os::Result<(i32, i32)> {
    Ok((one?, other?))
}

/// Maps the file, calls `act` with the address, and unmaps it again.
fn with<R>(file: i32, protection: u32, act: impl FnOnce(*mut u8) -> R) -> os::Result<R> {
    // SAFETY: a new mapping at an address that the kernel chooses.
    let at = unsafe { os::mmap(0, LENGTH, protection, nr::MAP_SHARED, file, 0) }?;
    let answer = act(with_exposed_provenance_mut(at));
    // SAFETY: the mapping was made above, and the operations on it have completed.
    unsafe { os::munmap(at, LENGTH) }?;
    Ok(answer)
}

/// A transfer between a file and memory, the two arguments.
type Transfer<'a> = &'a dyn Fn(i32, *mut u8) -> os::Result<usize>;

/// The results of transfers between a file and its mappings.
struct Seen {
    write_read: os::Result<[os::Result<usize>; 2]>,
    read_write: os::Result<[os::Result<usize>; 2]>,
    for_reading: os::Result<[os::Result<usize>; 2]>,
    for_writing: os::Result<os::Result<usize>>,
    content: [u8; SOME],
}

fn see(check: &mut Check, file: i32, write: Transfer<'_>, read: Transfer<'_>) -> Seen {
    let content = [0x6d; SOME];
    check.equal("mapped content", os::pwrite(file, &content, 0), Ok(SOME));
    let end = os::pwrite(file, b"end", LENGTH as u64 - 3);
    check.equal("mapped end", end, Ok(3));
    let both = nr::PROT_READ_WRITE;
    let mut seen = Seen {
        write_read: with(file, both, |at| [write(file, at), read(file, at)]),
        // The kernel is the first to access these pages.
        read_write: with(file, both, |at| [read(file, at), write(file, at)]),
        for_reading: with(file, nr::PROT_READ, |at| [write(file, at), read(file, at)]),
        for_writing: with(file, nr::PROT_WRITE, |at| read(file, at)),
        content: [0; SOME],
    };
    let got = os::pread(file, &mut seen.content, 0);
    check.equal("mapped pread", got, Ok(SOME));
    seen
}

fn mapped(check: &mut Check, file: i32, other: i32, one: One<'_>) {
    let write = |file, at: *mut u8| one(Pwrite::new(file, at, SOME).build());
    let read = |file, at: *mut u8| one(Pread::new(file, at, SOME).build());
    let seen = see(check, file, &write, &read);
    let both = Ok([Ok(SOME), Ok(SOME)]);
    check.holds("mapped write and read", seen.write_read == both);
    check.holds("mapped read and write", seen.read_write == both);
    let right = seen.for_reading == Ok([Ok(SOME), Err(Errno::FAULT)]);
    check.holds("mapped for reading: written from, not read into", right);
    check.holds(
        "mapped for writing: read into",
        seen.for_writing == Ok(Ok(SOME)),
    );
    // The content may differ from the one written first. The kernel of a 32-bit powerpc
    // clears a cache line before it copies to it. Where the source is the same memory,
    // it then copies the cleared bytes.
    let plain = see(
        check,
        other,
        // SAFETY: `at` is the beginning of the mapping, which is longer than `SOME`
        // bytes.
        &|file, at| os::pwrite(file, unsafe { slice::from_raw_parts(at, SOME) }, 0),
        // SAFETY: `at` is the beginning of the mapping, which is longer than `SOME`
        // bytes; no other reference to it is alive.
        &|file, at| os::pread(file, unsafe { slice::from_raw_parts_mut(at, SOME) }, 0),
    );
    let name = "mapped content is what pread(2) and pwrite(2) leave";
    check.holds(name, seen.content == plain.content);
    // The machine decides if such memory can be read, so the result is compared with
    // that of write(2). On mips that is not possible: there write(2) never ends.
    let name = "mapped for writing: written from as by write(2)";
    if MIPS {
        check.skip(name, "this kernel's write(2) never ends");
    } else {
        let done = with(file, nr::PROT_WRITE, |at| {
            let _ = os::seek(file, 0, nr::SEEK_SET);
            let plain = os::write_from(file, at.expose_provenance(), SOME);
            write(file, at) == plain
        });
        check.equal(name, done, Ok(true));
    }
}

/// Checks that with O_APPEND the offset of a write is ignored.
fn appended(check: &mut Check, one: One<'_>) {
    let Some(file) = check.needs("append file", os::memfd(c"append")) else {
        return;
    };
    let flags = os::set_status_flags(file, nr::O_APPEND);
    check.equal("append fcntl", flags, Ok(0));
    let mut bytes = [0; 16];
    let read = |bytes: &mut [u8]| one(Pread::new(file, bytes.as_mut_ptr(), 16).build());
    check.equal("append read of nothing", read(&mut bytes), Ok(0));
    for part in [b"1234", b"5678"] {
        let written = one(Pwrite::new(file, part.as_ptr(), 4).build());
        check.equal("append write", written, Ok(4));
    }
    check.equal("append read", read(&mut bytes), Ok(8));
    check.equal("append what was written", &bytes[..8], b"12345678");
    let over = Pwrite::new(file, b"ab".as_ptr(), 2).rw_flags(RwFlags::NOAPPEND);
    match one(over.build()) {
        Err(Errno::OPNOTSUPP) => check.skip("append RWF_NOAPPEND", "this kernel lacks it"),
        written => {
            check.equal("append RWF_NOAPPEND", written, Ok(2));
            check.equal("append read again", read(&mut bytes), Ok(8));
            check.equal("append what is at the offset", &bytes[..8], b"ab345678");
        }
    }
    let _ = os::close(file);
}
