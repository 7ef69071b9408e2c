//! Tests under load: the scheduler of tokio, tasks without a slot, futures that are dropped.

mod support;

use std::fs::File as StdFile;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::time::{Duration, Instant};

use linux_aio_tokio::{Aio, File};
use support::{BLOCK, Counted, PATIENCE, Temp, idle, in_both, one_thread, pattern, threads};
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

/// Creates a file of one hole. A direct read of it completes while it is submitted.
async fn hole(blocks: u64) -> (Temp, File) {
    let temp = Temp::new();
    let file = StdFile::create(&temp.0).unwrap();
    file.set_len(blocks * BLOCK as u64).unwrap();
    let file = temp.open(true).await;
    (temp, file)
}

/// Reads blocks one after the other until it is stopped. Returns their number.
async fn read_until(stop: &AtomicBool, file: &File, at: u64) -> usize {
    let mut buffer = file.buffer(BLOCK).unwrap();
    let mut reads = 0;
    while !stop.load(Relaxed) {
        let read;
        (read, buffer) = file.read_exact_at(buffer, at * BLOCK as u64).await;
        read.unwrap();
        reads += 1;
    }
    reads
}

/// Polls all of the futures whenever the task is polled, until each is ready.
async fn all<F: Future>(futures: Vec<F>) {
    let mut futures: Vec<_> = futures.into_iter().map(|f| Some(Box::pin(f))).collect();
    poll_fn(|task| {
        let mut pending = false;
        for place in &mut futures {
            if let Some(future) = place {
                match future.as_mut().poll(task) {
                    Poll::Ready(_) => *place = None,
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
}

/// Without the budget of tokio no reader ever returns to the scheduler: the timer never
/// fires, and the readers never stop.
async fn readers_beside_a_timer() {
    let (_temp, file) = hole(256).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for task in 0..16 {
        let (file, stop) = (file.clone(), stop.clone());
        tasks.spawn(async move {
            let readers = (0..16).map(|reader| read_until(&stop, &file, task * 16 + reader));
            all(readers.collect()).await;
        });
    }
    let mut ticks = interval(Duration::from_millis(10));
    let begin = Instant::now();
    for _ in 0..20 {
        ticks.tick().await;
    }
    stop.store(true, Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    assert!(begin.elapsed() < PATIENCE, "the timer was late");
}

#[test]
fn readers_of_a_hole_let_a_timer_fire() {
    // One worker, which both the readers and the timer need.
    watched(|| {
        threads(1)
            .block_on(async { tokio::spawn(readers_beside_a_timer()).await })
            .unwrap()
    });
    watched(|| one_thread().block_on(readers_beside_a_timer()));
    watched(|| threads(4).block_on(readers_beside_a_timer()));
}

/// Fails instead of running for ever.
fn watched(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(test);
    let begin = Instant::now();
    while !thread.is_finished() {
        assert!(begin.elapsed() < PATIENCE, "the runtime never got its turn");
        std::thread::sleep(Duration::from_millis(5));
    }
    thread.join().unwrap();
}

#[test]
fn a_timeout_fires_around_reads_of_cached_data() {
    watched(|| {
        threads(1).block_on(async {
            let task = tokio::spawn(async {
                let file = File::open("/proc/self/exe").await.unwrap();
                let stop = AtomicBool::new(false);
                let cached = file.clone();
                // Not direct: the page cache has the data.
                assert!(!cached.is_direct());
                let endless = async {
                    let mut buffer = vec![0; 16];
                    while !stop.load(Relaxed) {
                        buffer = file.read_at(buffer, 0).await.1;
                    }
                };
                timeout(Duration::from_millis(50), endless).await.is_err()
            });
            assert!(task.await.unwrap(), "the timeout did not fire");
        });
    });
}

/// Tasks wait for slots, and each gets one.
#[test]
fn ten_thousand_tasks_share_64_slots() {
    in_both(|| async {
        let aio = Aio::builder().capacity(64).start().unwrap();
        let content = pattern(64 * BLOCK);
        let temp = Temp::with(&content);
        let file = temp.open(true).await;
        let most = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for i in 0..10_000_u64 {
            let (file, aio, most) = (file.clone(), aio.clone(), most.clone());
            tasks.spawn(async move {
                let at = i % 64 * BLOCK as u64;
                let (read, buffer) = file.read_exact_at(file.buffer(BLOCK).unwrap(), at).await;
                read.unwrap();
                most.fetch_max(aio.in_flight(), Relaxed);
                (at as usize, buffer)
            });
        }
        let mut ended = 0;
        while let Some(task) = timeout(PATIENCE, tasks.join_next()).await.unwrap() {
            let (at, buffer) = task.unwrap();
            assert!(buffer[..] == content[at..at + BLOCK]);
            ended += 1;
        }
        assert_eq!(ended, 10_000);
        assert!(most.load(Relaxed) <= 64);
        assert_eq!(aio.in_flight(), 0);
    });
}

/// Tasks that one turn has woken begin their next operations together: the first of them is
/// not alone, though nothing is in flight. A submission of its own would cost a system call
/// and an interrupt.
#[test]
fn an_operation_waits_for_those_of_the_tasks_that_were_woken_with_it() {
    one_thread().block_on(async {
        let (_temp, file) = hole(4).await;
        let aio = file.aio();
        let begin = |block: u64| {
            let buffer = file.buffer(BLOCK).unwrap();
            Box::pin(file.read_at(buffer, block * BLOCK as u64))
        };
        let (mut first, mut second) = (begin(0), begin(1));
        let both = poll_fn(|task| {
            let _ = (first.as_mut().poll(task), second.as_mut().poll(task));
            Poll::Ready(())
        });
        both.await;
        idle(&aio).await;
        assert_eq!(first.await.0.unwrap(), BLOCK);
        // The second has completed, too, and its task may begin another read.
        let mut third = begin(2);
        assert!(polled(third.as_mut()).await.is_pending());
        assert_eq!(
            aio.in_flight(),
            1,
            "the third was submitted, and has completed"
        );
        assert_eq!(second.await.0.unwrap(), BLOCK);
        assert_eq!(third.await.0.unwrap(), BLOCK);
        // An operation that is alone is submitted in its first poll.
        let mut alone = begin(3);
        let _ = polled(alone.as_mut()).await;
        assert_eq!(aio.in_flight(), 0, "the hole was not read");
        assert_eq!(alone.await.0.unwrap(), BLOCK);
    });
}

/// Polls a future once.
async fn polled<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|task| Poll::Ready(future.as_mut().poll(task))).await
}

/// In each of the two runtimes.
const ROUNDS: usize = 10_000;
const PLACES: usize = 64;

/// The operation of a task that has waited begins in a later poll than the first.
#[test]
fn the_last_task_that_waits_for_the_only_slot_gets_it() {
    in_both(|| async {
        Aio::builder().capacity(1).start().unwrap();
        let temp = Temp::with(&pattern(4 * BLOCK));
        let file = temp.open(true).await;
        for _ in 0..100 {
            let mut tasks = JoinSet::new();
            for at in 0..3 {
                let (file, at) = (file.clone(), at * BLOCK as u64);
                tasks.spawn(async move {
                    let buffer = file.buffer(BLOCK).unwrap();
                    file.read_exact_at(buffer, at).await.0.unwrap();
                });
            }
            while let Some(task) = timeout(PATIENCE, tasks.join_next()).await.unwrap() {
                task.unwrap();
            }
        }
    });
}

/// A task that was woken for a slot, and does something else first, does not keep it from the
/// others. No completion announces that: the driver is requested to look.
#[test]
fn a_slot_that_a_woken_task_does_not_take_goes_to_the_next() {
    in_both(|| async {
        Aio::builder().capacity(1).start().unwrap();
        let temp = Temp::with(&pattern(4 * BLOCK));
        let file = temp.open(true).await;
        for _ in 0..20 {
            let (mut holds, mut waits) = (
                pin!(read_block(file.clone(), 0)),
                pin!(read_block(file.clone(), 1)),
            );
            assert!(polled(holds.as_mut()).await.is_pending());
            assert!(polled(waits.as_mut()).await.is_pending());
            let (begun, begins) = tokio::sync::oneshot::channel();
            let file = file.clone();
            let other = tokio::spawn(async move {
                let mut other = pin!(read_block(file, 2));
                assert!(polled(other.as_mut()).await.is_pending());
                begun.send(()).unwrap();
                other.await;
            });
            begins.await.unwrap();
            // Its slot is for `waits`, which is not polled meanwhile.
            holds.await;
            timeout(PATIENCE / 4, other).await.unwrap().unwrap();
            waits.await;
        }
    });
}

async fn read_block(file: File, block: u64) {
    let buffer = file.buffer(BLOCK).unwrap();
    let (read, _buffer) = file.read_exact_at(buffer, block * BLOCK as u64).await;
    read.unwrap();
}

/// A block of the file in a test that drops writes.
#[derive(Clone, Copy, Default)]
struct Place {
    /// The stamp of the last write that has completed.
    written: u32,
    /// That of a later write, whose future was dropped: it happens as a whole or not at
    /// all.
    dropped: Option<u32>,
    /// No write of the place is in flight.
    settled: bool,
}

impl Place {
    fn verify(&mut self, block: &[u8]) {
        let stamp = whole(block);
        assert!(
            stamp == self.written || Some(stamp) == self.dropped,
            "another write's bytes"
        );
        *self = Place {
            written: stamp,
            dropped: None,
            settled: true,
        };
    }
}

/// Drops most writes in flight.
async fn dropped_writes() {
    let temp = Temp::with(&[0; PLACES * BLOCK]);
    let file = temp.open(true).await;
    let count = Arc::new(());
    let mut places = [Place::default(); PLACES];
    let (mut random, mut dropped) = (1_u32, 0);
    for round in 1..=ROUNDS as u32 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let place = random as usize >> 16 & (PLACES - 1);
        let at = (place * BLOCK) as u64;
        if places[place].dropped.is_some() {
            if !places[place].settled {
                // The order of two writes to one place is not defined.
                settle(&file.aio()).await;
                places.iter_mut().for_each(|place| place.settled = true);
            }
            let (read, mut back) = file.read_exact_at(Counted::new(&count, 1), at).await;
            read.unwrap();
            places[place].verify(back.bytes());
        }
        let mut buffer = Counted::new(&count, 1);
        let stamps = round.to_ne_bytes().repeat(BLOCK / 4);
        buffer.bytes().copy_from_slice(&stamps);
        tokio::select! {
            biased;
            (written, mut back) = file.write_all_at(buffer, at) => {
                written.unwrap();
                assert_eq!(whole(back.bytes()), round);
                places[place].written = round;
            }
            () = polls(random as usize >> 3 & 1) => {
                places[place].dropped = Some(round);
                places[place].settled = false;
                dropped += 1;
            }
        }
    }
    settle(&file.aio()).await;
    // The driver's task may be in the middle of its turn, with the last buffers.
    let begin = Instant::now();
    while Arc::strong_count(&count) > 1 {
        assert!(begin.elapsed() < PATIENCE, "a buffer was lost");
        tokio::task::yield_now().await;
    }
    assert!(dropped > ROUNDS / 10, "only {dropped} writes were dropped");
    for (place, block) in places.iter_mut().zip(temp.content().chunks_exact(BLOCK)) {
        place.verify(block);
    }
}

/// Waits until no operation is in flight, and does not sleep meanwhile.
async fn settle(aio: &Aio) {
    let begin = Instant::now();
    while aio.in_flight() > 0 {
        assert!(begin.elapsed() < PATIENCE, "{aio:?}");
        tokio::task::yield_now().await;
    }
}

/// Returns the stamp that each word of a block has.
fn whole(block: &[u8]) -> u32 {
    let (first, rest) = block.split_first_chunk().unwrap();
    // Each word equals the one before it.
    assert!(*rest == block[..rest.len()], "a torn block");
    u32::from_ne_bytes(*first)
}

/// Is ready at the poll after this many.
async fn polls(mut pending: usize) {
    poll_fn(|task| {
        if pending == 0 {
            return Poll::Ready(());
        }
        pending -= 1;
        task.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn twenty_thousand_selects_drop_writes_and_lose_nothing() {
    in_both(|| async { dropped_writes().await });
}

/// The buffer of a read that is dropped is not reused before the kernel has filled it.
#[test]
fn a_dropped_read_writes_to_no_other_buffer() {
    in_both(|| async {
        let temp = Temp::with(&vec![7; PLACES * BLOCK]);
        let file = temp.open(true).await;
        let count = Arc::new(());
        let mut in_flight = 0;
        for round in 0..2_000 {
            let at = (round % PLACES * BLOCK) as u64;
            {
                let mut read = pin!(file.read_exact_at(Counted::new(&count, 1), at));
                let polled = poll_fn(|task| Poll::Ready(read.as_mut().poll(task))).await;
                in_flight += usize::from(polled.is_pending());
            }
            // The allocator returns memory of the same size that was freed last.
            let mut other = Counted::new(&count, 1);
            tokio::task::yield_now().await;
            assert!(other.bytes().iter().all(|byte| *byte == 0), "round {round}");
        }
        assert!(in_flight > 0, "no read was in flight");
        idle(&file.aio()).await;
    });
}
