//! [`Erased`]: a buffer of any type, as the operations of one reactor have it.
//!
//! A reactor has one type of buffer. The operations of a runtime have as many as the
//! program does, so their buffers are boxed, and unboxed by the future that knows the type.

use std::any::Any;

use linux_aio::buffer::{IoBuf, IoBufMut};

/// A buffer whose type is known to its operation alone.
pub(crate) struct Erased {
    buffer: Box<dyn Buffer>,
    /// The buffer is an `IoBufMut`.
    writable: bool,
}

/// The methods of `IoBuf` that need no type, and the way back to the type.
trait Buffer: Send {
    fn region(&mut self) -> (*mut u8, usize);
    fn is_vectored(&self) -> bool;
    fn region_mut(&mut self) -> (*mut u8, usize);

    /// # Safety
    /// That of [`IoBuf::set_filled`].
    unsafe fn set_filled(&mut self, count: usize);
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<B: IoBuf + Send + 'static> Buffer for B {
    fn region(&mut self) -> (*mut u8, usize) {
        IoBuf::region(self)
    }

    fn is_vectored(&self) -> bool {
        IoBuf::is_vectored(self)
    }

    fn region_mut(&mut self) -> (*mut u8, usize) {
        if B::GROWS {
            IoBuf::region_mut(self)
        } else {
            IoBuf::region(self)
        }
    }

    unsafe fn set_filled(&mut self, count: usize) {
        if B::GROWS {
            // SAFETY: the caller makes the promise of the same method.
            unsafe { IoBuf::set_filled(self, count) };
        }
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl Erased {
    /// Erases the type of a buffer that is written to a file.
    pub(crate) fn for_write<B: IoBuf + Send + 'static>(buffer: B) -> Erased {
        Erased {
            buffer: Box::new(buffer),
            writable: false,
        }
    }

    /// Erases the type of a buffer that is read into.
    pub(crate) fn for_read<B: IoBufMut + Send + 'static>(buffer: B) -> Erased {
        Erased {
            buffer: Box::new(buffer),
            writable: true,
        }
    }

    /// Returns the buffer, or `None` if it has another type.
    pub(crate) fn into_inner<B: 'static>(self) -> Option<B> {
        self.buffer.into_any().downcast().ok().map(|buffer| *buffer)
    }
}

// SAFETY: the region is that of the boxed buffer, whose `IoBuf` implementation makes the
// promise. Moving the box does not move the buffer. `is_vectored` never changes, as the
// buffer's does not.
unsafe impl IoBuf for Erased {
    const VECTORED: bool = true;
    const GROWS: bool = true;

    fn region(&mut self) -> (*mut u8, usize) {
        self.buffer.region()
    }

    fn is_vectored(&self) -> bool {
        self.buffer.is_vectored()
    }

    fn region_mut(&mut self) -> (*mut u8, usize) {
        if self.writable {
            self.buffer.region_mut()
        } else {
            // The kernel may only read from it: a read transfers nothing.
            (self.buffer.region().0, 0)
        }
    }

    unsafe fn set_filled(&mut self, count: usize) {
        if self.writable {
            // SAFETY: `region_mut` has returned that of the boxed buffer, and the caller
            // promises that its first `count` bytes are initialised.
            unsafe { self.buffer.set_filled(count) };
        }
    }
}
// SAFETY: reads use `region_mut`, because `GROWS` is true. It is empty unless the boxed
// buffer is an `IoBufMut`, whose implementation makes the promise.
unsafe impl IoBufMut for Erased {}
