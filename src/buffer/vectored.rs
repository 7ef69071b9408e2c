//! [`Vectored`]: several owned buffers as the segments of one operation, and [`Mixed`],
//! for a queue of vectored and other operations.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{IoBuf, IoBufMut};
use crate::sys::abi::IoVec;

/// Several owned buffers as the segments of one vectored operation.
///
/// # Examples
/// ```
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
/// use linux_aio::Queue;
/// use linux_aio::buffer::Vectored;
/// use linux_aio::op::Read;
/// use std::fs::File;
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// let file = File::open("/proc/self/exe").unwrap();
/// let mut queue = Queue::<Vectored<Vec<u8>>>::with_capacity(4)?;
/// let segments = Vectored::new([vec![0; 4], vec![0; 60]]);
/// queue.push(Read::new(&file, segments)).unwrap();
/// let done = queue.wait()?.unwrap();
/// assert_eq!(done.result, Ok(64));
/// assert_eq!(done.buffer.unwrap().segments()[0], b"\x7fELF");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Vectored<B> {
    segments: Box<[B]>,
    /// As many elements as there are segments. They are written before each use.
    array: Box<[IoVec]>,
}

// SAFETY: the addresses in the array are only used together with the segments, which the
// value owns and which are `Send`.
unsafe impl<B: Send> Send for Vectored<B> {}
// SAFETY: `&Vectored` gives access to the segments, which are `Sync`, and not to the
// array.
unsafe impl<B: Sync> Sync for Vectored<B> {}

impl<B: IoBuf> Vectored<B> {
    /// Creates a vectored buffer of these buffers, in this order. The kernel accepts at
    /// most 1024 (EINVAL).
    ///
    /// # Examples
    /// ```
    /// use linux_aio::buffer::Vectored;
    ///
    /// let buffers = Vectored::new(["hello, ", "world"]);
    /// assert_eq!(buffers.segments().len(), 2);
    /// ```
    pub fn new(segments: impl Into<Vec<B>>) -> Vectored<B> {
        const { assert!(!B::VECTORED, "a segment has no segments") };
        let segments = segments.into().into_boxed_slice();
        let empty = |_: &B| IoVec {
            base: core::ptr::null_mut(),
            len: 0,
        };
        let array = segments.iter().map(empty).collect();
        Vectored { segments, array }
    }

    /// Returns the buffers.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::buffer::Vectored;
    ///
    /// let buffers = Vectored::new(["hello, ", "world"]);
    /// assert_eq!(buffers.segments(), ["hello, ", "world"]);
    /// ```
    pub fn segments(&self) -> &[B] {
        &self.segments
    }

    /// Returns the buffers by value.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::buffer::Vectored;
    ///
    /// let buffers = Vectored::new(["hello, ", "world"]);
    /// assert_eq!(buffers.into_segments(), ["hello, ", "world"]);
    /// ```
    pub fn into_segments(self) -> Vec<B> {
        self.segments.into_vec()
    }

    /// Writes the regions of the segments into the array, and returns the array.
    fn regions(&mut self, region: fn(&mut B) -> (*mut u8, usize)) -> (*mut u8, usize) {
        for (segment, element) in self.segments.iter_mut().zip(&mut self.array) {
            let (base, len) = region(segment);
            *element = IoVec {
                base: base.cast(),
                len,
            };
        }
        (self.array.as_mut_ptr().cast(), self.array.len())
    }
}

// SAFETY: the array is on the heap and owned. It points to the memory of the segments,
// whose `IoBuf` implementation makes the promise; no method returns a `&mut` to them.
unsafe impl<B: IoBuf> IoBuf for Vectored<B> {
    const VECTORED: bool = true;
    const GROWS: bool = B::GROWS;

    fn region(&mut self) -> (*mut u8, usize) {
        self.regions(B::region)
    }

    fn region_mut(&mut self) -> (*mut u8, usize) {
        self.regions(B::region_mut)
    }

    unsafe fn set_filled(&mut self, mut count: usize) {
        for (segment, element) in self.segments.iter_mut().zip(&self.array) {
            let filled = count.min(element.len);
            // SAFETY: the kernel fills the segments in order, each to its end before the
            // next. The caller promises that `count` bytes were filled and that nothing
            // has changed since `region_mut` wrote the array.
            unsafe { segment.set_filled(filled) };
            count -= filled;
        }
    }
}
// SAFETY: the array points to the memory of the segments, whose `IoBufMut`
// implementation promises that it may be written.
unsafe impl<B: IoBufMut> IoBufMut for Vectored<B> {}

/// One buffer, or several for a vectored operation: the buffer type of a queue that has
/// operations of both kinds.
///
/// # Examples
/// ```
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
/// use linux_aio::Queue;
/// use linux_aio::buffer::{Mixed, Vectored};
/// use linux_aio::op::Write;
/// use std::fs::File;
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// let file = File::create("/dev/null").unwrap();
/// let mut queue = Queue::<Mixed<&'static str>>::with_capacity(4)?;
/// let segments = Vectored::new(["hello, ", "world"]);
/// queue.push(Write::new(&file, Mixed::Single("hello"))).unwrap();
/// queue.push(Write::new(&file, Mixed::Vectored(segments))).unwrap();
/// assert_eq!(queue.wait()?.unwrap().result, Ok(5));
/// assert_eq!(queue.wait()?.unwrap().result, Ok(12));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub enum Mixed<B> {
    /// One buffer.
    Single(B),
    /// The segments of a vectored operation.
    Vectored(Vectored<B>),
}

// SAFETY: both variants are buffers, whose implementations make the promise. `IoBuf` has
// no method that changes the variant.
unsafe impl<B: IoBuf> IoBuf for Mixed<B> {
    const VECTORED: bool = true;
    const GROWS: bool = B::GROWS;

    fn region(&mut self) -> (*mut u8, usize) {
        match self {
            Mixed::Single(buffer) => buffer.region(),
            Mixed::Vectored(buffers) => buffers.region(),
        }
    }

    fn is_vectored(&self) -> bool {
        match self {
            Mixed::Single(buffer) => buffer.is_vectored(),
            Mixed::Vectored(_) => true,
        }
    }

    fn region_mut(&mut self) -> (*mut u8, usize) {
        match self {
            Mixed::Single(buffer) => buffer.region_mut(),
            Mixed::Vectored(buffers) => buffers.region_mut(),
        }
    }

    unsafe fn set_filled(&mut self, count: usize) {
        // SAFETY: the caller makes this promise for the region of the variant.
        unsafe {
            match self {
                Mixed::Single(buffer) => buffer.set_filled(count),
                Mixed::Vectored(buffers) => buffers.set_filled(count),
            }
        }
    }
}
// SAFETY: both variants are buffers that the kernel may write to.
unsafe impl<B: IoBufMut> IoBufMut for Mixed<B> {}
