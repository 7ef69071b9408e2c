//! Tests of the operations of a file, in both runtimes, direct and through the page cache.

mod support;

use std::future::poll_fn;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use linux_aio_tokio::buffer::{Append, IoBuf, Vectored};
use linux_aio_tokio::{Aio, Errno, File, OpenOptions};
use support::{BLOCK, PATIENCE, Temp, in_both, pattern, threads};

const WAYS: [bool; 2] = [false, true];

#[test]
fn what_is_written_is_read() {
    in_both(|| async {
        for direct in WAYS {
            let temp = Temp::new();
            let file = temp.open(direct).await;
            assert_eq!(file.is_direct(), direct);
            assert_eq!(file.aio().unavailable(), None);
            let mut block = file.buffer(3 * BLOCK).unwrap();
            block.copy_from_slice(&pattern(3 * BLOCK));
            let (written, block) = file.write_all_at(block, BLOCK as u64).await;
            written.unwrap();
            file.sync_data().await.unwrap();
            file.sync_all().await.unwrap();
            let back = file.buffer(3 * BLOCK).unwrap();
            let (read, back) = file.read_exact_at(back, BLOCK as u64).await;
            read.unwrap();
            assert!(back[..] == block[..]);
            let (read, back) = file.read_at(back, 3 * BLOCK as u64).await;
            assert_eq!(read.unwrap(), BLOCK, "a read across the end is short");
            assert!(back[..BLOCK] == block[2 * BLOCK..]);
            let (read, _) = file.read_at(back, 64 * BLOCK as u64).await;
            assert_eq!(read.unwrap(), 0);
            assert!(temp.content()[BLOCK..] == block[..]);
            file.set_len(5).await.unwrap();
            assert_eq!(file.metadata().await.unwrap().len(), 5);
        }
    });
}

#[test]
fn buffers_of_every_type_are_filled() {
    in_both(|| async {
        let content = pattern(10_000);
        let temp = Temp::with(&content);
        let file = File::open(&temp.0).await.unwrap();
        let (read, vector) = file.read_exact_at(Vec::with_capacity(10_000), 0).await;
        read.unwrap();
        assert!(vector == content);
        let (read, slice) = file.read_exact_at(vec![9; 100].slice(10..20), 50).await;
        read.unwrap();
        assert!(slice[..] == content[50..60]);
        let whole = slice.into_inner();
        assert!(whole[..10] == [9; 10] && whole[20..] == [9; 80]);
        let mut append = Append::from(b"head".to_vec());
        append.reserve_exact(6);
        let room = append.capacity() - 4;
        let (read, append) = file.read_exact_at(append, 7).await;
        read.unwrap();
        assert!(append[..4] == *b"head" && append[4..] == content[7..7 + room]);
        let (read, end) = file.read_to_end_at(b"x".to_vec(), 9_000).await;
        assert_eq!(read.unwrap(), 1000);
        assert!(end[0] == b'x' && end[1..] == content[9_000..]);
        let parts = Vectored::new(vec![vec![0; 3], vec![0; 5]]);
        let (read, parts) = file.read_at(parts, 100).await;
        assert_eq!(read.unwrap(), 8);
        let parts: Vec<_> = parts.into_segments().concat();
        assert!(parts == content[100..108]);
        let (read, cut) = file.read_exact_at(vec![1; 50], 9_990).await;
        assert_eq!(read.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert!(cut[..10] == content[9_990..] && cut[10..] == [1; 40]);
        let (read, cut) = file.read_exact_at(Vec::with_capacity(50), 9_990).await;
        assert_eq!(read.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert!(cut == content[9_990..]);
    });
}

/// A file of proc returns about a page at a time.
#[test]
fn short_reads_are_continued() {
    let symbols = std::fs::read("/proc/kallsyms").unwrap();
    let wanted = &symbols[..20_000];
    in_both(|| async {
        let file = File::open("/proc/kallsyms").await.unwrap();
        let (read, _) = file.read_at(vec![0; 20_000], 0).await;
        assert!(read.unwrap() < 20_000, "this read is not short");
        let (read, empty) = file.read_exact_at(Vec::with_capacity(20_000), 0).await;
        read.unwrap();
        assert!(empty[..20_000] == *wanted);
        let (read, full) = file.read_exact_at(vec![0; 20_000], 0).await;
        read.unwrap();
        assert!(full == wanted);
        let append = Append::with_capacity(20_000);
        let (read, append) = file.read_exact_at(append, 0).await;
        read.unwrap();
        assert!(append[..20_000] == *wanted);
    });
}

#[test]
fn mistakes_are_errors_and_return_the_buffer() {
    in_both(|| async {
        let temp = Temp::with(&pattern(2 * BLOCK));
        for direct in WAYS {
            let file = temp.open(direct).await;
            let (read, buffer) = file.read_at(vec![7; 10], u64::MAX).await;
            assert_eq!(read.unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(buffer, [7; 10]);
            let (read, buffer) = file.read_at(Vec::new(), 0).await;
            assert_eq!((read.unwrap(), buffer.len()), (0, 0));
        }
        let direct = temp.open(true).await;
        let (read, _) = direct.read_at(vec![0; 10], 1).await;
        assert_eq!(read.unwrap_err().raw_os_error(), Some(libc::EINVAL));
        let alignment = direct.alignment().unwrap();
        assert!(alignment.is_none_or(|alignment| alignment.offset() > 1));
        let read_only = File::open(&temp.0).await.unwrap();
        let (written, buffer) = read_only.write_at(b"text".to_vec(), 0).await;
        assert_eq!(written.unwrap_err().raw_os_error(), Some(libc::EBADF));
        assert_eq!(buffer, b"text");
        assert_eq!(
            File::open("/nonexistent").await.unwrap_err().kind(),
            ErrorKind::NotFound
        );
        let full = OpenOptions::new().write(true).open("/dev/full").await;
        let (written, _) = full.unwrap().write_at("x".to_owned(), 0).await;
        assert_eq!(written.unwrap_err().raw_os_error(), Some(libc::ENOSPC));
    });
}

/// Such a read would block the thread that submits it.
#[test]
fn a_pipe_does_not_block_the_runtime() {
    let (reader, writer) = std::io::pipe().unwrap();
    support::one_thread().block_on(async {
        let pipe = File::try_from(std::os::fd::OwnedFd::from(reader)).unwrap();
        let (read, _) = pipe.read_at(vec![0; 4], 0).await;
        assert_eq!(read.unwrap_err().raw_os_error(), Some(libc::ESPIPE));
        drop(writer);
    });
}

#[test]
fn a_file_of_std_comes_and_goes() {
    in_both(|| async {
        let temp = Temp::with(b"abcd");
        let file = File::from_std(std::fs::File::open(&temp.0).unwrap()).unwrap();
        let clone = file.clone();
        let file = file.try_into_std().unwrap_err();
        drop(clone);
        let (read, _) = file.read_exact_at(vec![0; 4], 0).await;
        read.unwrap();
        let file = file.try_into_std().unwrap();
        let mut bytes = [0; 2];
        file.read_exact_at(&mut bytes, 1).unwrap();
        assert_eq!(&bytes, b"bc");
    });
}

#[test]
fn each_runtime_has_one_driver() {
    let (one, two) = (threads(1), threads(1));
    let first = one.block_on(async {
        for wrong in [0, u32::MAX] {
            let refused = Aio::builder().capacity(wrong).start().unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        }
        let aio = Aio::builder().capacity(16).start().unwrap();
        assert_eq!(aio.capacity(), 16);
        let again = Aio::builder().start().unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AlreadyExists);
        let same = tokio::spawn(async { Aio::current().unwrap().capacity() });
        assert_eq!(same.await.unwrap(), 16);
        aio
    });
    two.block_on(async {
        assert_eq!(Aio::current().unwrap().capacity(), 256);
    });
    assert_eq!(first.in_flight(), 0);
    assert!(Aio::current().is_err(), "this thread has no runtime");
}

#[test]
fn a_driver_is_shut_down_and_another_starts() {
    in_both(|| async {
        let temp = Temp::with(&pattern(64 * BLOCK));
        let file = temp.open(true).await;
        let aio = file.aio();
        let tasks: Vec<_> = (0..64)
            .map(|i| {
                let file = file.clone();
                tokio::spawn(async move {
                    let at = i * BLOCK as u64;
                    file.read_exact_at(file.buffer(BLOCK).unwrap(), at).await.0
                })
            })
            .collect();
        tokio::task::yield_now().await;
        aio.shutdown().await;
        assert_eq!(aio.in_flight(), 0);
        for task in tasks {
            // Those that had not begun are refused.
            if let Err(error) = task.await.unwrap() {
                assert_eq!(error.to_string(), "the AIO driver was shut down");
            }
        }
        let (read, buffer) = file.read_at(file.buffer(BLOCK).unwrap(), 0).await;
        assert_eq!(read.unwrap_err().kind(), ErrorKind::Other);
        assert_eq!(buffer.len(), BLOCK);
        assert!(file.sync_all().await.is_err());
        aio.shutdown().await;
        let again = temp.open(true).await;
        let (read, _) = again.read_exact_at(buffer, 0).await;
        read.unwrap();
    });
}

/// Nothing begins after the call, also while an operation keeps the driver from its end.
#[test]
fn a_driver_that_is_shut_down_begins_nothing() {
    in_both(|| async {
        let temp = Temp::with(&pattern(BLOCK));
        let file = temp.open(true).await;
        let mut read = pin!(file.read_at(file.buffer(BLOCK).unwrap(), 0));
        let polled = poll_fn(|task| Poll::Ready(read.as_mut().poll(task))).await;
        assert!(polled.is_pending());
        let shutdown = file.aio().shutdown();
        let (refused, _) = file.read_at(file.buffer(BLOCK).unwrap(), 0).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Other);
        assert_eq!(file.sync_all().await.unwrap_err().kind(), ErrorKind::Other);
        assert_eq!(read.await.0.unwrap(), BLOCK);
        shutdown.await;
    });
}

/// Operations begin on other threads at the moment at which the driver is shut down.
#[test]
fn a_driver_ends_beside_operations_that_begin() {
    threads(4).block_on(async {
        let temp = Temp::with(&pattern(BLOCK));
        for round in 0..20 {
            let file = temp.open(true).await;
            let tasks: Vec<_> = (0..8)
                .map(|_| {
                    let file = file.clone();
                    tokio::spawn(async move {
                        let mut buffer = file.buffer(BLOCK).unwrap();
                        loop {
                            let read;
                            (read, buffer) = file.read_at(buffer, 0).await;
                            if let Err(error) = read {
                                return error.kind();
                            }
                        }
                    })
                })
                .collect();
            tokio::time::sleep(Duration::from_millis(round)).await;
            let ended = tokio::time::timeout(PATIENCE, file.aio().shutdown()).await;
            ended.expect("the driver does not end");
            assert_eq!(file.aio().in_flight(), 0);
            for task in tasks {
                assert_eq!(task.await.unwrap(), ErrorKind::Other);
            }
        }
    });
}

/// A file outlives its runtime and is used in another.
#[test]
fn a_file_moves_to_another_runtime() {
    let temp = Temp::with(&pattern(2 * BLOCK));
    let one = support::one_thread();
    let file = one.block_on(temp.open(true));
    drop(one);
    let two = threads(1);
    two.block_on(async {
        let (read, buffer) = file.read_exact_at(file.buffer(BLOCK).unwrap(), 0).await;
        read.unwrap();
        assert!(buffer[..] == pattern(BLOCK));
        file.sync_all().await.unwrap();
        assert_eq!(Aio::current().unwrap().unavailable(), None::<Errno>);
    });
    drop(two);
    // Without a runtime there is an error.
    let read = file.read_at(file.buffer(BLOCK).unwrap(), 0);
    let mut read = std::pin::pin!(read);
    let task = &mut std::task::Context::from_waker(std::task::Waker::noop());
    match read.as_mut().poll(task) {
        std::task::Poll::Ready((result, _)) => assert!(result.is_err()),
        std::task::Poll::Pending => panic!("nothing will wake it"),
    }
}

/// The traits that the compiler derives from private fields.
#[test]
fn a_file_is_used_by_several_threads_and_after_a_panic() {
    fn is<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}
    fn is_send<T: Send>(_: &T) {}
    is::<File>();
    is::<Aio>();
    if false {
        let file = File::from_std(std::fs::File::open("/").unwrap()).unwrap();
        is_send(&file.read_at(vec![0; 4], 0));
        is_send(&file.write_at(Vec::new(), 0));
    }
}

/// A buffer that is too large to be stored in the operation, beside one that is not.
#[test]
fn large_buffers_are_returned() {
    in_both(|| async {
        let temp = Temp::new();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).direct(true);
        let file = options.open(&temp.0).await.unwrap();
        let mut block = file.buffer(2 * BLOCK).unwrap();
        block.copy_from_slice(&pattern(2 * BLOCK));
        let small = block.slice(BLOCK..);
        assert_eq!(size_of_val(&small), 5 * size_of::<usize>());
        let (written, small) = file.write_at(small, 0).await;
        assert_eq!(written.unwrap(), BLOCK);
        let large = small.into_inner().slice(..).slice(..BLOCK).slice(..);
        assert!(size_of_val(&large) > 5 * size_of::<usize>());
        let (written, large) = file.write_at(large, BLOCK as u64).await;
        assert_eq!(written.unwrap(), BLOCK);

        let mut block = large.into_inner().into_inner().into_inner();
        assert_eq!(block[..], pattern(2 * BLOCK));
        block.fill(0);
        let large = block.slice(..).slice(..BLOCK).slice(..);
        let (read, large) = file.read_at(large, 0).await;
        assert_eq!(read.unwrap(), BLOCK);
        let block = large.into_inner().into_inner().into_inner();
        assert_eq!(block[..BLOCK], pattern(2 * BLOCK)[BLOCK..]);
        assert!(block[BLOCK..].iter().all(|&byte| byte == 0));
    });
}
