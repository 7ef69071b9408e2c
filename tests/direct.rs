//! Tests aligned buffers, and compares the prediction of whether direct I/O refuses an
//! operation with the result of the kernel.
#![cfg(all(feature = "alloc", any(target_os = "linux", target_os = "android")))]

mod support;

use linux_aio::buffer::{Aligned, AlignedBox, IoBuf, Vectored};
use linux_aio::direct_io::{Alignment, Misaligned};
use linux_aio::op::{Fsync, Op, Read, Write};
use linux_aio::opcode::{self, Pread};
use linux_aio::{Errno, Queue, Slot};
use support::{TempFile, fd, no_fd, pattern, pipe};

const PAGE: usize = 4096;

/// A window into aligned memory. The window itself may be unaligned.
struct Window {
    memory: AlignedBox<PAGE>,
    from: usize,
    len: usize,
}

// SAFETY: the region is a part of the box's memory, which keeps the promise of `IoBuf`.
// A region out of its bounds panics here.
unsafe impl IoBuf for Window {
    fn region(&mut self) -> (*mut u8, usize) {
        assert!(self.from + self.len <= self.memory.len());
        let (start, _) = self.memory.region();
        (start.wrapping_add(self.from), self.len)
    }
}
// SAFETY: the region is a part of the box's memory, which keeps the promise of
// `IoBufMut`.
unsafe impl linux_aio::buffer::IoBufMut for Window {}

fn window(from: usize, len: usize) -> Window {
    let memory = AlignedBox::zeroed(from + len).unwrap();
    Window { memory, from, len }
}

/// Returns the prediction of the library and the result of the kernel for an operation
/// on a direct file.
fn predicted_and_actual<'fd, B: IoBuf + 'static>(
    alignment: Alignment,
    op: impl Into<Op<'fd, B>>,
) -> (Result<(), Misaligned>, Result<usize, Errno>) {
    let mut op = op.into();
    let predicted = alignment.check(&mut op);
    let mut slots = Slot::array::<1>();
    let mut queue = Queue::new(&mut slots).unwrap();
    queue.push(op).unwrap();
    if let Err(error) = queue.submit() {
        return (predicted, Err(error.errno));
    }
    (predicted, queue.wait().unwrap().unwrap().result)
}

/// Tests each of memory, length and offset at each power of two. The kernel refuses
/// exactly the operations that the library predicts.
#[test]
fn the_prediction_matches_the_kernel() {
    let file = TempFile::with(&pattern(64 * 1024));
    let direct = file.direct();
    let alignment = Alignment::of(fd(&direct))
        .unwrap()
        .expect("a file system that reports its direct I/O alignment, and Linux 6.1");
    assert_eq!(
        Alignment::of(file.fd()),
        Ok(Some(alignment)),
        "however it is open"
    );
    let (mut good, mut bad) = (0, 0);
    for shift in 0..=13 {
        let odd = 1 << shift;
        for (from, len, offset) in [(odd, PAGE, 0), (0, odd, 0), (0, PAGE, odd)] {
            for write in [false, true] {
                let fd = fd(&direct);
                let (predicted, result) = if write {
                    let op = Write::new(fd, window(from, len)).offset(offset as u64);
                    predicted_and_actual(alignment, op)
                } else {
                    let op = Read::new(fd, window(from, len)).offset(offset as u64);
                    predicted_and_actual(alignment, op)
                };
                let what = format!("memory {from}, length {len}, offset {offset}, write {write}");
                match predicted {
                    Ok(()) => {
                        assert_eq!(result, Ok(len), "{what}");
                        good += 1;
                    }
                    Err(why) => {
                        assert_eq!(result, Err(Errno::INVAL), "{what}: {why}");
                        bad += 1;
                    }
                }
            }
        }
    }
    assert!(good >= 24 && bad >= 24, "{good} good, {bad} bad");
}

#[test]
fn each_segment_is_checked() {
    let alignment = Alignment::new(512, 1024);
    let mut segments = vec![window(0, 2048), window(512, 1024), window(0, 512)];
    let mut whole = Op::from(Read::new(
        no_fd(),
        Vectored::new(vec![window(0, 2048), window(512, 1024)]),
    ));
    assert_eq!(alignment.check(&mut whole), Ok(()));
    let mut short = Op::from(Write::new(
        no_fd(),
        Vectored::new(std::mem::take(&mut segments)),
    ));
    assert_eq!(
        alignment.check(&mut short),
        Err(Misaligned::Length {
            len: 512,
            multiple_of: 1024
        })
    );
    let mut off = Op::from(Write::new(
        no_fd(),
        Vectored::new(vec![window(0, 1024), window(8, 1024)]),
    ));
    let why = alignment.check(&mut off).unwrap_err();
    assert!(matches!(
        why,
        Misaligned::Memory {
            multiple_of: 512,
            ..
        }
    ));
    assert!(
        why.to_string()
            .contains("memory at a multiple of 512, not at 0x")
    );
}

#[test]
fn an_iocb_is_checked_as_well() {
    let alignment = Alignment::new(4, 512);
    let memory = AlignedBox::<512>::zeroed(1024).unwrap();
    let at = memory.as_ptr().cast_mut();
    let iocb = Pread::new(3, at, 1024).offset(512).build();
    assert_eq!(alignment.check_iocb(&iocb), Ok(()));
    let iocb = Pread::new(3, at.wrapping_add(2), 1024).build();
    assert!(matches!(
        alignment.check_iocb(&iocb),
        Err(Misaligned::Memory { multiple_of: 4, .. })
    ));
    let iocb = Pread::new(3, at, 1000).build();
    assert_eq!(
        alignment.check_iocb(&iocb),
        Err(Misaligned::Length {
            len: 1000,
            multiple_of: 512
        })
    );
    assert_eq!(alignment.check_iocb(&opcode::Fsync::new(3).build()), Ok(()));
}

#[test]
fn files_without_a_reported_alignment_or_without_direct_io() {
    let (read, _write) = pipe();
    // The kernel reports no alignment for a pipe.
    assert_eq!(Alignment::of(fd(&read)), Ok(None));
    assert_eq!(Alignment::of(no_fd()), Err(Errno::BADF));
    let none = Alignment::new(0, 0);
    let mut op = Op::from(Read::new(no_fd(), window(0, PAGE)));
    assert_eq!(none.check(&mut op), Err(Misaligned::Unsupported));
    let mut sync = Op::<Window>::from(Fsync::new(no_fd()));
    assert_eq!(none.check(&mut sync), Ok(()), "nothing direct about it");
}

#[test]
fn memory_of_the_caller_is_cut_to_aligned_blocks() {
    let mut memory = vec![0_u8; 3 * PAGE];
    for (from, to) in [
        (0, 3 * PAGE),
        (1, 2 * PAGE),
        (17, 40),
        (0, 0),
        (PAGE - 1, 3 * PAGE),
    ] {
        let part = &mut memory[from..to];
        let (start, end) = (part.as_ptr().addr(), part.as_ptr().addr() + part.len());
        let aligned = Aligned::<512>::within(part);
        let len = end / 512 * 512;
        let first = start.next_multiple_of(512);
        assert_eq!(aligned.len(), len.saturating_sub(first), "{from} to {to}");
        if !aligned.is_empty() {
            assert_eq!(aligned.as_ptr().addr(), first);
        }
    }
    let all = Aligned::<512>::within(&mut memory);
    let whole = all.len();
    let chunks: Vec<_> = all.chunks(700).collect();
    assert_eq!(chunks.len(), whole / 1024);
    assert!(chunks.iter().all(|chunk| chunk.len() == 1024));
    assert!(chunks.iter().all(|chunk| chunk.as_ptr().addr() % 512 == 0));
    let all = Aligned::<512>::within(&mut memory);
    assert_eq!(
        all.chunks(usize::MAX).len(),
        0,
        "no such chunk, and no panic"
    );
    let all = Aligned::<1>::within(&mut memory);
    assert_eq!(all.into_slice().len(), 3 * PAGE);
}

#[test]
fn allocated_memory_is_aligned() {
    assert_eq!(AlignedBox::<4096>::zeroed(0).unwrap().len(), 0);
    assert_eq!(
        AlignedBox::<4096>::zeroed(0).unwrap().as_ptr().addr() % 4096,
        0
    );
    assert!(AlignedBox::<4096>::zeroed(usize::MAX).is_none());
    assert!(AlignedBox::<4096>::zeroed(isize::MAX as usize).is_none());
    assert!(
        AlignedBox::<4096>::zeroed(isize::MAX as usize - 4095).is_none(),
        "no such memory"
    );
    let mut buffer = AlignedBox::<65536>::zeroed(1).unwrap();
    assert_eq!((buffer.len(), buffer.as_ptr().addr() % 65536), (65536, 0));
    assert!(buffer.iter().all(|&byte| byte == 0));
    buffer.fill(7);
    let moved = std::thread::spawn(move || buffer.iter().filter(|&&byte| byte == 7).count());
    assert_eq!(moved.join().unwrap(), 65536);
}
