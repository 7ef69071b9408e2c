//! The types that a safe operation can use as its buffer.
//!
//! An operation takes its buffer by value and returns it with the completion. Until
//! then the kernel accesses the memory, which must neither move nor be reached in
//! another way. [`IoBuf`] is the promise for memory that the kernel reads, [`IoBufMut`]
//! for memory that it writes.

mod aligned;
#[cfg(feature = "alloc")]
mod aligned_box;
#[cfg(feature = "alloc")]
mod aligned_buf;
#[cfg(feature = "alloc")]
mod append;
#[cfg(feature = "bytes")]
mod bytes;
#[cfg(feature = "alloc")]
mod owned;
mod raw;
mod segments;
mod slice;
#[cfg(feature = "alloc")]
mod vectored;

pub use aligned::Aligned;
#[cfg(feature = "alloc")]
pub use aligned_box::AlignedBox;
#[cfg(feature = "alloc")]
pub use aligned_buf::AlignedBuf;
#[cfg(feature = "alloc")]
pub use append::Append;
pub use raw::RawBuf;
#[cfg(feature = "alloc")]
pub use raw::RawVectored;
pub use segments::{IoSlice, IoSliceMut};
pub use slice::Slice;
#[cfg(feature = "alloc")]
pub use vectored::{Mixed, Vectored};

use core::ops::RangeBounds;

/// Memory that an operation can use, and that no other code can modify until the
/// operation has completed.
///
/// The value itself is moved meanwhile (into a slot, and back to the caller); the
/// memory that it refers to must not move.
///
/// # Safety
/// - `region` returns memory that is valid for reads. It stays valid, at the same
///   address, until the value is dropped, wherever the value is moved. If the value is
///   never dropped, it stays valid for as long as the type lives (`'static` for a
///   queue).
/// - The memory can be reached only through the value. If the type is not an
///   [`IoBufMut`], other code may read it.
/// - If `is_vectored` returns `true`, the region is an array of
///   [`IoVec`](crate::sys::abi::IoVec), and its length is the number of *elements*. The
///   same requirements hold for the memory to which they point. The result of
///   `is_vectored` never changes, and it is `false` unless `VECTORED` is `true`.
///
/// # Examples
/// A page of a pool, which returns to the pool when it is dropped:
/// ```
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
/// use linux_aio::Queue;
/// use linux_aio::buffer::{IoBuf, IoBufMut};
/// use linux_aio::op::Read;
/// use std::fs::File;
/// use std::sync::mpsc::{Sender, channel};
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// type Memory = Box<[u8; 4096]>;
///
/// struct Page {
///     memory: Option<Memory>,
///     pool: Sender<Memory>,
/// }
///
/// // SAFETY: the memory is on the heap, so it does not move with the value, and it is
/// // reached only through the value until it is dropped.
/// unsafe impl IoBuf for Page {
///     fn region(&mut self) -> (*mut u8, usize) {
///         match &mut self.memory {
///             Some(memory) => (memory.as_mut_ptr(), memory.len()),
///             None => (core::ptr::null_mut(), 0),
///         }
///     }
/// }
/// // SAFETY: the memory is writable and owned by the value, and every byte is a valid `u8`.
/// unsafe impl IoBufMut for Page {}
///
/// impl Drop for Page {
///     fn drop(&mut self) {
///         // An error means that the pool has been dropped.
///         let _ = self.memory.take().map(|memory| self.pool.send(memory));
///     }
/// }
///
/// let (pool, free) = channel();
/// let page = Page { memory: Some(Box::new([0; 4096])), pool };
/// let file = File::open("/proc/self/exe").unwrap();
/// let mut queue = Queue::<Page>::with_capacity(4)?;
/// queue.push(Read::new(&file, page)).unwrap();
/// drop(queue.wait()?);
/// assert_eq!(free.recv().unwrap()[..4], *b"\x7fELF");
/// # Ok(())
/// # }
/// ```
pub unsafe trait IoBuf {
    /// Whether the region can be an array of segments. `false`: it consists of bytes.
    const VECTORED: bool = false;

    /// Whether reads use [`region_mut`](IoBuf::region_mut) and
    /// [`set_filled`](IoBuf::set_filled). `false`: they fill the region.
    const GROWS: bool = false;

    /// Returns the address of the memory, and its length in bytes or, if the buffer is
    /// vectored, in segments.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::buffer::IoBuf;
    ///
    /// let mut bytes = [0; 16];
    /// let start = bytes.as_mut_ptr();
    /// assert_eq!((&mut bytes).region(), (start, 16));
    /// ```
    fn region(&mut self) -> (*mut u8, usize);

    /// Returns whether the region is an array of segments.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::buffer::{IoBuf, IoSlice};
    ///
    /// let segments = [IoSlice::new(b"hello, "), IoSlice::new(b"world")];
    /// assert!((&segments[..]).is_vectored());
    /// assert!(!"hello".is_vectored());
    /// ```
    #[inline]
    fn is_vectored(&self) -> bool {
        Self::VECTORED
    }

    /// Returns the memory that a read fills, which may be uninitialised. It is called
    /// only if `GROWS` is `true`; the promises for [`region`](IoBuf::region) hold for it.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(feature = "alloc")] {
    /// use linux_aio::buffer::IoBuf;
    ///
    /// // A read fills an empty vector up to its capacity.
    /// let mut vector = Vec::<u8>::with_capacity(512);
    /// assert_eq!(vector.region().1, 0);
    /// assert!(vector.region_mut().1 >= 512);
    /// # }
    /// ```
    fn region_mut(&mut self) -> (*mut u8, usize) {
        self.region()
    }

    /// Records that a read has filled the first `count` bytes of
    /// [`region_mut`](IoBuf::region_mut). It is called only if `GROWS` is `true`.
    ///
    /// # Safety
    /// These bytes have been initialised, and the value was not changed since
    /// `region_mut` returned.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(feature = "alloc")] {
    /// use linux_aio::buffer::IoBuf;
    ///
    /// let mut vector = Vec::<u8>::with_capacity(512);
    /// let (start, _) = vector.region_mut();
    /// // SAFETY: the vector has memory for 512 bytes.
    /// unsafe { start.copy_from("hello".as_ptr(), 5) };
    /// // SAFETY: the first 5 bytes were written above.
    /// unsafe { vector.set_filled(5) };
    /// assert_eq!(vector, b"hello");
    /// # }
    /// ```
    unsafe fn set_filled(&mut self, count: usize) {
        let _ = count;
    }

    /// Restricts the buffer to a range of its bytes.
    ///
    /// The remainder of a short write or read is written or read without a copy:
    /// [`Slice::advance`].
    ///
    /// ```
    /// # #[cfg(feature = "alloc")] {
    /// use linux_aio::buffer::IoBuf;
    ///
    /// let mut slice = vec![1, 2, 3, 4, 5].slice(1..4);
    /// assert_eq!(slice[..], [2, 3, 4]);
    /// slice.advance(2);
    /// assert_eq!(slice[..], [4]);
    /// assert_eq!(slice.into_inner(), [1, 2, 3, 4, 5]);
    /// # }
    /// ```
    fn slice(self, range: impl RangeBounds<usize>) -> Slice<Self>
    where
        Self: Sized,
    {
        Slice::new(self, range)
    }
}

/// An [`IoBuf`] that the kernel may write to, as a read requires.
///
/// # Safety
/// The region that a read uses is valid for writes, it can be reached only through the
/// value, and every content of it is valid.
///
/// # Examples
/// A buffer of the elements of a file of records:
/// ```
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
/// use linux_aio::Queue;
/// use linux_aio::buffer::{IoBuf, IoBufMut};
/// use linux_aio::op::Read;
/// use std::fs::File;
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// struct Records(Box<[[u8; 16]]>);
///
/// // SAFETY: the memory is on the heap, so it does not move with the value, and it is
/// // reached only through the value.
/// unsafe impl IoBuf for Records {
///     fn region(&mut self) -> (*mut u8, usize) {
///         let bytes = self.0.as_flattened_mut();
///         (bytes.as_mut_ptr(), bytes.len())
///     }
/// }
/// // SAFETY: the memory is writable and owned by the value, and every content of it is valid.
/// unsafe impl IoBufMut for Records {}
///
/// let file = File::open("/proc/self/exe").unwrap();
/// let mut queue = Queue::<Records>::with_capacity(4)?;
/// queue.push(Read::new(&file, Records(Box::new([[0; 16]; 4])))).unwrap();
/// let done = queue.wait()?.unwrap();
/// assert_eq!(done.result, Ok(64));
/// assert_eq!(done.buffer.unwrap().0[0][..4], *b"\x7fELF");
/// # Ok(())
/// # }
/// ```
pub unsafe trait IoBufMut: IoBuf {}

// SAFETY: the reference borrows the memory exclusively for its lifetime. The memory
// does not move when the reference does.
unsafe impl IoBuf for &mut [u8] {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_mut_ptr(), self.len())
    }
}
// SAFETY: the memory is writable and exclusively borrowed, and every byte is a valid
// `u8`.
unsafe impl IoBufMut for &mut [u8] {}

// SAFETY: the memory is borrowed for the lifetime of the reference, so no code writes
// it and it does not move.
unsafe impl IoBuf for &[u8] {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_ptr().cast_mut(), self.len())
    }
}

// SAFETY: the reference borrows the array exclusively for its lifetime. The array does
// not move when the reference does.
unsafe impl<const N: usize> IoBuf for &mut [u8; N] {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_mut_ptr(), N)
    }
}
// SAFETY: the array is writable and exclusively borrowed, and every byte is a valid
// `u8`.
unsafe impl<const N: usize> IoBufMut for &mut [u8; N] {}

// SAFETY: the array is borrowed for the lifetime of the reference, so no code writes it
// and it does not move.
unsafe impl<const N: usize> IoBuf for &[u8; N] {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_ptr().cast_mut(), N)
    }
}

// SAFETY: the string is borrowed for the lifetime of the reference, so no code writes it
// and it does not move.
unsafe impl IoBuf for &str {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_ptr().cast_mut(), self.len())
    }
}

/// No memory, for operations without a buffer.
// SAFETY: the region is empty, so there is no memory to reach.
unsafe impl IoBuf for () {
    fn region(&mut self) -> (*mut u8, usize) {
        (core::ptr::null_mut(), 0)
    }
}

/// A buffer and any other value, which is returned with it.
// SAFETY: the region is that of the first element, whose `IoBuf` implementation makes
// the promise. The second element is not accessed.
unsafe impl<B: IoBuf, T> IoBuf for (B, T) {
    const VECTORED: bool = B::VECTORED;
    const GROWS: bool = B::GROWS;

    fn region(&mut self) -> (*mut u8, usize) {
        self.0.region()
    }

    fn is_vectored(&self) -> bool {
        self.0.is_vectored()
    }

    fn region_mut(&mut self) -> (*mut u8, usize) {
        self.0.region_mut()
    }

    unsafe fn set_filled(&mut self, count: usize) {
        // SAFETY: the caller makes this promise for the region of the first element.
        unsafe { self.0.set_filled(count) };
    }
}
// SAFETY: the region is that of the first element, whose `IoBufMut` implementation
// makes the promise.
unsafe impl<B: IoBufMut, T> IoBufMut for (B, T) {}
