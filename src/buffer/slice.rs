//! [`Slice`]: a range of a buffer.

use core::fmt;
use core::ops::{Bound, Deref, DerefMut, RangeBounds};

use super::{IoBuf, IoBufMut};

/// A range of a buffer's bytes, as an operation uses them: see [`IoBuf::slice`].
///
/// The range is limited to the buffer: what lies behind its end does not count. A read
/// into a slice of an empty vector that begins at 0 fills the vector up to the end of the
/// slice (`Vec::with_capacity(4096).slice(..512)`). Every other slice is read into as far
/// as the buffer is initialised, also that of an `Append` (feature `alloc`).
///
/// # Examples
/// A write that continues after a short one:
/// ```
/// # #[cfg(feature = "alloc")] {
/// use linux_aio::buffer::{IoBuf, Slice};
///
/// let mut rest: Slice<Vec<u8>> = b"hello".to_vec().slice(..);
/// // A write has transferred 2 bytes.
/// rest.advance(2);
/// assert_eq!(&rest[..], b"llo");
/// // The next one transfers all that is left.
/// rest.advance(3);
/// assert_eq!(rest.remaining(), 0);
/// assert_eq!(rest.into_inner(), b"hello");
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Slice<B> {
    buffer: B,
    begin: usize,
    end: usize,
}

impl<B: IoBuf> Slice<B> {
    /// Creates a slice of a buffer. An inverted range is empty.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::buffer::Slice;
    ///
    /// let slice = Slice::new(&b"hello"[..], 1..=2);
    /// assert_eq!(&slice[..], b"el");
    /// ```
    pub fn new(buffer: B, range: impl RangeBounds<usize>) -> Slice<B> {
        const { assert!(!B::VECTORED, "a vectored buffer has no range of bytes") };
        let begin = match range.start_bound() {
            Bound::Included(&begin) => begin,
            Bound::Excluded(&before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => usize::MAX,
        };
        Slice { buffer, begin, end }
    }

    /// Moves the beginning of the slice by `count` bytes: the slice is then what is left
    /// after an operation that has transferred `count` bytes.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::buffer::Slice;
    ///
    /// let mut slice = Slice::new(&b"hello"[..], ..4);
    /// slice.advance(3);
    /// assert_eq!(&slice[..], b"l");
    /// ```
    pub fn advance(&mut self, count: usize) {
        self.begin = self.begin.saturating_add(count);
    }

    /// Returns the number of bytes that a write would transfer.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::buffer::Slice;
    ///
    /// let mut slice = Slice::new(&b"hello"[..], 2..100);
    /// assert_eq!(slice.remaining(), 3);
    /// ```
    pub fn remaining(&mut self) -> usize {
        self.region().1
    }

    /// Returns whether a read into the slice fills spare memory: the slice and the spare
    /// memory both begin where the buffer does, so no byte before them is uninitialised.
    fn grows(&mut self) -> bool {
        self.begin == 0 && self.buffer.region_mut().0 == self.buffer.region().0
    }

    fn within(&self, (start, len): (*mut u8, usize)) -> (*mut u8, usize) {
        let end = self.end.min(len);
        let begin = self.begin.min(end);
        (start.wrapping_add(begin), end - begin)
    }
}

impl<B> Slice<B> {
    /// Returns the whole buffer.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::buffer::Slice;
    ///
    /// let slice = Slice::new(&b"hello"[..], 2..);
    /// assert_eq!(slice.into_inner(), b"hello");
    /// ```
    pub fn into_inner(self) -> B {
        self.buffer
    }

    /// Returns a reference to the whole buffer.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::buffer::Slice;
    ///
    /// let slice = Slice::new(&b"hello"[..], 2..);
    /// assert_eq!(slice.get_ref(), b"hello");
    /// ```
    pub fn get_ref(&self) -> &B {
        &self.buffer
    }
}

/// The initialised bytes of the slice.
impl<B: Deref<Target: AsRef<[u8]>>> Deref for Slice<B> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let bytes = (*self.buffer).as_ref();
        let end = self.end.min(bytes.len());
        &bytes[self.begin.min(end)..end]
    }
}

impl<B: DerefMut<Target: AsRef<[u8]> + AsMut<[u8]>>> DerefMut for Slice<B> {
    fn deref_mut(&mut self) -> &mut [u8] {
        let bytes = (*self.buffer).as_mut();
        let end = self.end.min(bytes.len());
        &mut bytes[self.begin.min(end)..end]
    }
}

// SAFETY: the region is a part of the buffer's, whose implementation makes the promise.
unsafe impl<B: IoBuf> IoBuf for Slice<B> {
    const GROWS: bool = B::GROWS;

    fn region(&mut self) -> (*mut u8, usize) {
        let whole = self.buffer.region();
        self.within(whole)
    }

    fn region_mut(&mut self) -> (*mut u8, usize) {
        let whole = if self.grows() {
            self.buffer.region_mut()
        } else {
            self.buffer.region()
        };
        self.within(whole)
    }

    unsafe fn set_filled(&mut self, count: usize) {
        if self.grows() {
            // SAFETY: the region is the front of the buffer's own, for which the caller
            // makes the promise.
            unsafe { self.buffer.set_filled(count) };
        }
    }
}
// SAFETY: the region is a part of that of a buffer that the kernel may write to.
unsafe impl<B: IoBufMut> IoBufMut for Slice<B> {}

impl<B: fmt::Debug> fmt::Debug for Slice<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slice")
            .field("buffer", &self.buffer)
            .field("begin", &self.begin)
            .field("end", &self.end)
            .finish()
    }
}
