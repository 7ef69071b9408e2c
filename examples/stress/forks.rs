//! Children: they inherit contexts and queues in flight, and must not harm
//! them.

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

/// About eight a second.
const PERIOD: Duration = Duration::from_millis(120);
/// A child that hangs is ended by a signal.
const PATIENCE: u32 = 20;
/// Reads in flight at the fork.
const READS: usize = 3;

static DROPPED: AtomicUsize = AtomicUsize::new(0);

/// Beside a buffer, tells when that is dropped.
struct Told;

impl Drop for Told {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Relaxed);
    }
}

type Buffer = (Box<[u8]>, Told);

fn buffer() -> Buffer {
    (vec![0; SIZE].into(), Told)
}

fn read(blocks: &Blocks, block: u32) -> Read<'_, Buffer> {
    Read::new(&*blocks.file, buffer()).offset(blocks.offset(block))
}

/// Forks until it is `over`, at least once. How many times.
pub(crate) fn fork_and_fork(names: &[AioContext], directory: &Path, over: &AtomicBool) -> usize {
    let mut blocks = Blocks::new(255, directory);
    let block = blocks.take(&mut Random::new(0));
    let never = os::eventfd();
    let mut slots = Slot::<Buffer>::array::<8>();
    let mut queue = ManuallyDrop::new(Queue::new(&mut slots).unwrap());
    let mut count = 0;
    while count == 0 || !over.load(Relaxed) {
        let read = || read(&blocks, block);
        let mut flying: Vec<_> = (0..READS).map(|_| queue.push(read()).unwrap()).collect();
        let poll = queue.push(Poll::new(&never, PollMask::IN)).unwrap();
        assert_eq!(queue.submit(), Ok(READS + 1));
        // Staged when the process forks: both have it, the parent submits it.
        flying.extend([poll, queue.push(read()).unwrap()]);
        DROPPED.store(0, Relaxed);
        let status = in_child(|| {
            // SAFETY: this is the child's copy, which nobody uses after this:
            // the child ends here.
            let inherited = unsafe { ManuallyDrop::take(&mut queue) };
            child(names, inherited, &blocks, block)
        });
        assert_eq!(status, 0, "the child's exit status");
        assert_eq!(queue.submit(), Ok(1));
        assert_eq!(queue.cancel(poll), Ok(()));
        while let Some(done) = queue.wait().unwrap() {
            let Some(at) = flying.iter().position(|&ticket| ticket == done.ticket) else {
                panic!("{:?} has come twice: BAD", done.ticket);
            };
            flying.swap_remove(at);
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
            flying.is_empty(),
            "the child has taken an event: {flying:?}"
        );
        assert_eq!(DROPPED.load(Relaxed), READS + 1, "buffers dropped");
        count += 1;
        thread::sleep(PERIOD);
    }
    drop(ManuallyDrop::into_inner(queue));
    count
}

/// What a child may do, and what it cannot. The exit status: the number of the
/// first thing that went wrong.
fn child(names: &[AioContext], inherited: Queue<'_, Buffer>, blocks: &Blocks, block: u32) -> i32 {
    // The parent's contexts do not exist here.
    for &name in names {
        // SAFETY: if it did, the parent would notice, and nothing here.
        if unsafe { sys::io_destroy(name) } != Err(Errno::INVAL) {
            return 1;
        }
    }
    // What the parent's kernel may still be at is leaked; the rest is dropped.
    drop(inherited);
    if DROPPED.load(Relaxed) != 1 {
        return 2;
    }
    // And a context of the child's own works.
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
    // The process's end destroys it sooner than the drop.
    core::mem::forget(queue);
    0
}

fn in_child(body: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the C library keeps its allocator usable in the child of a
    // process with threads; no other lock of another thread is taken there,
    // and it ends by _exit.
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
