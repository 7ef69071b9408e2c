//! [`RawBuf`] and [`RawVectored`]: memory that the compiler knows nothing of, such as the
//! memory of a guest or a mapping that processes share.

#[cfg(feature = "alloc")]
use alloc::boxed::Box;
use core::marker::PhantomData;

use super::{IoBuf, IoBufMut};
#[cfg(feature = "alloc")]
use crate::sys::abi::IoVec;

/// Memory at an address. `'m` limits how long the value is used.
///
/// It is for memory to which no reference can exist, because code outside the program may
/// change it at any time: a virtual machine's memory, or a mapping that processes share.
/// Any number of these may refer to the same memory.
///
/// # Examples
/// ```
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
/// use linux_aio::Queue;
/// use linux_aio::buffer::RawBuf;
/// use linux_aio::op::Read;
/// use std::fs::File;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU8, Ordering};
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// // It stands for memory that another process or a virtual machine changes.
/// let shared: Arc<[AtomicU8]> = (0..64).map(|_| AtomicU8::new(0)).collect();
/// // SAFETY: the share in the buffer keeps the memory allocated, and all accesses to it are
/// // atomic.
/// let buffer = unsafe { RawBuf::new(shared.as_ptr().cast_mut().cast(), shared.len()) };
///
/// let file = File::open("/proc/self/exe").unwrap();
/// let mut queue = Queue::<(RawBuf<'_>, Arc<[AtomicU8]>)>::with_capacity(4)?;
/// queue.push(Read::new(&file, (buffer, shared.clone()))).unwrap();
/// assert_eq!(queue.wait()?.unwrap().result, Ok(64));
/// assert_eq!(shared[1].load(Ordering::Relaxed), b'E');
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RawBuf<'m> {
    start: *mut u8,
    len: usize,
    memory: PhantomData<&'m ()>,
}

// SAFETY: `RawBuf::new` requires memory that every thread of the process may use.
unsafe impl Send for RawBuf<'_> {}
// SAFETY: `&RawBuf` gives the address and the length only.
unsafe impl Sync for RawBuf<'_> {}

impl<'m> RawBuf<'m> {
    /// Creates a buffer of `len` bytes at `start`.
    ///
    /// # Safety
    /// In every thread of the process:
    ///
    /// - the memory is mapped until the value is dropped, or for ever if it is leaked (with
    ///   a leaked queue, for example): readable, and writable if an operation reads into
    ///   it. The tuple `(RawBuf, Arc<Mapping>)` is a buffer that keeps its mapping;
    /// - while an operation on it has not completed, the program accesses it only by
    ///   means that tolerate a change at any time (volatile or atomic accesses, other
    ///   system calls). No reference to it exists, and no `Box` or `Vec` of it is used,
    ///   except of atomics and other `UnsafeCell`s, and except shared references during
    ///   operations that only write it to a file.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::buffer::RawBuf;
    /// use std::sync::atomic::AtomicU8;
    ///
    /// static SHARED: [AtomicU8; 512] = [const { AtomicU8::new(0) }; 512];
    ///
    /// // SAFETY: the memory exists as long as the program, and all accesses to it are atomic.
    /// let buffer = unsafe { RawBuf::<'static>::new(SHARED.as_ptr().cast_mut().cast(), SHARED.len()) };
    /// assert_eq!(buffer.len(), 512);
    /// ```
    pub const unsafe fn new(start: *mut u8, len: usize) -> RawBuf<'m> {
        RawBuf {
            start,
            len,
            memory: PhantomData,
        }
    }

    /// Returns the address.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::buffer::RawBuf;
    ///
    /// let mut memory = [0_u8; 512];
    /// let start = memory.as_mut_ptr();
    /// // SAFETY: the buffer is dropped before the memory, and no operation uses it.
    /// let buffer = unsafe { RawBuf::new(start, memory.len()) };
    /// assert_eq!(buffer.as_ptr(), start);
    /// ```
    pub const fn as_ptr(&self) -> *mut u8 {
        self.start
    }

    /// Returns the length in bytes.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::buffer::RawBuf;
    ///
    /// let mut memory = [0_u8; 512];
    /// // SAFETY: the buffer is dropped before the memory, and no operation uses it.
    /// let buffer = unsafe { RawBuf::new(memory.as_mut_ptr(), memory.len()) };
    /// assert_eq!(buffer.len(), 512);
    /// ```
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are no bytes.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::buffer::RawBuf;
    ///
    /// // SAFETY: there is no memory.
    /// let nothing = unsafe { RawBuf::new(core::ptr::null_mut(), 0) };
    /// assert!(nothing.is_empty());
    /// ```
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

// SAFETY: `RawBuf::new` requires memory that stays mapped for `'m`, wherever the value is
// moved, and that is not accessed in conflict with an operation.
unsafe impl IoBuf for RawBuf<'_> {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.start, self.len)
    }
}
// SAFETY: `RawBuf::new` requires that the memory may be written if it is read into, and
// that no reference to it exists meanwhile.
unsafe impl IoBufMut for RawBuf<'_> {}

/// Several pieces of memory at addresses, as the segments of one vectored operation: see
/// [`RawBuf`].
///
/// # Examples
/// A read into two places of memory that is shared:
/// ```
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
/// use linux_aio::Queue;
/// use linux_aio::abi::IoVec;
/// use linux_aio::buffer::RawVectored;
/// use linux_aio::op::Read;
/// use std::fs::File;
/// use std::sync::atomic::{AtomicU8, Ordering};
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// static SHARED: [AtomicU8; 64] = [const { AtomicU8::new(0) }; 64];
///
/// let segments = [&SHARED[..1], &SHARED[32..]].map(|part| IoVec {
///     base: part.as_ptr().cast_mut().cast(),
///     len: part.len(),
/// });
/// // SAFETY: the memory exists as long as the program, and all accesses to it are atomic.
/// let buffer = unsafe { RawVectored::<'static>::new(segments) };
///
/// let file = File::open("/proc/self/exe").unwrap();
/// let mut queue = Queue::<RawVectored<'_>>::with_capacity(4)?;
/// queue.push(Read::new(&file, buffer)).unwrap();
/// assert_eq!(queue.wait()?.unwrap().result, Ok(33));
/// assert_eq!(SHARED[32].load(Ordering::Relaxed), b'E');
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "alloc")]
#[derive(Debug)]
pub struct RawVectored<'m> {
    segments: Box<[IoVec]>,
    memory: PhantomData<&'m ()>,
}

#[cfg(feature = "alloc")]
// SAFETY: `RawVectored::new` requires memory that every thread of the process may use.
unsafe impl Send for RawVectored<'_> {}
#[cfg(feature = "alloc")]
// SAFETY: `&RawVectored` gives addresses and lengths only.
unsafe impl Sync for RawVectored<'_> {}

#[cfg(feature = "alloc")]
impl<'m> RawVectored<'m> {
    /// Creates a vectored buffer. The kernel accepts at most 1024 segments (EINVAL).
    ///
    /// # Safety
    /// As [`RawBuf::new`], for the memory of each segment.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::abi::IoVec;
    /// use linux_aio::buffer::RawVectored;
    ///
    /// // The segments of a descriptor chain, of which the number is not known before.
    /// let segments: Vec<IoVec> = Vec::new();
    /// // SAFETY: there is no memory.
    /// let buffer = unsafe { RawVectored::new(segments) };
    /// ```
    pub unsafe fn new(segments: impl Into<Box<[IoVec]>>) -> RawVectored<'m> {
        RawVectored {
            segments: segments.into(),
            memory: PhantomData,
        }
    }

    /// Returns the segments.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::abi::IoVec;
    /// use linux_aio::buffer::RawVectored;
    ///
    /// let mut memory = [0_u8; 512];
    /// let segment = IoVec { base: memory.as_mut_ptr().cast(), len: memory.len() };
    /// // SAFETY: the buffer is dropped before the memory, and no operation uses it.
    /// let buffer = unsafe { RawVectored::new([segment]) };
    /// assert_eq!(buffer.segments()[0].len, 512);
    /// ```
    pub fn segments(&self) -> &[IoVec] {
        &self.segments
    }
}

#[cfg(feature = "alloc")]
// SAFETY: the array is on the heap and owned. `RawVectored::new` requires memory that
// stays mapped for `'m` and that is not accessed in conflict with an operation.
unsafe impl IoBuf for RawVectored<'_> {
    const VECTORED: bool = true;

    fn region(&mut self) -> (*mut u8, usize) {
        (self.segments.as_mut_ptr().cast(), self.segments.len())
    }
}
#[cfg(feature = "alloc")]
// SAFETY: `RawVectored::new` requires that the memory may be written if it is read into,
// and that no reference to it exists meanwhile.
unsafe impl IoBufMut for RawVectored<'_> {}
