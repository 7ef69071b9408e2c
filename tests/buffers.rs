//! Tests of the buffers: the memory that an operation uses, and what a completion returns.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

mod support;

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as Task, Poll, Waker};

use linux_aio::abi::IoVec;
use linux_aio::buffer::{
    AlignedBuf, Append, IoBuf, IoBufMut, Mixed, RawBuf, RawVectored, Slice, Vectored,
};
use linux_aio::op::{Fsync, Op, Read, Write};
use linux_aio::reactor::Reactor;
use linux_aio::{Completion, Errno, Queue, ScopeSlot, WaitOptions, scope};
use support::{TempFile, pattern};

/// Runs one operation on a queue.
fn complete<'q, B: IoBuf + 'static>(op: impl Into<Op<'q, B>>) -> Completion<Option<B>> {
    let mut queue = Queue::with_capacity(1).unwrap();
    assert!(queue.push(op).is_ok());
    queue.wait().unwrap().unwrap()
}

/// Reads from the start of a file that holds `content`.
fn read<B: IoBufMut + 'static>(content: &[u8], buffer: B) -> (Result<usize, Errno>, B) {
    let file = TempFile::with(content);
    let done = complete(Read::new(&file.file, buffer));
    (done.result, done.buffer.unwrap())
}

/// Returns the content of a file after a write of `buffer`.
fn write<B: IoBuf + 'static>(buffer: B) -> Vec<u8> {
    let file = TempFile::with(b"");
    let done = complete(Write::new(&file.file, buffer));
    let written = std::fs::read(&file.path).unwrap();
    assert_eq!(done.result, Ok(written.len()));
    written
}

#[test]
fn a_read_fills_an_empty_vector_and_sets_its_length() {
    let content = pattern(100);
    for capacity in [1, 99, 100, 101] {
        let (result, vector) = read(&content, Vec::with_capacity(capacity));
        let count = result.unwrap();
        assert!(count >= capacity.min(100));
        assert_eq!(vector, content[..count]);
    }
    let (result, vector) = read(&content, Vec::new());
    assert_eq!((result, vector.len()), (Ok(0), 0));
    // Bytes that are there are overwritten, and the length stays.
    let mut spare = Vec::with_capacity(64);
    spare.extend([7; 10]);
    let (result, vector) = read(&content[..4], spare);
    assert_eq!(result, Ok(4));
    assert_eq!(vector, [&content[..4], &[7; 6]].concat());
}

/// Neither a write, an error nor an fsync changes the length.
#[test]
fn only_a_read_sets_a_length() {
    assert_eq!(write(Vec::with_capacity(100)), []);
    assert_eq!(write(b"abc".to_vec()), b"abc");
    let (_, write_only) = support::pipe();
    let done = complete(Read::new(&write_only, Vec::with_capacity(9)));
    assert_eq!((done.result, done.buffer), (Err(Errno::BADF), Some(vec![])));
    let file = TempFile::with(b"x");
    let done = complete::<Vec<u8>>(Fsync::new(&file.file));
    assert_eq!(done.buffer, None);
}

#[test]
fn a_read_appends() {
    let content = pattern(50);
    let mut buffer = Append::from(b"head".to_vec());
    buffer.reserve_exact(20);
    let spare = buffer.capacity() - buffer.len();
    let (result, buffer) = read(&content, buffer);
    let count = spare.min(50);
    assert_eq!(result, Ok(count));
    assert_eq!(buffer.into_inner(), [b"head", &content[..count]].concat());
    let file = TempFile::with(b"");
    let mut buffer = Append::from(b"tail".to_vec());
    buffer.reserve(100);
    let done = complete(Write::new(&file.file, buffer));
    assert_eq!(done.result, Ok(4));
    assert_eq!(
        done.buffer.unwrap().into_inner(),
        b"tail",
        "a write appends nothing"
    );
    let (result, buffer) = read(&content, Append::default());
    assert_eq!((result, buffer.len()), (Ok(0), 0));
}

#[test]
fn a_slice_limits_reads_and_writes() {
    let content = pattern(100);
    let (result, slice) = read(&content, vec![0; 10].slice(3..7));
    assert_eq!(result, Ok(4));
    assert_eq!(slice[..], content[..4]);
    let whole = slice.into_inner();
    assert_eq!(whole, [&[0; 3], &content[..4], &[0; 3]].concat());

    assert_eq!(write(content.clone().slice(90..)), content[90..]);
    assert_eq!(write(content.clone().slice(..=4)), content[..5]);
    for empty in [(100, 101), (200, 300), (7, 3), (usize::MAX, usize::MAX)] {
        assert_eq!(write(content.clone().slice(empty.0..empty.1)), []);
    }
    // Of a slice, and of other buffers.
    assert_eq!(
        write(content.clone().slice(10..).slice(5..8)),
        content[15..18]
    );
    assert_eq!(write(String::from("a slice").slice(2..)), b"slice");
    let (result, slice) = read(&content, vec![1; 8].into_boxed_slice().slice(6..));
    assert_eq!((result, &slice[..]), (Ok(2), &content[..2]));
}

/// Spare memory begins at 0: no byte before the slice is taken for initialised.
#[test]
fn a_slice_of_spare_memory() {
    let content = pattern(100);
    let (result, slice) = read(&content, Vec::with_capacity(64).slice(..16));
    assert_eq!(result, Ok(16));
    assert_eq!(slice.into_inner(), content[..16]);
    let (result, slice) = read(&content, Vec::with_capacity(64).slice(8..16));
    assert_eq!((result, slice.into_inner().len()), (Ok(0), 0));
    // The second read goes on behind the first, up to the bytes that are initialised.
    let mut slice = Slice::new(Vec::with_capacity(64), ..);
    slice.advance(3);
    let (result, slice) = read(&content, slice);
    assert_eq!((result, slice.get_ref().len()), (Ok(0), 0));
}

/// The remainder of a short write is written without a copy.
#[test]
fn what_is_left_of_a_slice_goes_on() {
    let file = TempFile::with(b"");
    let content = pattern(1000);
    let mut queue = Queue::<Slice<Vec<u8>>>::with_capacity(1).unwrap();
    let mut slice = content.clone().slice(..);
    let address = slice.as_ptr();
    let mut written = 0;
    while slice.remaining() > 0 {
        // As if the file took no more than 300 bytes at once.
        let end = written + 300;
        let part = Slice::new(slice.into_inner(), written..end);
        let write = Write::new(&file.file, part).offset(written as u64);
        queue.push(write).unwrap();
        let done = queue.wait().unwrap().unwrap();
        written += done.result.unwrap();
        slice = Slice::new(done.buffer.unwrap().into_inner(), ..);
        slice.advance(written);
    }
    let whole = slice.into_inner();
    assert_eq!(whole.as_ptr(), address);
    assert!(std::fs::read(&file.path).unwrap() == content);
}

#[test]
fn the_types_of_the_standard_library() {
    assert_eq!(write("a string"), b"a string");
    assert_eq!(write(String::from("owned")), b"owned");
    assert_eq!(write(Rc::<[u8]>::from(*b"rc")), b"rc");
    let shared = Arc::<[u8]>::from(*b"arc");
    assert_eq!(write(shared.clone()), b"arc");
    assert_eq!(Arc::strong_count(&shared), 1, "the share was returned");
    assert_eq!(write(Box::new(*b"array")), b"array");
    let (result, array) = read(b"0123456789", Box::new([0; 4]));
    assert_eq!((result, *array), (Ok(4), *b"0123"));
}

#[test]
fn segments_that_are_empty_vectors_are_filled_in_order() {
    let content = pattern(25);
    let segments = [10, 10, 10].map(Vec::with_capacity);
    let capacities: Vec<_> = segments.iter().map(Vec::capacity).collect();
    let (result, buffer) = read(&content, Vectored::new(segments));
    assert_eq!(result, Ok(25.min(capacities.iter().sum())));
    let segments = buffer.into_segments();
    assert_eq!(segments.concat(), content);
    assert_eq!(segments[0].len(), capacities[0]);
    // A write uses what is there.
    let segments = vec![b"ab".to_vec(), Vec::with_capacity(9), b"c".to_vec()];
    assert_eq!(write(Vectored::new(segments)), b"abc");
}

#[test]
fn one_queue_has_single_and_vectored_buffers() {
    let file = TempFile::with(b"");
    let mut queue = Queue::<Mixed<Vec<u8>>>::with_capacity(4).unwrap();
    let single = Mixed::Single(b"one ".to_vec());
    queue.push(Write::new(&file.file, single)).unwrap();
    let segments = Vectored::new(vec![b"two ".to_vec(), b"three".to_vec()]);
    let write = Write::new(&file.file, Mixed::Vectored(segments));
    queue.push(write.offset(4)).unwrap();
    while let Some(done) = queue.wait().unwrap() {
        let expected = match done.buffer.unwrap() {
            Mixed::Single(buffer) => buffer.len(),
            Mixed::Vectored(buffers) => buffers.segments().concat().len(),
        };
        assert_eq!(done.result, Ok(expected));
    }
    assert_eq!(std::fs::read(&file.path).unwrap(), b"one two three");
    let (result, buffer) = read(b"xyz", Mixed::Single(Vec::with_capacity(2)));
    let Mixed::Single(vector) = buffer else {
        panic!("another variant");
    };
    assert_eq!(vector, b"xyz"[..result.unwrap()]);
}

/// Memory without an owner in Rust, such as that of a guest.
#[test]
fn raw_memory() {
    let memory: &'static mut [u8] = Box::leak(vec![0; 4096].into_boxed_slice());
    let (start, len) = (memory.as_mut_ptr(), memory.len());
    // SAFETY: the memory is leaked, and accessed below only when nothing is in flight.
    let buffer = unsafe { RawBuf::new(start.wrapping_add(16), 4) };
    let (result, buffer) = read(b"guest", buffer);
    assert_eq!((result, buffer.len()), (Ok(4), 4));
    let segment = |at: usize, len| IoVec {
        base: start.wrapping_add(at).cast(),
        len,
    };
    // SAFETY: as above.
    let buffer = unsafe { RawVectored::new(vec![segment(0, 2), segment(len - 3, 3)]) };
    let (result, buffer) = read(b"abcdef", buffer);
    assert_eq!((result, buffer.segments().len()), (Ok(5), 2));
    // SAFETY: nothing is in flight.
    let memory = unsafe { std::slice::from_raw_parts(start, len) };
    assert_eq!(memory[16..20], *b"gues");
    assert_eq!(
        (&memory[..2], &memory[len - 3..]),
        (&b"ab"[..], &b"cde"[..])
    );
    // An address where nothing is mapped is the kernel's EFAULT.
    // SAFETY: nothing of the program is at this address.
    let nowhere = unsafe { RawBuf::new(std::ptr::without_provenance_mut(1), 1) };
    assert_eq!(read(b"x", nowhere).0, Err(Errno::FAULT));
}

#[test]
fn alignment_at_run_time() {
    for (len, align) in [(0, 512), (1, 1), (1000, 512), (4096, 4096), (10, 1 << 20)] {
        let mut buffer = AlignedBuf::zeroed(len, align).unwrap();
        assert_eq!(buffer.as_ptr().addr() % align, 0);
        assert_eq!(buffer.len(), len.next_multiple_of(align));
        assert_eq!(buffer.alignment(), align);
        assert!(buffer.iter().all(|&byte| byte == 0));
        buffer.fill(1);
    }
    assert!(AlignedBuf::zeroed(1, 3).is_none());
    assert!(AlignedBuf::zeroed(1, 0).is_none());
    assert!(AlignedBuf::zeroed(usize::MAX, 4096).is_none());
    let (result, buffer) = read(b"aligned", AlignedBuf::zeroed(8, 8).unwrap());
    assert_eq!((result, &buffer[..7]), (Ok(7), &b"aligned"[..]));
}

/// The same in a scope and in a reactor.
#[test]
fn every_layer_sets_the_length() {
    let file = TempFile::with(b"layers");
    scope(&mut ScopeSlot::array::<2>(), |s| {
        let read = s.push(Read::new(&file.file, Vec::with_capacity(6)));
        let done = read.unwrap().wait();
        assert_eq!(done.buffer, b"layers"[..done.result.unwrap()]);
        let write = s.push(Write::new(&file.file, Vec::with_capacity(6)));
        assert_eq!(write.unwrap().wait().buffer, vec![]);
    })
    .unwrap();
    let reactor = Reactor::<Vec<u8>>::with_capacity(2).unwrap();
    let mut read = pin!(reactor.read(&file.file, Vec::with_capacity(6), 0));
    let task = &mut Task::from_waker(Waker::noop());
    let done = loop {
        if let Poll::Ready(done) = std::future::Future::poll(read.as_mut(), task) {
            break done;
        }
        reactor.wait(WaitOptions::new()).unwrap();
    };
    assert_eq!(done.buffer, b"layers"[..done.result.unwrap()]);
}

#[cfg(feature = "bytes")]
#[test]
fn the_types_of_the_bytes_crate() {
    use bytes::{Bytes, BytesMut};
    assert_eq!(write(Bytes::from_static(b"static")), b"static");
    assert_eq!(write(Bytes::from(b"shared".to_vec()).slice(2..4)), b"ar");
    let (result, buffer) = read(b"read", BytesMut::with_capacity(4));
    assert_eq!(buffer, b"read"[..result.unwrap()]);
    // A part of a larger allocation, whose other part stays as it is.
    let mut whole = BytesMut::zeroed(10);
    let rest = whole.split_off(4);
    let (result, front) = read(b"0123456789", whole);
    assert_eq!((result, &front[..]), (Ok(4), &b"0123"[..]));
    assert_eq!(rest, [0; 6][..]);
}

/// The file is read to its end with one buffer.
#[test]
fn a_file_is_read_by_appending() {
    let content = pattern(10_000);
    let file = TempFile::with(&content);
    let mut queue = Queue::<Append>::with_capacity(1).unwrap();
    let mut buffer = Append::default();
    loop {
        buffer.reserve(1024);
        let at = buffer.len() as u64;
        queue
            .push(Read::new(&file.file, buffer).offset(at))
            .unwrap();
        let done = queue.wait().unwrap().unwrap();
        buffer = done.buffer.unwrap();
        if done.result == Ok(0) {
            break;
        }
    }
    assert!(*buffer == content);
}

/// A buffer whose `set_filled` panics, and which counts its drops.
struct Panics(
    Vec<u8>,
    #[expect(dead_code, reason = "counts drops")] Arc<()>,
);

// SAFETY: the memory is that of the vector, which keeps the promise of `IoBuf`.
unsafe impl IoBuf for Panics {
    const GROWS: bool = true;

    fn region(&mut self) -> (*mut u8, usize) {
        self.0.region()
    }

    unsafe fn set_filled(&mut self, count: usize) {
        assert!(count != 3, "three bytes");
    }
}
// SAFETY: the memory is that of the vector, which keeps the promise of `IoBufMut`.
unsafe impl IoBufMut for Panics {}

/// The buffer is dropped, its slot is free, and the other operations come back.
#[test]
fn a_panic_of_set_filled_loses_no_other_operation() {
    let file = TempFile::with(b"12345");
    let drops = Arc::new(());
    let mut queue = Queue::<Panics>::with_capacity(3).unwrap();
    for len in 2..5 {
        let buffer = Panics(vec![0; len], drops.clone());
        assert!(queue.push(Read::new(&file.file, buffer)).is_ok());
    }
    let (mut lengths, mut panics) = (Vec::new(), 0);
    loop {
        let wait = std::panic::AssertUnwindSafe(|| queue.wait().unwrap());
        match std::panic::catch_unwind(wait) {
            Ok(Some(done)) => lengths.push(done.result.unwrap()),
            Ok(None) => break,
            Err(_) => panics += 1,
        }
    }
    assert_eq!((lengths, panics), (vec![2, 4], 1));
    assert_eq!(Arc::strong_count(&drops), 1);
    let buffer = Panics(vec![0; 1], drops);
    assert!(queue.push(Read::new(&file.file, buffer)).is_ok(), "a slot");

    let reactor = Reactor::<Panics>::with_capacity(1).unwrap();
    let task = &mut Task::from_waker(Waker::noop());
    for len in [3, 4] {
        let buffer = Panics(vec![0; len], Arc::default());
        let mut read = pin!(reactor.read(&file.file, buffer, 0));
        let polled = std::panic::AssertUnwindSafe(|| {
            loop {
                if let Poll::Ready(done) = std::future::Future::poll(read.as_mut(), task) {
                    break done.result;
                }
                reactor.wait(WaitOptions::new()).unwrap();
            }
        });
        let result = std::panic::catch_unwind(polled);
        assert_eq!(result.ok(), (len == 4).then_some(Ok(4)));
    }
}

/// A slice of an appended vector addresses the bytes of the vector: a read does not
/// append, so that what is left of it after a short read is in the right place.
#[test]
fn a_slice_of_an_appended_vector() {
    let mut buffer = Append::from(b"HEADER".to_vec());
    buffer.reserve(100);
    let (result, slice) = read(b"abc", buffer.slice(2..));
    assert_eq!(result, Ok(3));
    assert_eq!(slice.into_inner().into_inner(), b"HEabcR");
    let empty = Append::with_capacity(8).slice(..2);
    let (result, slice) = read(b"abc", empty);
    assert_eq!((result, &slice.into_inner()[..]), (Ok(2), &b"ab"[..]));
}
