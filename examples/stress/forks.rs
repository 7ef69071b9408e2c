//! Forked children: they inherit contexts and queues with operations in flight, and
//! must not harm them.

use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use linux_aio::op::{Poll, Read};
use linux_aio::opcode::PollMask;
use linux_aio::{AioContext, Errno, Queue, Slot, sys};

use crate::blocks::{Blocks, Random, SIZE};
use crate::os;

/// The pause between forks: about eight forks a second.
const PERIOD: Duration = Duration::from_millis(120);
/// The time limit of a child, in seconds; a signal then ends it.
const PATIENCE: u32 = 20;
/// The number of reads in flight at the fork.
const READS: usize = 3;

static DROPPED: AtomicUsize = AtomicUsize::new(0);

/// A value beside a buffer that counts its drop.
struct CountedDrop;

impl Drop for CountedDrop {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Relaxed);
    }
}

type Buffer = (Box<[u8]>, CountedDrop);

fn buffer() -> Buffer {
    (vec![0; SIZE].into(), CountedDrop)
}

fn read(blocks: &Blocks, block: u32) -> Read<'_, Buffer> {
    Read::new(&*blocks.file, buffer()).offset(blocks.offset(block))
}

/// Forks until `stop` is set, at least once. Returns the number of forks.
pub(crate) fn fork_and_fork(names: &[AioContext], directory: &Path, stop: &AtomicBool) -> usize {
    let mut blocks = Blocks::new(255, directory);
    let block = blocks.take(&mut Random::new(0));
    let never = os::eventfd();
    let mut slots = Slot::<Buffer>::array::<8>();
    let mut queue = ManuallyDrop::new(Queue::new(&mut slots).unwrap());
    let mut count = 0;
    while count == 0 || !stop.load(Relaxed) {
        let read = || read(&blocks, block);
        let mut in_flight: Vec<_> = (0..READS).map(|_| queue.push(read()).unwrap()).collect();
        let poll = queue.push(Poll::new(&never, PollMask::IN)).unwrap();
        assert_eq!(queue.submit(), Ok(READS + 1));
        // This read is staged when the process forks: both processes have it, and the
        // parent submits it.
        in_flight.extend([poll, queue.push(read()).unwrap()]);
        DROPPED.store(0, Relaxed);
        let status = in_child(|| {
            // SAFETY: this takes the value in the child's copy of the memory. The child
            // exits after this closure, so it does not use `queue` again.
            let inherited = unsafe { ManuallyDrop::take(&mut queue) };
            child(names, inherited, &blocks, block)
        });
        assert_eq!(status, 0, "the child's exit status");
        assert_eq!(queue.submit(), Ok(1));
        assert_eq!(queue.cancel(poll), Ok(()));
        while let Some(done) = queue.wait().unwrap() {
            let Some(at) = in_flight.iter().position(|&ticket| ticket == done.ticket) else {
                panic!("{:?} has come twice: BAD", done.ticket);
            };
            in_flight.swap_remove(at);
            let expected = if done.ticket == poll { 0 } else { SIZE };
            assert_eq!(done.result, Ok(expected));
            if let Some((bytes, _)) = done.buffer {
                assert!(
                    blocks.is_right(block, &bytes),
                    "the child has harmed a buffer"
                );
            }
        }
        assert!(
            in_flight.is_empty(),
            "the child has taken an event: {in_flight:?}"
        );
        assert_eq!(DROPPED.load(Relaxed), READS + 1, "buffers dropped");
        count += 1;
        thread::sleep(PERIOD);
    }
    drop(ManuallyDrop::into_inner(queue));
    count
}

/// Runs the checks of a child. Returns its exit status: 0, or the number of the first
/// check that failed.
fn child(names: &[AioContext], inherited: Queue<'_, Buffer>, blocks: &Blocks, block: u32) -> i32 {
    // The parent's contexts do not exist here.
    for &name in names {
        // SAFETY: no code in the child reads the ring of this context. If the context
        // existed, the parent would detect its destruction.
        if unsafe { sys::io_destroy(name) } != Err(Errno::INVAL) {
            return 1;
        }
    }
    // The buffers in flight in the parent are leaked; the other one is dropped.
    drop(inherited);
    if DROPPED.load(Relaxed) != 1 {
        return 2;
    }
    // A new context works in the child.
    let mut slots = Slot::<Buffer>::array::<1>();
    let Ok(mut queue) = Queue::new(&mut slots) else {
        return 3;
    };
    if queue.push(read(blocks, block)).is_err() || queue.submit() != Ok(1) {
        return 4;
    }
    let Ok(done) = queue.wait() else { return 5 };
    let bytes = done.and_then(|done| done.buffer);
    if !bytes.is_some_and(|(bytes, _)| blocks.is_right(block, &bytes)) {
        return 6;
    }
    // The end of the process destroys the context sooner than a drop would.
    core::mem::forget(queue);
    0
}

fn in_child(body: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the C library keeps its allocator usable in the child of a process with
    // threads. The child takes no other lock that another thread may hold, and it ends
    // with `_exit`.
    unsafe {
        match libc::fork() {
            -1 => panic!("fork: {}", std::io::Error::last_os_error()),
            0 => {
                libc::alarm(PATIENCE);
                libc::_exit(body())
            }
            child => {
                let mut status = 0;
                assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
                assert!(
                    libc::WIFEXITED(status),
                    "the child died: status {status:#x}"
                );
                libc::WEXITSTATUS(status)
            }
        }
    }
}
