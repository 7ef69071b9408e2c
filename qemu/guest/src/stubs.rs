//! Checks the stubs of every arity. The results of the system calls prove that each
//! argument arrived in the register where the kernel expects it. (The order of all six
//! as raw numbers is verified by an independent log: see `aio::raw`.)

use core::slice;

use linux_aio::rt::Process;
use linux_aio::{Errno, SigSet};

use crate::check::Check;
use crate::{nr, os};

const AT_PAGESZ: usize = 6;

/// Support for offsets over 4 GiB. The stubs cannot pass them where a register holds 64
/// bits but a pointer, and so an argument of the stubs, only 32 (x32).
const WIDE_OFFSETS: bool = cfg!(target_pointer_width = "64") || nr::MMAP_SHIFT != 0;

/// An offset beyond 4 GiB whose halves differ. With its halves swapped it would be no
/// valid file offset.
const FAR: u64 = 0x3_9876_5000;

pub(crate) fn run(check: &mut Check, process: Process) {
    none(check);
    one(check);
    two(check);
    three(check);
    four(check);
    if let Some(file) = check.needs("stub 2 memfd_create", os::memfd(c"guest")) {
        five(check, file);
        six(check, file);
        if WIDE_OFFSETS {
            offsets(check, file);
        } else {
            check.skip("stub offsets over 4 GiB", "wider than the stubs' arguments");
        }
        memory(check, file, process.aux(AT_PAGESZ).unwrap_or(4096));
        let _ = os::close(file);
    }
}

fn none(check: &mut Check) {
    // The program has one thread: three system calls return the same number.
    let pid = os::getpid();
    check.holds("stub 0 getpid", pid.is_ok_and(|pid| pid > 0));
    check.equal("stub 0 gettid", os::gettid(), pid);
    check.equal("stub 1 set_tid_address", os::set_tid_address(), pid);
}

fn one(check: &mut Check) {
    let before = os::umask(0o153);
    check.equal("stub 1 umask", os::umask(0o026), Ok(0o153));
    let before = before.unwrap_or(0o022);
    check.equal("stub 1 umask again", os::umask(before), Ok(0o026));

    // dup(2) returns the lowest free number, so the same one twice.
    let first = os::dup(1);
    let closed = first.and_then(os::close);
    check.equal("stub 1 close", closed, Ok(0));
    let second = os::dup(1);
    check.holds("stub 1 dup", first.is_ok() && first == second);
    let closed = second.and_then(os::close);
    check.equal("stub 1 close of a dup", closed, Ok(0));
}

fn two(check: &mut Check) {
    let alive = os::getpid().and_then(|pid| os::kill(pid, 0));
    check.equal("stub 2 kill", alive, Ok(0));
    for (name, flags, want) in [
        ("stub 2 pipe2", 0, 0),
        ("stub 2 pipe2 with a flag", nr::O_CLOEXEC, nr::FD_CLOEXEC),
    ] {
        let Some(ends) = check.needs(name, os::pipe(flags)) else {
            return;
        };
        for end in ends {
            check.equal("stub 2 fcntl", os::descriptor_flags(end), Ok(want));
            let _ = os::close(end);
        }
    }
}

fn three(check: &mut Check) {
    const SENT: &[u8] = b"three arguments";
    let Some([reader, writer]) = check.needs("stub 2 pipe2 for three", os::pipe(0)) else {
        return;
    };
    check.equal("stub 3 write", os::write(writer, SENT), Ok(SENT.len()));
    let mut got = [0; 32];
    // Fewer bytes than available, so that the length counts.
    let read = got.get_mut(..6).map(|part| os::read(reader, part));
    check.equal("stub 3 read", read, Some(Ok(6)));
    let rest = got.get_mut(6..).map(|part| os::read(reader, part));
    check.equal("stub 3 read the rest", rest, Some(Ok(SENT.len() - 6)));
    check.equal("stub 3 what was read", got.get(..SENT.len()), Some(SENT));

    let high = os::dup3(reader, 200, nr::O_CLOEXEC);
    check.equal("stub 3 dup3", high, Ok(200));
    let flags = os::descriptor_flags(200);
    check.equal("stub 3 dup3's flag", flags, Ok(nr::FD_CLOEXEC));
    for end in [200, reader, writer] {
        let _ = os::close(end);
    }
}

fn four(check: &mut Check) {
    // Signals in both halves of the mask.
    let mask = SigSet::empty().with(nr::SIGUSR1).with(35).with(60);
    let before = os::signal_mask(&mask);
    let Some(before) = check.needs("stub 4 rt_sigprocmask", before) else {
        return;
    };
    let seen = os::signal_mask(&before);
    check.holds("stub 4 rt_sigprocmask's old mask", seen == Ok(mask));

    // A file without a name: descriptor, name, flags and mode all count.
    let directory = os::open(nr::AT_FDCWD, c"/tmp", 0, 0).unwrap_or(nr::AT_FDCWD);
    let umask = os::umask(0);
    let file = os::open(directory, c".", nr::O_TMPFILE | nr::O_RDWR, 0o641);
    let _ = umask.and_then(os::umask);
    match file {
        Ok(file) => {
            check.equal("stub 4 openat", os::write(file, b"12345"), Ok(5));
            let stat = os::stat(file);
            let mode = stat.as_ref().map(|stat| stat.mode);
            check.equal("stub 4 openat's mode", mode.ok(), Some(0o100_641));
            let _ = os::close(file);
        }
        // Read-only and old file systems.
        Err(_) => check.skip("stub 4 openat", "no file without a name here"),
    }
    let _ = os::close(directory);
}

fn five(check: &mut Check, file: i32) {
    let written = os::write(file, b"0123456789");
    check.equal("stub 3 write to a file", written, Ok(10));
    let stat = os::stat(file);
    if let Some(stat) = check.needs("stub 5 statx", stat) {
        check.equal("stub 5 statx's size", stat.size, 10);
        check.equal(
            "stub 5 statx's mask",
            stat.mask & 0x7ff,
            nr::STATX_BASIC_STATS,
        );
        // A regular file that its owner may read and write.
        check.equal("stub 5 statx's mode", stat.mode & 0o170_600, 0o100_600);
    }
    let mut got = [0; 4];
    let read = os::preadv(file, &mut got, 3);
    check.equal("stub 5 preadv", read, Ok(4));
    check.equal("stub 5 what preadv read", &got[..], b"3456");
    check.equal("stub 5 pwritev", os::pwritev(file, b"ab", 8), Ok(2));
    let read = os::preadv(file, &mut got, 6);
    check.equal("stub 5 preadv again", read, Ok(4));
    check.equal("stub 5 what pwritev wrote", &got[..], b"67ab");
}

fn six(check: &mut Check, file: i32) {
    let Some(other) = check.needs("stub 2 memfd_create again", os::memfd(c"other")) else {
        return;
    };
    // Old kernels do not copy between files in memory.
    let (mut from, mut to) = (2, 5);
    match os::copy_file_range(file, &mut from, other, &mut to, 3, 0) {
        Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            check.skip("stub 6 copy_file_range", "not between files in memory");
        }
        copied => {
            check.equal("stub 6 copy_file_range", copied, Ok(3));
            check.equal("stub 6 the offset read", from, 5);
            check.equal("stub 6 the offset written", to, 8);
            let mut got = [0xff; 8];
            let _ = os::preadv(other, &mut got, 0);
            let want: &[u8] = &[0, 0, 0, 0, 0, b'2', b'3', b'4'];
            check.equal("stub 6 what was copied", &got[..], want);
            // The sixth argument must be zero.
            let refused = os::copy_file_range(file, &mut from, other, &mut to, 3, 1 << 20);
            check.equal("stub 6 a flag refused", refused, Err(Errno::INVAL));
        }
    }
    let _ = os::close(other);
}

/// Checks offsets over 4 GiB, which each 32-bit ABI splits differently. Data written by
/// one system call is read by another that splits the offset in another way.
fn offsets(check: &mut Check, file: i32) {
    let mut got = [0; 6];
    let written = os::pwrite(file, b"far to", FAR);
    check.equal("stub offset pwrite64", written, Ok(6));
    let set = os::seek(file, FAR as i64, nr::SEEK_SET);
    check.equal("stub offset seek", set, Ok(FAR));
    check.equal("stub offset read there", os::read(file, &mut got), Ok(6));
    check.equal("stub offset what pwrite64 wrote", &got[..], b"far to");

    check.equal(
        "stub offset write there",
        os::write(file, b"farther"),
        Ok(7),
    );
    let read = os::pread(file, &mut got, FAR + 7);
    check.equal("stub offset pread64", read, Ok(6));
    check.equal("stub offset what was written", &got[..], b"arther");
    let end = os::seek(file, -3, nr::SEEK_END);
    check.equal("stub offset seek from the end", end, Ok(FAR + 10));

    if cfg!(target_arch = "sparc") && !os::is_first_process() {
        check.skip(
            "stub offset of vectors",
            "QEMU's sparc32plus drops the high half",
        );
        return;
    }
    let written = os::pwritev(file, b"vector", FAR + 20);
    check.equal("stub offset pwritev", written, Ok(6));
    let read = os::pread(file, &mut got, FAR + 20);
    check.equal("stub offset read of a vector", read, Ok(6));
    check.equal("stub offset what pwritev wrote", &got[..], b"vector");
    let read = os::preadv(file, &mut got, FAR + 1);
    check.equal("stub offset preadv", read, Ok(6));
    check.equal("stub offset what preadv read", &got[..], b"ar tof");
}

/// Checks mmap and mremap: the kernel must receive the address, the length, the
/// protection, the flags, the file and the offset.
fn memory(check: &mut Check, file: i32, page: usize) {
    // Where caches are indexed by virtual address, the address of a shared page must
    // equal its file offset modulo this size (the kernel's SHMLBA, which is at most
    // this).
    const COLOURS: usize = 0x4_0000;
    // A reserved address range that no other mapping can take.
    // SAFETY: a new mapping at an address that the kernel chooses.
    let hole = unsafe {
        let flags = nr::MAP_PRIVATE | nr::MAP_ANONYMOUS;
        os::mmap(0, 4 * COLOURS, 0, flags, -1, 0)
    };
    let Some(hole) = check.needs("stub 6 mmap", hole) else {
        return;
    };
    check.equal("stub 6 mmap's alignment", hole & (page - 1), 0);

    // `FAR` rounded down to a page, plus one page, for every page size.
    let offset = if WIDE_OFFSETS { FAR } else { 0x9876_5000 };
    let offset = (offset & !(page as u64 - 1)) + page as u64;
    let written = if WIDE_OFFSETS {
        os::pwrite(file, b"mapped", offset + 8)
    } else {
        os::seek(file, (offset + 8) as i64, nr::SEEK_SET).and_then(|_| os::write(file, b"mapped"))
    };
    check.equal("stub 6 what mmap shall show", written, Ok(6));

    let at = hole + COLOURS + ((offset as usize).wrapping_sub(hole) & (COLOURS - 1));
    // SAFETY: the page lies within `hole`, which this function has reserved and in
    // which nothing is stored.
    let mapped = unsafe {
        let flags = nr::MAP_SHARED | nr::MAP_FIXED;
        os::mmap(at, page, nr::PROT_READ_WRITE, flags, file, offset)
    };
    check.equal("stub 6 mmap of a file", mapped, Ok(at));
    if mapped == Ok(at) {
        check.equal(
            "stub 6 what mmap shows",
            contents(at),
            b"\0\0\0\0\0\0\0\0mapped",
        );
        let byte = core::ptr::with_exposed_provenance_mut::<u8>(at + 8);
        // SAFETY: the page is mapped by this function, writable, and no reference to it
        // is alive.
        unsafe { byte.write_volatile(b'M') };

        let to = at + COLOURS;
        // SAFETY: both pages lie within `hole`, and no reference to them is alive.
        let moved = unsafe { os::mremap(at, page, to) };
        check.equal("stub 5 mremap", moved, Ok(to));
        if moved == Ok(to) {
            let moved = contents(to);
            check.equal("stub 5 what mremap moved", moved, b"\0\0\0\0\0\0\0\0Mapped");
        }
    }
    // The mapping is shared, so a read of the file returns the byte.
    let mut got = [0; 6];
    let read = if WIDE_OFFSETS {
        os::pread(file, &mut got, offset + 8)
    } else {
        os::seek(file, (offset + 8) as i64, nr::SEEK_SET).and_then(|_| os::read(file, &mut got))
    };
    check.equal("stub 6 read what was mapped", read, Ok(6));
    check.equal("stub 6 what the file holds", &got[..], b"Mapped");

    // The mapping of a file needs a descriptor: the fifth argument.
    // SAFETY: the kernel refuses the call and maps nothing.
    let refused = unsafe { os::mmap(0, page, nr::PROT_READ, nr::MAP_SHARED, -1, 0) };
    check.equal("stub 6 mmap of no file", refused, Err(Errno::BADF));
    // SAFETY: nothing uses the pages any more.
    check.equal(
        "stub 2 munmap",
        unsafe { os::munmap(hole, 4 * COLOURS) },
        Ok(0),
    );
}

/// Returns the first bytes of a page.
fn contents<'a>(address: usize) -> &'a [u8] {
    let start = core::ptr::with_exposed_provenance::<u8>(address);
    // SAFETY: the caller has just mapped a page at `address`, and writes to it only
    // after the comparison.
    unsafe { slice::from_raw_parts(start, 14) }
}
