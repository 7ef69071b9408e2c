//! Tests of the conclusions from the errors, with a model of the order in which kernels
//! of different versions check an operation.

#[path = "since.rs"]
mod since;

use super::*;
use crate::sys::abi::IocbFlags;
use since::SINCE;

/// The order in which the kernel checks an operation on `/dev/null`, open for
/// reading, in each version. Source: `fs/aio.c`, `kiocb_set_rw_flags` in
/// `include/linux/fs.h`, `ioprio_check_cap`.
#[derive(Clone, Copy)]
enum Kernel {
    Linux(u32, u32),
    /// A kernel without block devices.
    Blockless(u32, u32),
    GVisor,
    /// A filter that returns this result for every io_submit.
    Filter(Result<(), Errno>),
}

use Kernel::{Blockless, Filter, GVisor, Linux};

/// `/dev/null`, open for reading, and a file that is open for writing.
const FILE: i32 = 3;
const WRITABLE: i32 = 4;

impl Submit for Kernel {
    fn submit(&mut self, iocb: Iocb) -> Result<(), Errno> {
        let is_poll = iocb.opcode == IOCB_CMD_POLL;
        assert!(is_poll || iocb.buf == 0, "it refers to memory");
        assert!([0, TOO_MANY.into()].contains(&iocb.nbytes));
        let is_open = [FILE, WRITABLE].contains(&(iocb.fildes as i32));
        let (version, has_blocks) = match *self {
            Linux(a, b) => ((a, b), true),
            Blockless(a, b) => ((a, b), false),
            GVisor if !is_open => return Err(Errno::BADF),
            GVisor if is_poll => return Err(Errno::INVAL),
            GVisor => return Ok(()),
            Filter(result) => return result,
        };
        if version < (4, 13) && !iocb.rw_flags.is_empty() {
            return Err(Errno::INVAL);
        }
        let since = match iocb.opcode {
            IOCB_CMD_PREAD | IOCB_CMD_PWRITE | IOCB_CMD_PREADV | IOCB_CMD_PWRITEV => (2, 6),
            IOCB_CMD_FSYNC | IOCB_CMD_FDSYNC => (4, 18),
            IOCB_CMD_POLL => (4, 19),
            _ => (u32::MAX, 0),
        };
        let opcode = if version < since {
            Err(Errno::INVAL)
        } else {
            Ok(())
        };
        let file = if is_open { Ok(()) } else { Err(Errno::BADF) };
        if ((4, 18)..(5, 1)).contains(&version) {
            opcode?;
        }
        file?;
        if version < (4, 18) {
            // The flags are checked before the opcode.
            set_rw_flags(version, iocb.rw_flags)?;
        }
        opcode?;
        match iocb.opcode {
            IOCB_CMD_FSYNC | IOCB_CMD_FDSYNC => return Err(Errno::INVAL),
            // Before 5.1 only files with a poll method are polled.
            IOCB_CMD_POLL if version < (5, 1) => return Err(Errno::INVAL),
            IOCB_CMD_POLL => return Ok(()),
            _ => {}
        }
        if version >= (4, 18) && iocb.flags.contains(IocbFlags::IOPRIO) {
            if !has_blocks {
                return Err(Errno::NOTBLK);
            }
            if !(0..4).contains(&(iocb.reqprio as u16 >> 13)) {
                return Err(Errno::INVAL);
            }
        }
        set_rw_flags(version, iocb.rw_flags)?;
        if iocb.fildes == FILE as u32 {
            return Err(Errno::BADF);
        }
        assert_eq!(iocb.nbytes, TOO_MANY.into(), "it is written to");
        Err(Errno::INVAL)
    }
}

fn flags_of(version: (u32, u32)) -> RwFlags {
    let has = SINCE.iter().filter(|(_, since)| version >= *since);
    has.map(|(flag, _)| *flag).collect()
}

/// `/dev/null` accepts none of the flags that depend on the file. (Newer ones accept
/// NOWAIT.)
fn set_rw_flags(version: (u32, u32), flags: RwFlags) -> Result<(), Errno> {
    if !flags_of(version).contains(flags) {
        return Err(Errno::OPNOTSUPP);
    }
    if flags.contains(RwFlags::APPEND | RwFlags::NOAPPEND) {
        return Err(Errno::INVAL);
    }
    if DEPENDENT.iter().any(|&flag| flags.contains(flag)) {
        return Err(Errno::OPNOTSUPP);
    }
    Ok(())
}

const TRANSFERS: u16 =
    1 << IOCB_CMD_PREAD | 1 << IOCB_CMD_PWRITE | 1 << IOCB_CMD_PREADV | 1 << IOCB_CMD_PWRITEV;
const SYNCS: u16 = 1 << IOCB_CMD_FSYNC | 1 << IOCB_CMD_FDSYNC;
const POLL: u16 = 1 << IOCB_CMD_POLL;

#[test]
fn every_kernel_has_what_its_version_has() {
    for (version, opcodes, priority) in [
        ((3, 16), TRANSFERS, false),
        ((4, 12), TRANSFERS, false),
        ((4, 13), TRANSFERS, false),
        ((4, 16), TRANSFERS, false),
        ((4, 17), TRANSFERS, false),
        ((4, 18), TRANSFERS | SYNCS, true),
        ((4, 19), TRANSFERS | SYNCS | POLL, true),
        ((5, 0), TRANSFERS | SYNCS | POLL, true),
        ((5, 1), TRANSFERS | SYNCS | POLL, true),
        ((6, 1), TRANSFERS | SYNCS | POLL, true),
        ((6, 9), TRANSFERS | SYNCS | POLL, true),
        ((6, 11), TRANSFERS | SYNCS | POLL, true),
        ((7, 2), TRANSFERS | SYNCS | POLL, true),
    ] {
        let mut kernel = Linux(version.0, version.1);
        for accepts_fsync in [true, false] {
            let found = kernel.opcodes(FILE, accepts_fsync);
            assert_eq!(found, Ok((opcodes, priority)), "{version:?}");
        }
        let flags = kernel.rw_flags(FILE);
        assert_eq!(flags, Ok(flags_of(version)), "{version:?}");
    }
}

#[test]
fn nowait_is_not_confirmed_by_the_two_versions_before_append() {
    let flags = Linux(4, 15).rw_flags(FILE);
    assert_eq!(flags, Ok(RwFlags::HIPRI | RwFlags::DSYNC | RwFlags::SYNC));
}

#[test]
fn without_block_devices_there_is_fsync_and_no_priority() {
    for mut kernel in [Blockless(4, 18), Blockless(5, 1), Blockless(7, 2)] {
        let (opcodes, priority) = kernel.opcodes(FILE, true).unwrap();
        assert_eq!((opcodes & SYNCS, priority), (SYNCS, false));
    }
}

/// Flags and priorities that are ignored are not reported.
#[test]
fn gvisor_accepts_what_it_ignores() {
    let found = GVisor.opcodes(FILE, true);
    assert_eq!(found, Ok((TRANSFERS | SYNCS, false)));
    let found = GVisor.opcodes(FILE, false);
    assert_eq!(found, Ok((TRANSFERS, false)), "a directory is not synced");
    assert_eq!(GVisor.rw_flags(FILE), Ok(RwFlags::empty()));
    assert_eq!(GVisor.file_flags(RwFlags::SYNC, FILE), Ok(RwFlags::empty()));
}

#[test]
fn a_file_accepts_the_flags_of_the_kernel_that_do_not_depend_on_it() {
    let flags = flags_of((7, 2));
    let mut kernel = Linux(7, 2);
    let dependent: RwFlags = DEPENDENT.into_iter().collect();
    for fd in [FILE, WRITABLE] {
        let accepted = kernel.file_flags(flags, fd);
        assert_eq!(accepted, Ok(flags.difference(dependent)));
    }
    assert_eq!(kernel.file_flags(flags, NO_FILE), Err(Errno::BADF));
    assert_eq!(Linux(4, 18).file_flags(flags, NO_FILE), Err(Errno::BADF));
}

/// A result that does not depend on the operation confirms nothing.
#[test]
fn no_filter_is_taken_for_support() {
    for number in 1..=133 {
        let errno = Errno::from_raw_os_error(number).unwrap();
        let mut filter = Filter(Err(errno));
        match filter.opcodes(FILE, true) {
            Ok(found) => assert_eq!((found, errno), ((0, false), Errno::INVAL)),
            Err(error) => assert_eq!(error, errno),
        }
        let flags = filter.rw_flags(FILE);
        assert!(flags.map_or(true, |flags| flags.is_empty()), "{errno}");
        let flags = filter.file_flags(flags_of((7, 2)), FILE);
        assert!(flags.map_or(true, |flags| flags.is_empty()), "{errno}");
    }
}
