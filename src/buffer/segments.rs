//! [`IoSlice`] and [`IoSliceMut`]: the borrowed segments of a vectored operation.
//!
//! Both have the layout of the kernel's `struct iovec`, so a slice of them is the array
//! that the system call takes. The borrow is kept by a `PhantomData`.

use core::marker::PhantomData;

use super::{IoBuf, IoBufMut};
use crate::sys::abi::IoVec;

/// A segment of a vectored read: a `&mut [u8]` with the layout of an `iovec`.
///
/// # Examples
/// ```
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
/// use linux_aio::buffer::IoSliceMut;
/// use linux_aio::op::Read;
/// use linux_aio::{ScopeSlot, scope};
/// use std::fs::File;
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// let file = File::open("/proc/self/exe").unwrap();
/// let (mut magic, mut rest) = ([0; 4], [0; 60]);
/// let mut segments = [IoSliceMut::new(&mut magic), IoSliceMut::new(&mut rest)];
/// let read = scope(&mut ScopeSlot::array::<1>(), |s| {
///     s.push(Read::new(&file, &mut segments[..])).unwrap().wait().result
/// })?;
/// assert_eq!((read, &magic), (Ok(64), b"\x7fELF"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[repr(transparent)]
pub struct IoSliceMut<'a> {
    segment: IoVec,
    bytes: PhantomData<&'a mut [u8]>,
}

// SAFETY: the value is a `&mut [u8]` in another layout, and `&mut [u8]` is `Send`.
unsafe impl Send for IoSliceMut<'_> {}
// SAFETY: the value is a `&mut [u8]` in another layout, and `&mut [u8]` is `Sync`.
unsafe impl Sync for IoSliceMut<'_> {}

impl<'a> IoSliceMut<'a> {
    /// Creates a segment from these bytes.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::buffer::IoSliceMut;
    ///
    /// let mut bytes = [0; 4];
    /// let mut segment = IoSliceMut::new(&mut bytes);
    /// segment[0] = 7;
    /// assert_eq!(bytes[0], 7);
    /// ```
    pub const fn new(bytes: &'a mut [u8]) -> IoSliceMut<'a> {
        IoSliceMut {
            segment: IoVec {
                base: bytes.as_mut_ptr().cast(),
                len: bytes.len(),
            },
            bytes: PhantomData,
        }
    }
}

impl core::ops::Deref for IoSliceMut<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: address and length are those of a `&mut [u8]` that is borrowed for
        // `'a`.
        unsafe { core::slice::from_raw_parts(self.segment.base.cast(), self.segment.len) }
    }
}

impl core::ops::DerefMut for IoSliceMut<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: address and length are those of a `&mut [u8]` that is borrowed for
        // `'a`, and `self` is exclusively borrowed.
        unsafe { core::slice::from_raw_parts_mut(self.segment.base.cast(), self.segment.len) }
    }
}

/// A segment of a vectored write: a `&[u8]` with the layout of an `iovec`.
///
/// # Examples
/// ```
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
/// use linux_aio::buffer::IoSlice;
/// use linux_aio::op::Write;
/// use linux_aio::{ScopeSlot, scope};
/// use std::fs::File;
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// let file = File::create("/dev/null").unwrap();
/// let segments = [IoSlice::new(b"hello, "), IoSlice::new(b"world")];
/// let written = scope(&mut ScopeSlot::array::<1>(), |s| {
///     s.push(Write::new(&file, &segments[..])).unwrap().wait().result
/// })?;
/// assert_eq!(written, Ok(12));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct IoSlice<'a> {
    segment: IoVec,
    bytes: PhantomData<&'a [u8]>,
}

// SAFETY: the value is a `&[u8]` in another layout, and `&[u8]` is `Send`.
unsafe impl Send for IoSlice<'_> {}
// SAFETY: the value is a `&[u8]` in another layout, and `&[u8]` is `Sync`.
unsafe impl Sync for IoSlice<'_> {}

impl<'a> IoSlice<'a> {
    /// Creates a segment from these bytes.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::buffer::IoSlice;
    ///
    /// let segment = IoSlice::new(b"hello");
    /// assert_eq!(&segment[..], b"hello");
    /// ```
    pub const fn new(bytes: &'a [u8]) -> IoSlice<'a> {
        IoSlice {
            segment: IoVec {
                base: bytes.as_ptr().cast_mut().cast(),
                len: bytes.len(),
            },
            bytes: PhantomData,
        }
    }
}

impl core::ops::Deref for IoSlice<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: address and length are those of a `&[u8]` that is borrowed for `'a`.
        unsafe { core::slice::from_raw_parts(self.segment.base.cast(), self.segment.len) }
    }
}

// SAFETY: the segments are `&mut [u8]`s. They and their array are exclusively borrowed
// for `'a`, and do not move when the reference does.
unsafe impl<'a> IoBuf for &'a mut [IoSliceMut<'a>] {
    const VECTORED: bool = true;

    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_mut_ptr().cast(), self.len())
    }
}
// SAFETY: the segments are writable and exclusively borrowed, and every byte is a valid
// `u8`.
unsafe impl<'a> IoBufMut for &'a mut [IoSliceMut<'a>] {}

// SAFETY: the segments are `&[u8]`s. They and their array are borrowed for `'a`, so no
// code writes them and they do not move.
unsafe impl<'a> IoBuf for &'a [IoSlice<'a>] {
    const VECTORED: bool = true;

    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_ptr().cast_mut().cast(), self.len())
    }
}
