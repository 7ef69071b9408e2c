//! [`Append`]: a vector to whose end a read appends.

use alloc::vec::Vec;

use super::{IoBuf, IoBufMut};

/// A vector to whose end a read appends: it fills the spare capacity and adds to the
/// length. A write uses the `len()` bytes.
///
/// Without spare capacity a read transfers nothing and its result is 0, as at the end of
/// a file: reserve some before ([`Vec::reserve`]).
///
/// ```
/// use linux_aio::buffer::Append;
///
/// let mut buffer = Append::from(b"header".to_vec());
/// buffer.reserve(4096);
/// // … a read of `buffer` …
/// assert_eq!(buffer.into_inner(), b"header");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Append(Vec<u8>);

impl Append {
    /// Creates an empty buffer with this capacity.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::Queue;
    /// use linux_aio::buffer::Append;
    /// use linux_aio::op::Read;
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let mut queue = Queue::<Append>::with_capacity(4)?;
    /// queue.push(Read::new(&file, Append::with_capacity(16))).unwrap();
    /// let buffer = queue.wait()?.unwrap().buffer.unwrap();
    /// assert_eq!(buffer[..4], *b"\x7fELF");
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_capacity(capacity: usize) -> Append {
        Append(Vec::with_capacity(capacity))
    }

    /// Returns the vector.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::buffer::Append;
    ///
    /// let vector: Vec<u8> = Append::from(b"header".to_vec()).into_inner();
    /// assert_eq!(vector, b"header");
    /// ```
    pub fn into_inner(self) -> Vec<u8> {
        self.0
    }
}

impl From<Vec<u8>> for Append {
    fn from(vector: Vec<u8>) -> Append {
        Append(vector)
    }
}

impl core::ops::Deref for Append {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl core::ops::DerefMut for Append {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

// SAFETY: the memory is on the heap, so it does not move with the value, and it is
// reached only through its owner, which the operation owns until it has completed.
unsafe impl IoBuf for Append {
    const GROWS: bool = true;

    fn region(&mut self) -> (*mut u8, usize) {
        self.0.region()
    }

    fn region_mut(&mut self) -> (*mut u8, usize) {
        let spare = self.0.spare_capacity_mut();
        (spare.as_mut_ptr().cast(), spare.len())
    }

    unsafe fn set_filled(&mut self, count: usize) {
        let len = self.0.len() + count.min(self.0.capacity() - self.0.len());
        // SAFETY: the caller promises that the first `count` bytes of the spare capacity
        // are initialised.
        unsafe { self.0.set_len(len) };
    }
}
// SAFETY: the spare capacity is writable and owned by the value, and every byte is a
// valid `u8`.
unsafe impl IoBufMut for Append {}
