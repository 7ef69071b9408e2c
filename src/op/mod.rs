//! Operations for the safe layers, with their buffers. ([`opcode`](crate::opcode) has
//! the operations for [`Context`](crate::Context), without buffers.)
//!
//! An operation has a descriptor, at most one buffer of type `B`, and user data of type
//! `T`, which is returned with the completion. The descriptor is borrowed for `'fd`
//! (`new`) or owned by the user data (`owned`): see [`fd`](crate::fd). Creating an
//! operation has no effect; [`Queue::push`](crate::Queue::push),
//! [`Scope::push`](crate::Scope::push) and
//! [`Reactor::push`](crate::reactor::Reactor::push) accept it.
//!
//! ```
//! use linux_aio::Fd;
//! use linux_aio::op::{Fsync, Read, Write};
//!
//! // SAFETY: standard input and standard output stay open.
//! let (from, to) = unsafe { (Fd::borrow_raw(0), Fd::borrow_raw(1)) };
//! let mut buffer = [0_u8; 512];
//! let read = Read::new(from, &mut buffer).offset(8192);
//! let write = Write::new(to, b"hello").offset(4096).data("the second write");
//! let sync = Fsync::new(to);
//! ```

#[macro_use]
mod example;
mod kind;

pub use kind::{AnyBuffer, AnyOperation, BufferKind, Operation, WithBuffer, WithoutBuffer};

use core::marker::PhantomData;
use core::mem::MaybeUninit;

use crate::buffer::{IoBuf, IoBufMut};
use crate::fd::{Fd, OwnsFd};
use crate::opcode::{PollMask, RawFd, read_or_write};
use crate::sys::abi::{
    IOCB_CMD_FDSYNC, IOCB_CMD_FSYNC, IOCB_CMD_POLL, IOCB_CMD_PREAD, IOCB_CMD_PREADV,
    IOCB_CMD_PWRITE, IOCB_CMD_PWRITEV, Iocb,
};

/// A read into a buffer, or into its segments (`pread(2)`, `preadv(2)`).
///
/// The result is the number of bytes read, which may be fewer than the buffer holds, and is
/// 0 at the end of the file.
///
/// A direct read (`O_DIRECT`) across the end of a file may write more of the buffer than
/// its result indicates.
///
/// # Blocking
/// Only direct reads of files are asynchronous. The kernel performs every other read
/// while it submits the operation, and blocks the submitting thread meanwhile: as long as
/// the disk takes if the data are not in the page cache, and **until data arrive** for a
/// pipe, a socket or a terminal. A signal ends the latter, even one without a handler:
/// the result is EINTR, and nothing was read.
///
/// For pipes and sockets, wait with a [`Poll`] first. A terminal cannot be polled: read it
/// on a thread of its own. With [`RwFlags::NOWAIT`](crate::abi::RwFlags::NOWAIT) (Linux
/// 4.14) a read that would block has the result EAGAIN. It is refused with EOPNOTSUPP if
/// the file does not support the flag: terminals (measured on Linux 6.18), and pipes on
/// older kernels.
///
/// [`guide::asynchronous`](crate::guide::asynchronous) has the differences between file
/// systems.
///
/// # Examples
/// ```
/// use linux_aio::op::Read;
/// use linux_aio::{Errno, Queue, Slot};
/// use std::fs::File;
///
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), Errno> {
/// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
/// let file = File::open("/proc/self/exe").unwrap();
/// let mut slots = Slot::<Vec<u8>, &str>::array::<4>();
/// let mut queue = Queue::new(&mut slots)?;
/// let read = Read::new(&file, vec![0; 16]).offset(16).data("the second 16 bytes");
/// queue.push(read).unwrap();
/// let done = queue.wait()?.unwrap();
/// assert_eq!((done.result, done.data), (Ok(16), "the second 16 bytes"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
#[doc(alias("aio_read", "LIO_READ"))]
pub struct Read<'fd, B, T = ()> {
    iocb: Iocb,
    buffer: B,
    data: T,
    fd: PhantomData<&'fd ()>,
}

impl<'fd, B: IoBufMut> Read<'fd, B> {
    /// Creates a read of at most as many bytes as fit into `buffer`, from the start of the
    /// file. `offset` sets another position.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::op::Read;
    /// use linux_aio::{Fd, Queue, Slot};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// # let file = std::fs::File::open("/dev/zero").unwrap();
    /// # // SAFETY: the file is open until the queue is dropped.
    /// # let file = unsafe { Fd::borrow_raw(std::os::fd::AsRawFd::as_raw_fd(&file)) };
    /// let memory: &'static mut [u8] = Box::leak(Box::new([7; 64]));
    /// let mut slots = Slot::<&'static mut [u8]>::array::<4>();
    /// let mut queue = Queue::new(&mut slots)?;
    /// queue.push(Read::new(file, memory)).unwrap();
    /// let done = queue.wait()?.unwrap();
    /// assert_eq!((done.result, done.buffer.unwrap()), (Ok(64), &mut [0; 64][..]));
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub fn new(fd: impl Into<Fd<'fd>>, buffer: B) -> Read<'fd, B> {
        Read {
            iocb: Iocb::new(read_opcode(&buffer), fd.into().into()),
            buffer,
            data: (),
            fd: PhantomData,
        }
    }
}

impl<B: IoBufMut, T: OwnsFd> Read<'static, B, T> {
    /// Creates a read from the descriptor of `owner`, which is stored in the operation as
    /// its user data, and returned with the completion. [`data`](Read::data) attaches further
    /// data, and so does a pair `(owner, data)`.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::Queue;
    /// use linux_aio::op::Read;
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut queue = Queue::<Vec<u8>, _>::with_capacity(4)?;
    /// let file = File::open("/proc/self/exe").unwrap();
    /// queue.push(Read::owned((file, "the program"), vec![0; 4])).unwrap();
    /// let (file, name) = queue.wait()?.unwrap().data;
    /// assert_eq!(name, "the program");
    /// # Ok(())
    /// # }
    /// ```
    pub fn owned(owner: T, buffer: B) -> Read<'static, B, T> {
        Read {
            iocb: Iocb::new(read_opcode(&buffer), RawFd(owner.raw_fd())),
            buffer,
            data: owner,
            fd: PhantomData,
        }
    }
}

impl<'fd, B> Read<'fd, B> {
    /// Attaches `data`, which is returned with the completion.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::Queue;
    /// use linux_aio::op::Read;
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let mut queue = Queue::<Vec<u8>, usize>::with_capacity(4)?;
    /// for block in 0..4 {
    ///     let read = Read::new(&file, vec![0; 16]).offset(block as u64 * 16);
    ///     queue.push(read.data(block)).unwrap();
    /// }
    /// while let Some(done) = queue.wait()? {
    ///     println!("block {}: {:?}", done.data, done.result);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn data<T>(self, data: T) -> Read<'fd, B, T> {
        Read {
            iocb: self.iocb,
            buffer: self.buffer,
            data,
            fd: self.fd,
        }
    }
}

impl<B, T: OwnsFd> Read<'static, B, T> {
    /// Attaches `data` to an operation that owns its descriptor. The completion returns the
    /// pair of the owner and `data`.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::Queue;
    /// use linux_aio::op::Read;
    /// use std::fs::File;
    /// use std::sync::Arc;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = Arc::new(File::open("/proc/self/exe").unwrap());
    /// let mut queue = Queue::<Vec<u8>, (Arc<File>, u32)>::with_capacity(4)?;
    /// queue.push(Read::owned(file, vec![0; 4]).data(42)).unwrap();
    /// let (file, number) = queue.wait()?.unwrap().data;
    /// assert_eq!(number, 42);
    /// # Ok(())
    /// # }
    /// ```
    pub fn data<D>(self, data: D) -> Read<'static, B, (T, D)> {
        Read {
            iocb: self.iocb,
            buffer: self.buffer,
            data: (self.data, data),
            fd: self.fd,
        }
    }
}

/// A write of a buffer, or of its segments (`pwrite(2)`, `pwritev(2)`).
///
/// The result is the number of bytes written, which may be fewer than the buffer holds.
///
/// # Blocking
/// Only direct writes to files (`O_DIRECT`) are asynchronous, and among these only the ones
/// within the file: a direct write that extends a file blocks on ext4 (measured on Linux
/// 6.18). The kernel performs every other write while it submits the operation, and blocks
/// the submitting thread meanwhile: see [`Read`](Read#blocking). Data that were written to
/// the page cache reach the disk later, or with an [`Fsync`].
///
/// # Examples
/// A write whose completion returns the file, in a queue without a lifetime:
/// ```
/// use linux_aio::op::Write;
/// use linux_aio::{Errno, Queue};
/// use std::{fs::File, sync::Arc};
///
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), Errno> {
/// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
/// let file = Arc::new(File::create("/dev/null").unwrap());
/// let mut queue = Queue::<'static, Vec<u8>, Arc<File>>::with_capacity(4)?;
/// queue.push(Write::owned(file, b"hello".to_vec())).unwrap();
/// let done = queue.wait()?.unwrap();
/// assert_eq!(done.result, Ok(5));
/// let file: Arc<File> = done.data;
/// # drop(file);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
#[doc(alias("aio_write", "LIO_WRITE"))]
pub struct Write<'fd, B, T = ()> {
    iocb: Iocb,
    buffer: B,
    data: T,
    fd: PhantomData<&'fd ()>,
}

impl<'fd, B: IoBuf> Write<'fd, B> {
    /// Creates a write of all of `buffer`, from the start of the file. `offset` sets another
    /// position.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::op::Write;
    /// use linux_aio::{Fd, Queue, Slot};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// # let file = std::fs::File::create("/dev/null").unwrap();
    /// # // SAFETY: the file is open until the queue is dropped.
    /// # let file = unsafe { Fd::borrow_raw(std::os::fd::AsRawFd::as_raw_fd(&file)) };
    /// let mut slots = Slot::<&'static str>::array::<4>();
    /// let mut queue = Queue::new(&mut slots)?;
    /// queue.push(Write::new(file, "hello")).unwrap();
    /// assert_eq!(queue.wait()?.unwrap().result, Ok(5));
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub fn new(fd: impl Into<Fd<'fd>>, buffer: B) -> Write<'fd, B> {
        Write {
            iocb: Iocb::new(write_opcode(&buffer), fd.into().into()),
            buffer,
            data: (),
            fd: PhantomData,
        }
    }
}

impl<B: IoBuf, T: OwnsFd> Write<'static, B, T> {
    /// Creates a write to the descriptor of `owner`, which is stored in the operation as
    /// its user data, and returned with the completion. [`data`](Write::data) attaches further
    /// data, and so does a pair `(owner, data)`.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::Queue;
    /// use linux_aio::op::Write;
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut queue = Queue::<&'static str, File>::with_capacity(4)?;
    /// let file = File::create("/dev/null").unwrap();
    /// queue.push(Write::owned(file, "hello")).unwrap();
    /// let file = queue.wait()?.unwrap().data;
    /// # Ok(())
    /// # }
    /// ```
    pub fn owned(owner: T, buffer: B) -> Write<'static, B, T> {
        Write {
            iocb: Iocb::new(write_opcode(&buffer), RawFd(owner.raw_fd())),
            buffer,
            data: owner,
            fd: PhantomData,
        }
    }
}

impl<'fd, B> Write<'fd, B> {
    /// Attaches `data`, which is returned with the completion.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::Queue;
    /// use linux_aio::op::Write;
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::create("/dev/null").unwrap();
    /// let mut queue = Queue::<&'static str, u32>::with_capacity(4)?;
    /// queue.push(Write::new(&file, "hello").data(42)).unwrap();
    /// assert_eq!(queue.wait()?.unwrap().data, 42);
    /// # Ok(())
    /// # }
    /// ```
    pub fn data<T>(self, data: T) -> Write<'fd, B, T> {
        Write {
            iocb: self.iocb,
            buffer: self.buffer,
            data,
            fd: self.fd,
        }
    }
}

impl<B, T: OwnsFd> Write<'static, B, T> {
    /// Attaches `data` to an operation that owns its descriptor. The completion returns the
    /// pair of the owner and `data`.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::Queue;
    /// use linux_aio::op::Write;
    /// use std::fs::File;
    /// use std::sync::Arc;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = Arc::new(File::create("/dev/null").unwrap());
    /// let mut queue = Queue::<Vec<u8>, (Arc<File>, u32)>::with_capacity(4)?;
    /// queue.push(Write::owned(file, vec![0; 4]).data(42)).unwrap();
    /// let (file, number) = queue.wait()?.unwrap().data;
    /// assert_eq!(number, 42);
    /// # Ok(())
    /// # }
    /// ```
    pub fn data<D>(self, data: D) -> Write<'static, B, (T, D)> {
        Write {
            iocb: self.iocb,
            buffer: self.buffer,
            data: (self.data, data),
            fd: self.fd,
        }
    }
}

#[inline]
fn read_opcode<B: IoBuf>(buffer: &B) -> u16 {
    if buffer.is_vectored() {
        IOCB_CMD_PREADV
    } else {
        IOCB_CMD_PREAD
    }
}

#[inline]
fn write_opcode<B: IoBuf>(buffer: &B) -> u16 {
    if buffer.is_vectored() {
        IOCB_CMD_PWRITEV
    } else {
        IOCB_CMD_PWRITE
    }
}

read_or_write! { example; Read['fd, B, T].iocb; Write['fd, B, T].iocb; }

/// Defines an operation without a buffer: its type, constructors and conversion to
/// [`Op`].
macro_rules! without_buffer {
    ($($(#[$doc:meta])* $name:ident($($mask:ident: $type:ty)?) = $opcode:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        #[must_use]
        pub struct $name<'fd, T = ()> {
            iocb: Iocb,
            data: T,
            fd: PhantomData<&'fd ()>,
        }

        impl<'fd> $name<'fd> {
            /// Creates the operation on a borrowed descriptor.
            ///
            #[doc = example!($name, new)]
            pub fn new(fd: impl Into<Fd<'fd>> $(, $mask: $type)?) -> $name<'fd> {
                #[allow(unused_mut, reason = "a poll's only")]
                let mut iocb = Iocb::new($opcode, fd.into().into());
                $(iocb.buf = $mask.bits().into();)?
                $name {
                    iocb,
                    data: (),
                    fd: PhantomData,
                }
            }

            /// Attaches `data`, which is returned with the completion.
            ///
            #[doc = example!($name, data)]
            pub fn data<T>(self, data: T) -> $name<'fd, T> {
                $name {
                    iocb: self.iocb,
                    data,
                    fd: self.fd,
                }
            }
        }

        impl<T: OwnsFd> $name<'static, T> {
            /// Creates the operation on the descriptor of `owner`, which is stored in
            /// the operation and returned with the completion.
            ///
            #[doc = example!($name, owned)]
            pub fn owned(owner: T $(, $mask: $type)?) -> $name<'static, T> {
                #[allow(unused_mut, reason = "a poll's only")]
                let mut iocb = Iocb::new($opcode, RawFd(owner.raw_fd()));
                $(iocb.buf = $mask.bits().into();)?
                $name {
                    iocb,
                    data: owner,
                    fd: PhantomData,
                }
            }

            /// Attaches `data` to an operation that owns its descriptor. The completion
            /// returns the pair of the owner and `data`.
            ///
            #[doc = example!($name, owned_data)]
            pub fn data<D>(self, data: D) -> $name<'static, (T, D)> {
                $name {
                    iocb: self.iocb,
                    data: (self.data, data),
                    fd: self.fd,
                }
            }
        }

        impl<'fd, B, T> From<$name<'fd, T>> for Op<'fd, B, T> {
            #[inline]
            fn from(op: $name<'fd, T>) -> Op<'fd, B, T> {
                Op {
                    iocb: op.iocb,
                    buffer: None,
                    data: op.data,
                    fd: PhantomData,
                }
            }
        }
    )+};
}

without_buffer! {
    /// A write of a file's cached data and metadata to the disk, as `fsync(2)` (Linux
    /// 4.18; EINVAL at submission before). A kernel thread performs it. The result is 0.
    ///
    /// It covers the writes that have completed before, not those in flight at the same
    /// time: wait for their completions first. A file that cannot be synced, such as a
    /// pipe, is refused with EINVAL.
    ///
    /// # Examples
    /// A file that is written and then synced:
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::Queue;
    /// use linux_aio::op::{Fsync, Write};
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// # if !linux_aio::Probe::new()?.supports(linux_aio::abi::IOCB_CMD_FSYNC) { return Ok(()) }
    /// # let path = std::env::temp_dir().join(format!("linux-aio-fsync-{}", std::process::id()));
    /// let file = File::create(&path).unwrap();
    /// let mut queue = Queue::<&'static str>::with_capacity(4)?;
    /// queue.push(Write::new(&file, "hello")).unwrap();
    /// // An fsync covers only writes that have completed before.
    /// assert_eq!(queue.wait()?.unwrap().result, Ok(5));
    /// queue.push(Fsync::new(&file)).unwrap();
    /// let synced = queue.wait()?.unwrap().result;
    /// # std::fs::remove_file(&path).unwrap();
    /// assert_eq!(synced, Ok(0));
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "aio_fsync")]
    Fsync() = IOCB_CMD_FSYNC;
    /// A write of a file's cached data to the disk, as `fdatasync(2)`: an [`Fsync`] without
    /// metadata that is not needed to read the data (Linux 4.18).
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::op::Fdsync;
    /// use linux_aio::{ScopeSlot, scope};
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// # if !linux_aio::Probe::new()?.supports(linux_aio::abi::IOCB_CMD_FSYNC) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let synced = scope(&mut ScopeSlot::array::<1>(), |s| {
    ///     s.push(Fdsync::new(&file)).unwrap().wait().result
    /// })?;
    /// assert_eq!(synced, Ok(0));
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "aio_fsync")]
    Fdsync() = IOCB_CMD_FDSYNC;
    /// A one-shot wait until a descriptor is ready for any of `mask`, as `poll(2)`
    /// (Linux 4.19; EINVAL at submission before, and in gVisor). The result is the mask of
    /// the events that occurred ([`PollMask::from_result`]), or 0 if the poll was
    /// cancelled.
    ///
    /// A file with two wait queues, such as a terminal, is refused with EINVAL, unless it is
    /// ready at once. So is a file that is always ready, such as a regular one, for other
    /// events than `IN` and `OUT`.
    ///
    /// It is the only operation that may never complete, and the only one that can be
    /// cancelled in flight (apart from transfers of some USB gadget drivers).
    ///
    /// # Examples
    /// A read from a socket that does not block the submission:
    /// ```
    /// use linux_aio::opcode::PollMask;
    /// use linux_aio::op::{Poll, Read};
    /// use linux_aio::{Errno, Queue};
    /// use std::{io::Write, os::unix::net::UnixStream};
    ///
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), Errno> {
    /// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
    /// let (socket, mut peer) = UnixStream::pair().unwrap();
    /// let mut queue = Queue::<Vec<u8>>::with_capacity(4)?;
    /// queue.push(Poll::new(&socket, PollMask::IN)).unwrap();
    /// queue.flush();
    /// peer.write_all(b"hello").unwrap();
    /// let polled = queue.wait()?.unwrap();
    /// # // A kernel before 4.19, and gVisor, refuse it.
    /// # if polled.refused { return Ok(()) }
    /// assert!(PollMask::from_result(polled.result?).contains(PollMask::IN));
    /// queue.push(Read::new(&socket, vec![0; 64])).unwrap();
    /// assert_eq!(queue.wait()?.unwrap().result, Ok(5));
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "io_prep_poll")]
    Poll(mask: PollMask) = IOCB_CMD_POLL;
}

/// Implements the setter that every operation has: the eventfd.
macro_rules! resfd {
    ($($name:ident $(<$buffer:ident>)?)+) => {$(
        impl<'fd, $($buffer,)? T> $name<'fd, $($buffer,)? T> {
            /// Signals this eventfd when the operation has completed (its counter is
            /// incremented by one). An operation that the kernel refuses signals nothing. At
            /// submission a descriptor that is not an eventfd is refused with EINVAL, and one
            /// that is not open with EBADF.
            ///
            /// # Examples
            /// ```
            /// # #[cfg(not(all(feature = "std", target_os = "linux")))] fn main() {}
            /// # #[cfg(all(feature = "std", target_os = "linux"))] fn main() -> Result<(), linux_aio::Errno> {
            /// use linux_aio::Queue;
            #[doc = concat!(example!(use $name), "use std::fs::File;")]
            /// use std::io::Read as _;
            ///
            /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
            /// # // SAFETY: eventfd(2) accesses no memory.
            /// # let eventfd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
            /// # assert!(eventfd >= 0);
            /// # // SAFETY: the descriptor is new, and nothing else owns it.
            /// # let eventfd = unsafe { <File as std::os::fd::FromRawFd>::from_raw_fd(eventfd) };
            #[doc = concat!("# let writes = \"", stringify!($name), "\" == \"Write\";")]
            /// # let path = if writes { "/dev/null" } else { "/proc/self/exe" };
            /// # let file = File::options().read(true).write(writes).open(path).unwrap();
            /// // `file` and `eventfd` are open.
            /// let mut queue = Queue::<Vec<u8>>::with_capacity(4)?;
            #[doc = concat!("let operation = ", example!($name, "new(&file"), ";")]
            /// queue.push(operation.eventfd(&eventfd)).unwrap();
            /// queue.flush();
            /// # if queue.in_flight() == 0 { return Ok(()) }
            /// // Returns when the operation has completed.
            /// let mut count = [0; 8];
            /// (&eventfd).read_exact(&mut count).unwrap();
            /// assert_eq!(u64::from_ne_bytes(count), 1);
            /// # Ok(())
            /// # }
            /// ```
            #[doc(alias("aio_sigevent", "sigevent", "io_set_eventfd"))]
            pub fn eventfd(mut self, eventfd: impl Into<Fd<'fd>>) -> Self {
                self.iocb.signal(eventfd.into().into());
                self
            }
        }
    )+};
}

resfd!(Read<B> Write<B> Fsync Fdsync Poll Op<B>);

/// Implements `Clone` and `Copy`, only for operations without data: the clone of an
/// owner may own a different descriptor from the one whose number is in the iocb.
macro_rules! copies {
    ($($name:ident),+; $($with_buffer:ident),+) => {
        $(
            impl Clone for $name<'_> {
                fn clone(&self) -> Self {
                    *self
                }
            }

            impl Copy for $name<'_> {}
        )+

        $(
            impl<B: Clone> Clone for $with_buffer<'_, B> {
                fn clone(&self) -> Self {
                    $with_buffer {
                        buffer: self.buffer.clone(),
                        data: (),
                        ..*self
                    }
                }
            }

            impl<B: Copy> Copy for $with_buffer<'_, B> {}
        )+
    };
}

/// An operation of any type, with its buffer if it has one, and the user data.
///
/// `From` converts the other types of this module. [`Full`](crate::Full) contains an
/// operation of this type.
///
/// # Examples
/// ```
/// use linux_aio::Fd;
/// use linux_aio::op::{Fsync, Op, Write};
///
/// // SAFETY: standard output stays open.
/// let stdout = unsafe { Fd::borrow_raw(1) };
/// let operations: [Op<'_, &[u8]>; 2] = [
///     Write::new(stdout, &b"hello"[..]).into(),
///     Fsync::new(stdout).into(),
/// ];
/// let [write, sync] = operations;
/// assert_eq!(write.into_buffer(), Some(&b"hello"[..]));
/// assert_eq!(sync.into_buffer(), None);
/// ```
#[derive(Debug)]
#[must_use]
#[doc(alias = "aiocb")]
pub struct Op<'fd, B, T = ()> {
    iocb: Iocb,
    buffer: Option<B>,
    data: T,
    fd: PhantomData<&'fd ()>,
}

copies! { Fsync, Fdsync, Poll; Read, Write, Op }

impl<'fd, B> Op<'fd, B> {
    /// Attaches `data`, which is returned with the completion.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::Fd;
    /// use linux_aio::op::{Fsync, Op};
    ///
    /// // SAFETY: standard output stays open.
    /// let stdout = unsafe { Fd::borrow_raw(1) };
    /// let sync: Op<'_, &[u8]> = Fsync::new(stdout).into();
    /// let (buffer, data) = sync.data("standard output").into_parts();
    /// assert_eq!((buffer, data), (None, "standard output"));
    /// ```
    pub fn data<T>(self, data: T) -> Op<'fd, B, T> {
        Op {
            iocb: self.iocb,
            buffer: self.buffer,
            data,
            fd: self.fd,
        }
    }
}

impl<B, T: OwnsFd> Op<'static, B, T> {
    /// Attaches `data` to an operation that owns its descriptor. The completion returns the
    /// pair of the owner and `data`.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use linux_aio::op::{Fsync, Op};
    /// use std::fs::File;
    ///
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let sync: Op<'_, &[u8], File> = Fsync::owned(file).into();
    /// let (buffer, (file, name)) = sync.data("the program").into_parts();
    /// assert_eq!((buffer, name), (None, "the program"));
    /// # }
    /// ```
    pub fn data<D>(self, data: D) -> Op<'static, B, (T, D)> {
        Op {
            iocb: self.iocb,
            buffer: self.buffer,
            data: (self.data, data),
            fd: self.fd,
        }
    }
}

impl<'fd, B, T> Op<'fd, B, T> {
    /// Returns the buffer, if there is one, of an operation that is not to be submitted.
    /// The user data are dropped.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::Fd;
    /// use linux_aio::op::{Op, Write};
    ///
    /// // SAFETY: standard output stays open.
    /// let stdout = unsafe { Fd::borrow_raw(1) };
    /// let write = Op::from(Write::new(stdout, "hello"));
    /// assert_eq!(write.into_buffer(), Some("hello"));
    /// ```
    pub fn into_buffer(self) -> Option<B> {
        let Op { buffer, data, .. } = self;
        // Dropping `data` runs user code, while the buffer is a local variable: a panic
        // would leak a return value (rust-lang/rust#47949).
        drop(data);
        buffer
    }

    /// Returns the buffer, if there is one, and the user data of an operation that is not
    /// to be submitted.
    ///
    /// # Examples
    /// The buffer of an operation that found no free slot:
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::Queue;
    /// use linux_aio::op::Write;
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::create("/dev/null").unwrap();
    /// let mut queue = Queue::<&'static str, u32>::with_capacity(1)?;
    /// queue.push(Write::new(&file, "first").data(1)).unwrap();
    /// let full = queue.push(Write::new(&file, "second").data(2)).unwrap_err();
    /// assert_eq!(full.0.into_parts(), (Some("second"), 2));
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_parts(self) -> (Option<B>, T) {
        (self.buffer, self.data)
    }

    pub(crate) fn parts(&mut self) -> (&Iocb, Option<&mut B>) {
        (&self.iocb, self.buffer.as_mut())
    }
}

/// Returns the memory that this operation uses.
#[inline]
pub(crate) fn region_for<B: IoBuf>(buffer: &mut B, iocb: &Iocb) -> (*mut u8, usize) {
    if B::GROWS && iocb.is_read() {
        buffer.region_mut()
    } else {
        buffer.region()
    }
}

impl<B, T> Op<'_, B, T> {
    /// Returns the operation's iocb, without the address of the buffer.
    pub(crate) fn iocb(&self) -> &Iocb {
        &self.iocb
    }

    /// Returns the operation that [`prepare`](Op::prepare) took apart, with the iocb that
    /// it had before.
    ///
    /// # Safety
    /// The iocb and the payload are those of one operation, whose descriptor outlives the
    /// result.
    #[cold]
    pub(crate) unsafe fn restore(iocb: Iocb, payload: MaybeUninit<(Option<B>, T)>) -> Self {
        // SAFETY: the caller promises that `prepare` made the payload, which initialises
        // it.
        let (buffer, data) = unsafe { payload.assume_init() };
        Op {
            iocb,
            buffer,
            data,
            fd: PhantomData,
        }
    }
}

impl<B: IoBuf, T> Op<'_, B, T> {
    /// Returns the iocb and the payload. From here on the payload is moved as plain
    /// bytes, so that the kernel's pointer to the buffer stays valid.
    #[inline]
    pub(crate) fn prepare(self) -> (Iocb, MaybeUninit<(Option<B>, T)>) {
        let Op {
            mut iocb,
            buffer,
            data,
            ..
        } = self;
        let mut payload = MaybeUninit::new((buffer, data));
        // SAFETY: `MaybeUninit::new` has just initialized the payload.
        if let (Some(buffer), _) = unsafe { payload.assume_init_mut() } {
            // `region` is user code: if it panics, the payload is leaked.
            let (start, len) = region_for(buffer, &iocb);
            // The provenance is exposed because the kernel reconstructs the pointer
            // from a number.
            iocb.buf = start.expose_provenance() as u64;
            iocb.nbytes = len as u64;
        }
        (iocb, payload)
    }
}

impl<'fd, B: IoBufMut, T> From<Read<'fd, B, T>> for Op<'fd, B, T> {
    #[inline]
    fn from(read: Read<'fd, B, T>) -> Op<'fd, B, T> {
        Op {
            iocb: read.iocb,
            buffer: Some(read.buffer),
            data: read.data,
            fd: read.fd,
        }
    }
}

impl<'fd, B: IoBuf, T> From<Write<'fd, B, T>> for Op<'fd, B, T> {
    #[inline]
    fn from(write: Write<'fd, B, T>) -> Op<'fd, B, T> {
        Op {
            iocb: write.iocb,
            buffer: Some(write.buffer),
            data: write.data,
            fd: write.fd,
        }
    }
}
