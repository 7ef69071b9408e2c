//! Checks that errors are distinguished from values, and that error numbers are those
//! of the target. On architectures with an error flag beside the result register (mips,
//! powerpc, sparc), both states of the flag are covered.

use linux_aio::Errno;
use linux_aio::direct_io::Alignment;
use linux_raw_sys::errno as k;

use crate::check::Check;
use crate::{nr, os};

pub(crate) fn run(check: &mut Check) {
    refused(check);
    own_numbers(check);
    constants(check);
    large_values(check);
}

fn refused(check: &mut Check) {
    check.equal("error EBADF", os::close(-1), Err(Errno::BADF));
    let direct = Alignment::of(os::NO_FILE).map(|_| 0);
    check.equal("error EBADF of statx", direct, Err(Errno::BADF));
    let lacking = os::open(nr::AT_FDCWD, c"/no such/file", 0, 0);
    check.equal("error ENOENT", lacking, Err(Errno::NOENT));
    let root = os::open(nr::AT_FDCWD, c"/", nr::O_WRONLY, 0);
    check.equal("error EISDIR", root, Err(Errno::ISDIR));
    check.equal("error EINVAL", os::dup3(1, 1, 0), Err(Errno::INVAL));
    let missing = os::kill(0x7fff_fff0, 0);
    check.equal("error ESRCH", missing, Err(Errno::SRCH));

    let Some([reader, writer]) = check.needs("error pipe", os::pipe(nr::O_NONBLOCK)) else {
        return;
    };
    let below = os::open(reader, c"file", 0, 0);
    check.equal("error ENOTDIR", below, Err(Errno::NOTDIR));
    let position = os::seek(reader, 0, nr::SEEK_SET);
    check.equal("error ESPIPE", position, Err(Errno::SPIPE));
    let mut byte = [0];
    check.equal(
        "error EAGAIN",
        os::read(reader, &mut byte),
        Err(Errno::AGAIN),
    );
    check.equal(
        "error EBADF of a direction",
        os::write(reader, b"x"),
        Err(Errno::BADF),
    );
    check.equal(
        "error EFAULT",
        os::write_from_nowhere(writer),
        Err(Errno::FAULT),
    );
    // A value right after an error.
    check.equal("error then a value", os::write(writer, b"xyz"), Ok(3));
    check.equal(
        "error ENOTSOCK",
        os::getsockname(reader),
        Err(Errno::NOTSOCK),
    );
    for end in [reader, writer] {
        let _ = os::close(end);
    }
}

/// Checks errors whose numbers differ between architectures, as the kernel returns
/// them.
fn own_numbers(check: &mut Check) {
    check.equal("error ENOSYS", os::no_call(), Err(Errno::NOSYS));
    let time = os::futex_wait(1_000_000);
    check.equal("error ETIMEDOUT", time, Err(Errno::TIMEDOUT));
    let long = [b'a'; 300];
    let mut name = [0; 301];
    name[..300].copy_from_slice(&long);
    if let Ok(name) = core::ffi::CStr::from_bytes_with_nul(&name) {
        let open = os::open(nr::AT_FDCWD, name, 0, 0);
        check.equal("error ENAMETOOLONG", open, Err(Errno::NAMETOOLONG));
    }
}

/// Compares the library's constants with those of linux-raw-sys.
fn constants(check: &mut Check) {
    const EXPECTED: &[(&str, Errno, u32)] = &[
        ("errno EPERM", Errno::PERM, k::EPERM),
        ("errno EINTR", Errno::INTR, k::EINTR),
        ("errno EIO", Errno::IO, k::EIO),
        ("errno EAGAIN", Errno::AGAIN, k::EAGAIN),
        ("errno ENOMEM", Errno::NOMEM, k::ENOMEM),
        ("errno EINVAL", Errno::INVAL, k::EINVAL),
        ("errno ENOSPC", Errno::NOSPC, k::ENOSPC),
        ("errno ENOSYS", Errno::NOSYS, k::ENOSYS),
        ("errno EINPROGRESS", Errno::INPROGRESS, k::EINPROGRESS),
        ("errno EOPNOTSUPP", Errno::OPNOTSUPP, k::EOPNOTSUPP),
        ("errno ETIMEDOUT", Errno::TIMEDOUT, k::ETIMEDOUT),
        ("errno EOVERFLOW", Errno::OVERFLOW, k::EOVERFLOW),
        ("errno ECANCELED", Errno::CANCELED, k::ECANCELED),
    ];
    for &(name, errno, expected) in EXPECTED {
        check.equal(name, errno.raw_os_error() as u32, expected);
    }
}

/// Checks values whose sign bit is set, up to the last one that is no error. A persona
/// is any 32-bit number, and setting one returns the previous one.
fn large_values(check: &mut Check) {
    const ASK: usize = 0xffff_ffff;
    let before = match os::personality(ASK) {
        Ok(before) if before as u32 & 0xff == 0 => before as u32,
        _ => {
            check.skip("values like errors", "personality(2) is refused or unusual");
            return;
        }
    };
    const PERSONAS: &[(&str, u32)] = &[
        ("value 0x80000000 is no error", 0x8000_0000),
        ("value 0xfffef000 is no error", 0xfffe_f000),
        ("value -4096 is no error", 0xffff_f000),
    ];
    for &(name, persona) in PERSONAS {
        if let Err(Errno::PERM | Errno::NOSYS) = os::personality(persona as usize) {
            check.skip(name, "personality(2) is refused");
            continue;
        }
        let value = os::personality(before as usize);
        // QEMU on a 64-bit machine extends the sign, a kernel does not.
        let value = value.map(|value| value as u32);
        check.equal(name, value, Ok(persona));
    }
}
