//! [`IocbFields`]: an operation that is not in a slot yet.

use core::mem::offset_of;
use core::ptr::copy_nonoverlapping;

use crate::opcode::RawFd;
use crate::sys::abi::{Iocb, IocbFlags};

/// The fields of an iocb that an operation sets. All others are set by the engine or are
/// always zero.
///
/// They are in three parts, which are laid out as in the iocb: each is copied at once.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct IocbFields {
    head: Head,
    transfer: Transfer,
    signal: Signal,
}

/// The fields of the iocb from `key` and `rw_flags` on.
#[derive(Clone, Copy)]
#[repr(C)]
struct Head {
    /// `rw_flags` in the upper half and `key` in the lower one, in both byte orders.
    flags_and_key: u64,
    opcode: u16,
    reqprio: i16,
    fildes: u32,
}

/// The fields of the iocb from `buf` on.
#[derive(Clone, Copy)]
#[repr(C)]
struct Transfer {
    buf: u64,
    nbytes: u64,
    offset: i64,
}

/// The fields of the iocb from `flags` on.
#[derive(Clone, Copy)]
#[repr(C)]
struct Signal {
    flags: IocbFlags,
    resfd: u32,
}

/// The offset in an iocb of the field `data`'s end, which `Head` begins at.
const HEAD: usize = offset_of!(Iocb, data) + size_of::<u64>();

const _: () = {
    assert!(offset_of!(Iocb, opcode) == HEAD + offset_of!(Head, opcode));
    assert!(offset_of!(Iocb, reqprio) == HEAD + offset_of!(Head, reqprio));
    assert!(offset_of!(Iocb, fildes) == HEAD + offset_of!(Head, fildes));
    assert!(size_of::<Head>() == 16);
    const TRANSFER: usize = offset_of!(Iocb, buf);
    assert!(HEAD + size_of::<Head>() == TRANSFER);
    assert!(offset_of!(Iocb, nbytes) == TRANSFER + offset_of!(Transfer, nbytes));
    assert!(offset_of!(Iocb, offset) == TRANSFER + offset_of!(Transfer, offset));
    assert!(size_of::<Transfer>() == 24);
    assert!(offset_of!(Iocb, resfd) == offset_of!(Iocb, flags) + offset_of!(Signal, resfd));
    assert!(offset_of!(Iocb, resfd) + size_of::<u32>() == size_of::<Iocb>());
    assert!(size_of::<Signal>() == 8);
};

impl IocbFields {
    #[inline(always)]
    pub(crate) fn of(iocb: &Iocb) -> IocbFields {
        IocbFields {
            head: Head {
                flags_and_key: u64::from(iocb.rw_flags.bits()) << 32,
                opcode: iocb.opcode,
                reqprio: iocb.reqprio,
                fildes: iocb.fildes,
            },
            transfer: Transfer {
                buf: iocb.buf,
                nbytes: iocb.nbytes,
                offset: iocb.offset,
            },
            signal: Signal {
                flags: iocb.flags,
                resfd: iocb.resfd,
            },
        }
    }

    /// Returns the eventfd of the operation, if any.
    pub(crate) fn signals(&self) -> Option<RawFd> {
        let signals = self.signal.flags.contains(IocbFlags::RESFD);
        signals.then_some(RawFd(self.signal.resfd as i32))
    }

    /// Sets the eventfd of the operation.
    pub(crate) fn signal(&mut self, RawFd(eventfd): RawFd) {
        self.signal.flags |= IocbFlags::RESFD;
        self.signal.resfd = eventfd as u32;
    }

    /// Sets these fields of an iocb.
    #[inline(always)]
    pub(super) fn put(&self, iocb: &mut Iocb) {
        let iocb = core::ptr::from_mut(iocb).cast::<u8>();
        // SAFETY: the assertions above show that each part has the size and the fields of the
        // iocb from this offset on, and so ends within the iocb, which is exclusively
        // borrowed. The fields are integers, for which all bits are valid.
        unsafe {
            copy_nonoverlapping(&raw const self.head, iocb.add(HEAD).cast(), 1);
            let transfer = iocb.add(offset_of!(Iocb, buf)).cast();
            copy_nonoverlapping(&raw const self.transfer, transfer, 1);
            let signal = iocb.add(offset_of!(Iocb, flags)).cast();
            copy_nonoverlapping(&raw const self.signal, signal, 1);
        }
    }
}
