//! [`Erased`]: a buffer of any type, as the operations of one reactor have it.
//!
//! A reactor has one type of buffer. The operations of a runtime have as many as the
//! program does, so the type of each is erased, and restored by the future that knows it.
//!
//! # Layout
//! A buffer of at most five pointers is stored in place, as most are: a `Vec`, and a slice of
//! one. A larger one is boxed. What a buffer refers to does not move with it, as [`IoBuf`]
//! requires.
//!
//! # Invariant
//! `place` has the value, or the box, of the type for which `methods` was made.

use std::any::TypeId;
use std::cell::UnsafeCell;
use std::mem::{ManuallyDrop, MaybeUninit};

use linux_aio::buffer::{IoBuf, IoBufMut};

/// A buffer whose type is known to its operation alone.
pub(crate) struct Erased {
    /// A cell, because `is_vectored` of a buffer with a cell may change it.
    place: UnsafeCell<Place>,
    methods: &'static Methods,
}

// SAFETY: the constructors require that the buffer is `Send`. The pointers are what it
// consists of, or the only ones to it.
unsafe impl Send for Erased {}

/// The memory of a buffer, or of the pointer to a boxed one.
type Place = MaybeUninit<[*mut (); 5]>;

/// The methods of `IoBuf` that need no type, the type, and the destructor.
///
/// Each pointer is to the place of an [`Erased`] with these methods, and as a reference would
/// be, exclusive except for `is_vectored`.
struct Methods {
    type_id: fn() -> TypeId,
    is_vectored: unsafe fn(*mut Place) -> bool,
    region: unsafe fn(*mut Place) -> (*mut u8, usize),
    region_mut: unsafe fn(*mut Place) -> (*mut u8, usize),
    /// Its caller makes the promise of [`IoBuf::set_filled`] as well.
    set_filled: unsafe fn(*mut Place, usize),
    drop: unsafe fn(*mut Place),
}

/// Returns whether a buffer of this type is stored in place.
const fn fits<B>() -> bool {
    size_of::<B>() <= size_of::<Place>() && align_of::<B>() <= align_of::<Place>()
}

/// Returns the address of a buffer.
///
/// # Safety
/// The place has a buffer of this type.
#[inline(always)]
unsafe fn at<B>(place: *mut Place) -> *mut B {
    if fits::<B>() {
        place.cast()
    } else {
        // SAFETY: the caller promises that the place has a buffer of this type, which does not
        // fit: it has the pointer of the box.
        unsafe { place.cast::<*mut B>().read() }
    }
}

impl Methods {
    /// Returns the methods of a buffer that is read into.
    const fn for_read<B: IoBufMut + 'static>() -> Methods {
        Methods {
            region_mut: |place| {
                // SAFETY: the caller promises exclusive access to a buffer of this type.
                let buffer = unsafe { &mut *at::<B>(place) };
                if B::GROWS {
                    buffer.region_mut()
                } else {
                    buffer.region()
                }
            },
            set_filled: |place, count| {
                if B::GROWS {
                    // SAFETY: the caller promises exclusive access to a buffer of this type, of
                    // which it makes the promise of `IoBuf::set_filled`.
                    unsafe { (*at::<B>(place)).set_filled(count) };
                }
            },
            ..Methods::for_write::<B>()
        }
    }

    /// Returns the methods of a buffer that is written to a file. The kernel may only read from
    /// it: a read transfers nothing.
    const fn for_write<B: IoBuf + 'static>() -> Methods {
        Methods {
            type_id: TypeId::of::<B>,
            is_vectored: |place| {
                // SAFETY: the caller promises shared access to a buffer of this type.
                unsafe { (*at::<B>(place)).is_vectored() }
            },
            region: |place| {
                // SAFETY: the caller promises exclusive access to a buffer of this type.
                unsafe { (*at::<B>(place)).region() }
            },
            region_mut: |place| {
                // SAFETY: the caller promises exclusive access to a buffer of this type.
                (unsafe { (*at::<B>(place)).region() }.0, 0)
            },
            set_filled: |_, _| {},
            drop: |place| {
                // SAFETY: the caller promises exclusive access to a buffer of this type, and
                // does not use it again. One that does not fit is that of a box.
                unsafe {
                    match fits::<B>() {
                        true => at::<B>(place).drop_in_place(),
                        false => drop(Box::from_raw(at::<B>(place))),
                    }
                }
            },
        }
    }
}

impl Erased {
    /// Erases the type of a buffer that is written to a file.
    #[inline]
    pub(crate) fn for_write<B: IoBuf + Send + 'static>(buffer: B) -> Erased {
        // SAFETY: the methods are those of the type.
        unsafe { Erased::new(buffer, const { &Methods::for_write::<B>() }) }
    }

    /// Erases the type of a buffer that is read into.
    #[inline]
    pub(crate) fn for_read<B: IoBufMut + Send + 'static>(buffer: B) -> Erased {
        // SAFETY: the methods are those of the type.
        unsafe { Erased::new(buffer, const { &Methods::for_read::<B>() }) }
    }

    /// # Safety
    /// The methods are those of the type.
    #[inline(always)]
    unsafe fn new<B: Send + 'static>(buffer: B, methods: &'static Methods) -> Erased {
        let mut place = Place::uninit();
        let start = (&raw mut place).cast::<B>();
        if fits::<B>() {
            // SAFETY: the place is large enough for the buffer, and aligned.
            unsafe { start.write(buffer) };
        } else {
            let boxed = Box::into_raw(Box::new(buffer));
            // SAFETY: the place is large enough for a pointer, and aligned.
            unsafe { start.cast::<*mut B>().write(boxed) };
        }
        Erased {
            place: UnsafeCell::new(place),
            methods,
        }
    }

    /// Returns the buffer, or `None` if it has another type.
    #[inline]
    pub(crate) fn into_inner<B: 'static>(self) -> Option<B> {
        if (self.methods.type_id)() != TypeId::of::<B>() {
            return None;
        }
        let mut erased = ManuallyDrop::new(self);
        // SAFETY: the buffer has this type. It is moved out once, because the erased one is
        // not dropped. One that does not fit is that of a box.
        unsafe {
            let start = at::<B>(erased.place.get_mut());
            Some(match fits::<B>() {
                true => start.read(),
                false => *Box::from_raw(start),
            })
        }
    }
}

impl Drop for Erased {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the methods are those of the type of the buffer, which is borrowed
        // exclusively and not used again.
        unsafe { (self.methods.drop)(self.place.get_mut()) };
    }
}

// SAFETY: the region is that of the buffer, whose `IoBuf` implementation makes the promise,
// wherever the buffer is moved. `is_vectored` never changes, as the buffer's does not.
unsafe impl IoBuf for Erased {
    const VECTORED: bool = true;
    const GROWS: bool = true;

    #[inline]
    fn region(&mut self) -> (*mut u8, usize) {
        // SAFETY: the methods are those of the type of the buffer, which is borrowed
        // exclusively.
        unsafe { (self.methods.region)(self.place.get_mut()) }
    }

    #[inline]
    fn is_vectored(&self) -> bool {
        // SAFETY: the methods are those of the type of the buffer, which is borrowed.
        unsafe { (self.methods.is_vectored)(self.place.get()) }
    }

    #[inline]
    fn region_mut(&mut self) -> (*mut u8, usize) {
        // SAFETY: the methods are those of the type of the buffer, which is borrowed
        // exclusively.
        unsafe { (self.methods.region_mut)(self.place.get_mut()) }
    }

    #[inline]
    unsafe fn set_filled(&mut self, count: usize) {
        // SAFETY: the methods are those of the type of the buffer, which is borrowed
        // exclusively. `region_mut` has returned that of the buffer, and the caller promises
        // that its first `count` bytes are initialised.
        unsafe { (self.methods.set_filled)(self.place.get_mut(), count) };
    }
}
// SAFETY: reads use `region_mut`, because `GROWS` is true. It is empty unless the buffer is an
// `IoBufMut`, whose implementation makes the promise.
unsafe impl IoBufMut for Erased {}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    /// A buffer of a size, which counts its drops.
    struct Counted<const N: usize>(Box<[u8]>, Arc<AtomicUsize>, [usize; N]);

    impl<const N: usize> Drop for Counted<N> {
        fn drop(&mut self) {
            assert!(self.2.iter().all(|&word| word == N));
            self.1.fetch_add(1, Relaxed);
        }
    }

    // SAFETY: the bytes are on the heap, and are owned.
    unsafe impl<const N: usize> IoBuf for Counted<N> {
        fn region(&mut self) -> (*mut u8, usize) {
            (self.0.as_mut_ptr(), self.0.len())
        }
    }
    // SAFETY: the bytes are owned, and writable.
    unsafe impl<const N: usize> IoBufMut for Counted<N> {}

    /// A buffer that is aligned to more than a pointer, and has no size.
    #[repr(align(64))]
    struct Aligned;

    // SAFETY: an empty region is valid.
    unsafe impl IoBuf for Aligned {
        fn region(&mut self) -> (*mut u8, usize) {
            assert!(std::ptr::from_mut(self).is_aligned());
            (std::ptr::null_mut(), 0)
        }
    }

    fn every_way<const N: usize>() {
        let drops = Arc::new(AtomicUsize::new(0));
        let buffer = || Counted::<N>(Box::new([7; 3]), Arc::clone(&drops), [N; N]);

        let mut erased = Erased::for_read(buffer());
        let region = erased.region_mut();
        assert_eq!((region.1, region), (3, erased.region()));
        let mut moved = Box::new(erased);
        let (start, len) = moved.region_mut();
        assert_eq!((start, len), region);
        // SAFETY: the memory is valid, and nothing else accesses it.
        unsafe { start.write(9) };
        // SAFETY: the bytes are initialised.
        unsafe { moved.set_filled(2) };
        assert!(!moved.is_vectored());
        let inner = moved.into_inner::<Counted<N>>().unwrap();
        assert_eq!((&inner.0[..], drops.load(Relaxed)), (&[9, 7, 7][..], 0));
        drop(inner);
        assert_eq!(drops.swap(0, Relaxed), 1);

        // A read of a buffer to be written transfers nothing.
        let mut erased = Erased::for_write(buffer());
        assert_eq!((erased.region_mut().1, erased.region().1), (0, 3));
        drop(erased);
        assert_eq!(drops.swap(0, Relaxed), 1);

        // Another type of the same size.
        let erased = Erased::for_write(buffer());
        assert!(erased.into_inner::<[usize; 3]>().is_none());
        assert_eq!(drops.swap(0, Relaxed), 1);
    }

    #[test]
    fn buffers_in_place_and_in_a_box_are_moved_and_dropped_once() {
        assert!(fits::<Counted<2>>() && !fits::<Counted<3>>());
        every_way::<0>();
        every_way::<2>();
        every_way::<3>();
        every_way::<40>();
    }

    #[test]
    fn a_buffer_is_aligned() {
        let mut erased = Box::new(Erased::for_write(Aligned));
        assert_eq!(erased.region().1, 0);
        assert!(erased.into_inner::<Aligned>().is_some());
    }

    #[test]
    fn a_vector_grows() {
        let mut erased = Erased::for_read(Vec::<u8>::with_capacity(4));
        let (start, len) = erased.region_mut();
        // SAFETY: the spare capacity is valid for writes.
        unsafe { start.write_bytes(5, len) };
        // SAFETY: the bytes are initialised.
        unsafe { erased.set_filled(len) };
        let vector = erased.into_inner::<Vec<u8>>().unwrap();
        assert_eq!(vector[..], vec![5; len]);
        assert!(len >= 4);
    }

    /// A buffer that counts the calls of a method that has shared access.
    struct Calls(Cell<usize>);

    // SAFETY: an empty region is valid.
    unsafe impl IoBuf for Calls {
        const VECTORED: bool = true;

        fn region(&mut self) -> (*mut u8, usize) {
            (std::ptr::null_mut(), 0)
        }

        fn is_vectored(&self) -> bool {
            self.0.set(self.0.get() + 1);
            false
        }
    }

    /// An optimised build finds the count before the calls where the place is no cell.
    #[test]
    fn a_method_with_shared_access_may_change_the_buffer() {
        #[inline(never)]
        fn call(erased: &Erased) -> bool {
            erased.is_vectored()
        }
        let mut erased = ManuallyDrop::new(Erased::for_write(Calls(Cell::new(0))));
        let vectored = [call(&erased), call(&erased), call(&erased)];
        // SAFETY: the buffer has this type.
        let calls = unsafe { (*at::<Calls>(erased.place.get_mut())).0.get() };
        assert_eq!((vectored, calls), ([false; 3], 3));
    }
}
