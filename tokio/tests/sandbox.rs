//! Tests where a sandbox or a limit keeps the process from AIO, before the driver starts or
//! afterwards.

#[path = "support/fault.rs"]
mod fault;
mod support;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Waker};

use fault::{Forbidden, contexts, forbid, in_process};
use linux_aio::nr;
use linux_aio_tokio::{Aio, Errno, Fallback, File};
use support::{BLOCK, Temp, in_both, one_thread, pattern, threads};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// Counts the warnings of the crate.
struct Warnings(AtomicUsize);

static WARNINGS: Warnings = Warnings(AtomicUsize::new(0));

impl log::Log for Warnings {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.target().starts_with("linux_aio_tokio") && record.level() == log::Level::Warn {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn flush(&self) {}
}

fn watch_warnings() {
    log::set_logger(&WARNINGS).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
}

fn warnings() -> usize {
    WARNINGS.0.load(Relaxed)
}

async fn works(temp: &Temp, file: &File) {
    let block = || file.buffer(BLOCK).unwrap();
    let (read, back) = file.read_exact_at(block(), BLOCK as u64).await;
    read.unwrap();
    assert!(back[..] == pattern(2 * BLOCK)[BLOCK..]);
    let (written, _) = file.write_all_at(back, 2 * BLOCK as u64).await;
    written.unwrap();
    file.sync_all().await.unwrap();
    file.sync_data().await.unwrap();
    assert!(temp.content()[2 * BLOCK..] == pattern(2 * BLOCK)[BLOCK..]);
}

fn all_calls(errno: i32) -> Vec<Forbidden> {
    let calls = [
        nr::IO_SETUP,
        nr::IO_SUBMIT,
        nr::IO_GETEVENTS,
        nr::IO_PGETEVENTS,
        nr::IO_CANCEL,
    ];
    calls.map(|call| Forbidden(call, 0, errno)).into()
}

/// Operations are in flight when the filter comes; later ones go to the pool.
fn filter_after_start(errno: i32) {
    watch_warnings();
    let temp = Temp::with(&pattern(2 * BLOCK));
    let runtime = threads(2);
    runtime.block_on(async {
        let file = temp.open(true).await;
        works(&temp, &file).await;
        let mut tasks = JoinSet::new();
        for _ in 0..200 {
            let file = file.clone();
            tasks.spawn(async move {
                let (read, back) = file.read_exact_at(file.buffer(BLOCK).unwrap(), 0).await;
                read.unwrap();
                back[..] == pattern(BLOCK)
            });
        }
        tokio::task::yield_now().await;
        forbid(&all_calls(errno));
        while let Some(task) = tasks.join_next().await {
            assert!(task.unwrap());
        }
        works(&temp, &file).await;
        let unavailable = file.aio().unavailable().unwrap();
        assert_eq!(unavailable.raw_os_error(), errno);
        assert_eq!(file.aio().in_flight(), 0);
    });
    // Another runtime starts without AIO, and is not reported again.
    in_both(|| async {
        let file = temp.open(true).await;
        works(&temp, &file).await;
    });
    assert_eq!(warnings(), 1);
}

#[test]
fn a_filter_after_the_start_moves_operations_to_the_pool() {
    in_process(
        "a_filter_after_the_start_moves_operations_to_the_pool",
        || {
            filter_after_start(libc::EPERM);
        },
    );
}

#[test]
fn a_filter_that_answers_enosys_moves_operations_to_the_pool() {
    in_process(
        "a_filter_that_answers_enosys_moves_operations_to_the_pool",
        || {
            filter_after_start(libc::ENOSYS);
        },
    );
}

#[test]
fn without_the_fall_back_a_filter_is_an_error() {
    in_process("without_the_fall_back_a_filter_is_an_error", || {
        watch_warnings();
        let temp = Temp::with(&pattern(2 * BLOCK));
        threads(2).block_on(async {
            Aio::builder().fallback(Fallback::Error).start().unwrap();
            let file = temp.open(true).await;
            works(&temp, &file).await;
            forbid(&all_calls(libc::EPERM));
            let buffer = file.buffer(BLOCK).unwrap();
            let (read, buffer) = file.read_at(buffer, 0).await;
            assert_eq!(read.unwrap_err().raw_os_error(), Some(libc::EPERM));
            assert_eq!(buffer.len(), BLOCK);
            let synced = file.sync_all().await;
            assert_eq!(synced.unwrap_err().raw_os_error(), Some(libc::EPERM));
        });
        let started = threads(1).block_on(async {
            let started = Aio::builder().fallback(Fallback::Error).start();
            started.map(drop).unwrap_err().raw_os_error()
        });
        assert_eq!(started, Some(libc::EPERM));
        assert_eq!(warnings(), 0);
    });
}

#[test]
fn the_warning_can_be_switched_off() {
    in_process("the_warning_can_be_switched_off", || {
        watch_warnings();
        forbid(&all_calls(libc::ENOSYS));
        let temp = Temp::with(&pattern(2 * BLOCK));
        threads(1).block_on(async {
            let aio = Aio::builder().log_fallback(false).start().unwrap();
            assert_eq!(aio.unavailable(), Some(Errno::NOSYS));
            assert_eq!(aio.capacity(), 0);
            let file = temp.open(true).await;
            works(&temp, &file).await;
            aio.shutdown().await;
        });
        assert_eq!(warnings(), 0);
    });
}

/// The answer of io_setup where fs.aio-max-nr has 32 left.
#[test]
fn a_driver_has_fewer_slots_where_the_limit_leaves_fewer() {
    in_process(
        "a_driver_has_fewer_slots_where_the_limit_leaves_fewer",
        || {
            forbid(&[Forbidden(nr::IO_SETUP, 33, libc::EAGAIN)]);
            let temp = Temp::with(&pattern(2 * BLOCK));
            in_both(|| async {
                let file = temp.open(true).await;
                assert_eq!(file.aio().capacity(), 32);
                works(&temp, &file).await;
            });
            threads(1).block_on(async {
                assert_eq!(Aio::builder().capacity(30).start().unwrap().capacity(), 30);
            });
        },
    );
}

/// The answer of io_setup where fs.aio-max-nr is used up.
#[test]
fn an_exhausted_limit_falls_back_or_is_an_error() {
    in_process("an_exhausted_limit_falls_back_or_is_an_error", || {
        watch_warnings();
        forbid(&[Forbidden(nr::IO_SETUP, 0, libc::EAGAIN)]);
        let temp = Temp::with(&pattern(2 * BLOCK));
        in_both(|| async {
            let file = temp.open(true).await;
            assert_eq!(file.aio().unavailable(), Some(Errno::AGAIN));
            works(&temp, &file).await;
        });
        assert_eq!(warnings(), 1);
        threads(1).block_on(async {
            let builder = Aio::builder().fallback(Fallback::Error);
            let errno = builder.start().unwrap_err().raw_os_error();
            assert_eq!(errno, Some(libc::EAGAIN));
        });
    });
}

/// The reactor signals its eventfd by statx and write. A sandbox without statx stops that,
/// which must not stop tasks that wait for a slot.
#[test]
fn tasks_get_their_slots_without_statx() {
    in_process("tasks_get_their_slots_without_statx", || {
        let temp = Temp::with(&pattern(2 * BLOCK));
        let runtime = threads(2);
        runtime.block_on(async {
            Aio::builder().capacity(2).start().unwrap();
            let file = temp.open(true).await;
            forbid(&[Forbidden(Some(libc::SYS_statx as u32), 0, libc::ENOSYS)]);
            let mut tasks = JoinSet::new();
            for _ in 0..2_000 {
                let file = file.clone();
                tasks.spawn(async move {
                    let (read, _) = file.read_exact_at(file.buffer(BLOCK).unwrap(), 0).await;
                    read.unwrap();
                });
            }
            while let Some(task) = tasks.join_next().await {
                task.unwrap();
            }
        });
    });
}

/// A context that cannot be destroyed is left to the end of the process.
#[test]
fn a_driver_ends_without_io_destroy() {
    in_process("a_driver_ends_without_io_destroy", || {
        let temp = Temp::with(&pattern(2 * BLOCK));
        let runtime = threads(2);
        runtime.block_on(async {
            let file = temp.open(true).await;
            works(&temp, &file).await;
            forbid(&[Forbidden(nr::IO_DESTROY, 0, libc::EPERM)]);
            file.aio().shutdown().await;
        });
        drop(runtime);
        assert!(contexts() <= 1);
    });
}

/// Polls six reads once, on the two slots of a new driver.
fn begun(runtime: &Runtime, temp: &Temp) -> (File, Vec<impl Future<Output = ()> + use<>>) {
    let file = runtime.block_on(async {
        Aio::builder().capacity(2).start().unwrap();
        temp.open(true).await
    });
    let read = |i: usize| {
        let file = file.clone();
        Box::pin(async move {
            let block = file.buffer(BLOCK).unwrap();
            let (read, block) = file.read_at(block, (i % 2 * BLOCK) as u64).await;
            assert_eq!(read.unwrap(), BLOCK);
            assert!(block[..] == pattern(2 * BLOCK)[i % 2 * BLOCK..][..BLOCK]);
        })
    };
    let mut reads: Vec<_> = (0..6).map(read).collect();
    for read in &mut reads {
        let task = &mut Context::from_waker(Waker::noop());
        assert!(read.as_mut().poll(task).is_pending());
    }
    (file, reads)
}

/// A limit of threads, such as `pids.max` of a control group, keeps a driver from the thread that
/// completes its operations at its end.
#[test]
fn operations_complete_where_a_driver_ends_without_a_thread() {
    in_process(
        "operations_complete_where_a_driver_ends_without_a_thread",
        || {
            let temp = Temp::with(&pattern(2 * BLOCK));
            let ends = [one_thread(), threads(2), one_thread(), threads(2)];
            let other = one_thread();
            let begun = ends.map(|runtime| (begun(&runtime, &temp), runtime));
            forbid(&[
                Forbidden(u32::try_from(libc::SYS_clone).ok(), 0, libc::EAGAIN),
                Forbidden(u32::try_from(libc::SYS_clone3).ok(), 0, libc::EAGAIN),
            ]);
            assert!(std::thread::Builder::new().spawn(|| {}).is_err());
            for (i, ((file, reads), runtime)) in begun.into_iter().enumerate() {
                let before = contexts();
                if i < 2 {
                    runtime.block_on(async {
                        let mut reads = reads.into_iter();
                        // It is dropped once the driver has ended.
                        let dropped = reads.next();
                        let ended = file.aio().shutdown();
                        drop(dropped);
                        for read in reads {
                            read.await;
                        }
                        ended.await;
                    });
                } else {
                    drop(runtime);
                    other.block_on(async {
                        for read in reads {
                            read.await;
                        }
                    });
                }
                assert_eq!(contexts(), before - 1);
            }
        },
    );
}
