//! Tests of the ways in which a runtime, a task or a process ends amid operations.

#[path = "support/fault.rs"]
mod fault;
mod support;

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use fault::{contexts, in_process};
use linux_aio_tokio::buffer::{AlignedBuf, IoBuf, IoBufMut};
use linux_aio_tokio::{Aio, File, OpenOptions};
use support::{BLOCK, Counted, PATIENCE, Temp, idle, in_both, one_thread, pattern, threads};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Waits, on this thread, until something holds.
fn until(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn threads_alive() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Begins reads in tasks that do not end.
async fn begin_reads(file: &File, count: &Arc<()>, reads: usize) {
    for i in 0..reads {
        let (file, buffer) = (file.clone(), Counted::new(count, 4));
        tokio::spawn(async move {
            let mut buffer = buffer;
            loop {
                let at = (i % 16 * BLOCK) as u64;
                buffer = file.read_at(buffer, at).await.1;
            }
        });
    }
    tokio::time::sleep(Duration::from_millis(2)).await;
}

#[test]
fn a_runtime_that_ends_amid_operations_leaks_nothing() {
    in_process("a_runtime_that_ends_amid_operations_leaks_nothing", || {
        let temp = Temp::with(&pattern(32 * BLOCK));
        let count = Arc::new(());
        let (before, alive) = (descriptors(), threads_alive());
        let mut fastest = Duration::MAX;
        for round in 0..20 {
            let runtime = if round % 2 == 0 {
                one_thread()
            } else {
                threads(2)
            };
            runtime.block_on(async {
                let file = temp.open(true).await;
                begin_reads(&file, &count, 100).await;
            });
            let begin = Instant::now();
            drop(runtime);
            fastest = fastest.min(begin.elapsed());
        }
        // To destroy a context takes a grace period of 20 ms and more.
        assert!(fastest < Duration::from_millis(10), "{fastest:?}");
        until("a buffer is left", || Arc::strong_count(&count) == 1);
        until("a context is left", || contexts() == 0);
        until("a descriptor is left", || descriptors() == before);
        until("a thread is left", || threads_alive() == alive);
    });
}

#[test]
fn a_runtime_shuts_down_in_the_background() {
    in_process("a_runtime_shuts_down_in_the_background", || {
        let temp = Temp::with(&pattern(32 * BLOCK));
        let count = Arc::new(());
        let runtime = threads(2);
        let file = runtime.block_on(async {
            let file = temp.open(true).await;
            begin_reads(&file, &count, 50).await;
            file
        });
        runtime.shutdown_background();
        until("a buffer is left", || Arc::strong_count(&count) == 1);
        until("a context is left", || contexts() == 0);
        // The file is used in another runtime, which starts a driver.
        one_thread().block_on(async {
            file.read_exact_at(file.buffer(BLOCK).unwrap(), 0)
                .await
                .0
                .unwrap();
        });
    });
}

/// The future of another runtime's task waits for an operation when the driver's runtime is
/// dropped: it gets its result.
#[test]
fn operations_are_completed_after_their_runtime() {
    let temp = Temp::with(&pattern(32 * BLOCK));
    for _ in 0..20 {
        let (one, two) = (threads(1), threads(1));
        let file = one.block_on(async {
            Aio::builder().capacity(2).start().unwrap();
            temp.open(true).await
        });
        let tasks: Vec<_> = (0..200)
            .map(|i| {
                let file = file.clone();
                two.spawn(async move {
                    let at = (i % 32 * BLOCK) as u64;
                    file.read_exact_at(file.buffer(BLOCK).unwrap(), at).await.0
                })
            })
            .collect();
        drop(one);
        two.block_on(async {
            for task in tasks {
                let read = tokio::time::timeout(PATIENCE, task).await;
                read.expect("a task was not woken").unwrap().unwrap();
            }
        });
    }
}

/// A child of fork(2) has no driver of its own until it makes a runtime. It neither uses nor
/// destroys the parent's.
#[test]
fn a_forked_child_has_its_own_driver() {
    in_process("a_forked_child_has_its_own_driver", || {
        let temp = Temp::with(&pattern(2 * BLOCK));
        let runtime = one_thread();
        let file = runtime.block_on(temp.open(true));
        let read = |runtime: &tokio::runtime::Runtime, file: &File| {
            runtime.block_on(async {
                let (read, back) = file.read_exact_at(file.buffer(BLOCK).unwrap(), 0).await;
                read.unwrap();
                assert!(back[..] == pattern(BLOCK));
                file.sync_all().await.unwrap();
            });
        };
        read(&runtime, &file);
        // A read is in flight, and the driver has not been polled since.
        let block = file.buffer(BLOCK).unwrap();
        let mut pending = [
            Box::pin(file.read_at(block, 0)),
            Box::pin(file.read_at(file.buffer(BLOCK).unwrap(), 0)),
        ];
        let task = &mut Context::from_waker(Waker::noop());
        for read in &mut pending {
            let _ = read.as_mut().poll(task);
        }
        // SAFETY: the child has this thread alone, whose runtime has no workers. Pool threads
        // of the parent hold no lock: they are idle.
        match unsafe { libc::fork() } {
            -1 => panic!("fork"),
            0 => {
                let ended = catch_unwind(AssertUnwindSafe(|| {
                    let own = one_thread();
                    // The parent's file, and one of the child's.
                    read(&own, &file);
                    let opened = own.block_on(temp.open(true));
                    assert_eq!(opened.aio().unavailable(), None);
                    read(&own, &opened);
                    assert_eq!(contexts(), 1);
                    drop(own);
                    drop(opened);
                }));
                // SAFETY: the child ends without the parent's destructors.
                unsafe { libc::_exit(i32::from(ended.is_err())) };
            }
            child => {
                let mut status = 0;
                // SAFETY: the status is valid for writes.
                assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
                assert_eq!(status, 0, "the child failed");
            }
        }
        read(&runtime, &file);
        let _entered = runtime.enter();
        for read in pending {
            runtime.block_on(read).0.unwrap();
        }
        assert_eq!(contexts(), 1);
    });
}

/// Drops a future when it is pending after a number of polls.
async fn drop_at<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(move |task| match future.as_mut().poll(task) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

/// A task that uses every operation.
async fn everything(temp: &Temp, direct: bool, count: &Arc<()>) {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).direct(direct);
    let file = options.open(&temp.0).await.unwrap();
    let block = Counted::new(count, 1);
    let (written, block) = file.write_all_at(block, 0).await;
    written.unwrap();
    file.sync_data().await.unwrap();
    let (read, _) = file.read_exact_at(block, 0).await;
    read.unwrap();
    let mut writer = file.writer(100);
    writer.write_all(&pattern(3 * BLOCK)).await.unwrap();
    writer.flush().await.unwrap();
    let mut bytes = vec![0; 3 * BLOCK];
    file.reader(100).read_exact(&mut bytes).await.unwrap();
    assert!(bytes == pattern(3 * BLOCK));
    file.sync_all().await.unwrap();
    file.metadata().await.unwrap();
}

#[test]
fn a_task_can_be_aborted_at_every_await() {
    in_both(|| async {
        let aio = Aio::builder().capacity(4).start().unwrap();
        let count = Arc::new(());
        for direct in [true, false] {
            // A file of its own for each: a write in flight may change it later.
            let mut drops = 0;
            for _ in 0..5 {
                let mut polls = 0;
                while drop_at(polls, everything(&Temp::new(), direct, &count))
                    .await
                    .is_none()
                {
                    polls += 1;
                    assert!(polls < 1000);
                }
                drops += polls;
            }
            assert!(drops >= 5, "{drops}");
            // The same by tokio, at any time.
            for i in 0..100 {
                let (path, count) = (Temp::new(), count.clone());
                let task = tokio::spawn(async move { everything(&path, direct, &count).await });
                for _ in 0..i / 4 {
                    tokio::task::yield_now().await;
                }
                task.abort();
                if let Err(error) = task.await {
                    assert!(error.is_cancelled(), "{error}");
                }
            }
            idle(&aio).await;
            // A thread of the pool may still have a buffer.
            while Arc::strong_count(&count) > 1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // Each slot is free again.
            everything(&Temp::new(), direct, &count).await;
        }
    });
}

/// A buffer whose destructor panics, where the driver drops it.
struct Bad(AlignedBuf);

impl Drop for Bad {
    fn drop(&mut self) {
        panic!("the destructor of a buffer");
    }
}

// SAFETY: the region is that of the `AlignedBuf`, whose implementation makes the promise.
unsafe impl IoBuf for Bad {
    fn region(&mut self) -> (*mut u8, usize) {
        self.0.region()
    }
}
// SAFETY: the region is that of the `AlignedBuf`, which may be written to.
unsafe impl IoBufMut for Bad {}

/// A waker that panics.
struct BadWaker(AtomicUsize);

impl Wake for BadWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
        panic!("a waker");
    }
}

#[test]
fn user_code_that_panics_does_not_stop_the_driver() {
    in_both(|| async {
        let temp = Temp::with(&pattern(16 * BLOCK));
        let file = temp.open(true).await;
        let bad = Arc::new(BadWaker(AtomicUsize::new(0)));
        let waker = Waker::from(bad.clone());
        let mut kept: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
        let mut in_flight = 0;
        for _ in 0..50 {
            let mut read = Box::pin(file.read_at(file.buffer(BLOCK).unwrap(), 0));
            if read
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
            {
                in_flight += 1;
            }
            let clone = file.clone();
            kept.push(Box::pin(async move {
                let block = Bad(clone.buffer(BLOCK).unwrap());
                let _ = std::mem::ManuallyDrop::new(clone.read_at(block, 0).await.1);
            }));
            let dropped = kept.last_mut().unwrap();
            let _ = poll_fn(|task| Poll::Ready(dropped.as_mut().poll(task))).await;
            // A read in flight leaves its buffer to the driver.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(kept.pop())));
            let (read_back, block) = file.read_exact_at(file.buffer(BLOCK).unwrap(), 0).await;
            read_back.unwrap();
            assert!(block[..] == pattern(BLOCK));
            drop(read);
        }
        idle(&file.aio()).await;
        assert!(in_flight > 0);
    });
}
