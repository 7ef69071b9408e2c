//! [`IocbFields`]: an operation that is not in a slot yet.

use crate::sys::abi::{Iocb, IocbFlags, RwFlags};

/// The fields of an iocb that an operation sets. All others are set by the engine or are
/// always zero. They are in the order of the iocb, so that neighbours are copied together.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct IocbFields {
    opcode: u16,
    reqprio: i16,
    fildes: u32,
    buf: u64,
    nbytes: u64,
    offset: i64,
    flags: IocbFlags,
    resfd: u32,
    rw_flags: RwFlags,
}

impl IocbFields {
    #[inline(always)]
    pub(crate) fn of(iocb: &Iocb) -> IocbFields {
        IocbFields {
            opcode: iocb.opcode,
            reqprio: iocb.reqprio,
            fildes: iocb.fildes,
            buf: iocb.buf,
            nbytes: iocb.nbytes,
            offset: iocb.offset,
            flags: iocb.flags,
            resfd: iocb.resfd,
            rw_flags: iocb.rw_flags,
        }
    }

    /// Sets these fields of an iocb.
    #[inline(always)]
    pub(super) fn put(&self, iocb: &mut Iocb) {
        iocb.opcode = self.opcode;
        iocb.reqprio = self.reqprio;
        iocb.fildes = self.fildes;
        iocb.buf = self.buf;
        iocb.nbytes = self.nbytes;
        iocb.offset = self.offset;
        iocb.flags = self.flags;
        iocb.resfd = self.resfd;
        iocb.rw_flags = self.rw_flags;
    }
}
