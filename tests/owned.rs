//! Tests of queues, reactors and scopes that own their slots.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

mod support;

use std::fs::File;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, Waker};
use std::thread;

use linux_aio::op::{Poll as PollOp, Read};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Reactor, Shared};
use linux_aio::{Errno, Queue, Slot, WaitOptions, scope_with_capacity};
use support::{TempFile, pattern};

/// A file and a queue in one structure, without a lifetime.
struct Store {
    file: Arc<File>,
    queue: Queue<'static, Vec<u8>, Arc<File>>,
}

impl Store {
    fn new(file: Arc<File>, depth: u32) -> Store {
        let queue = Queue::with_capacity(depth).unwrap();
        Store { file, queue }
    }

    fn read(&mut self, offset: u64) {
        let op = Read::owned(self.file.clone(), vec![0; 8]).offset(offset);
        self.queue.push(op).unwrap();
    }
}

fn content() -> (TempFile, Vec<u8>, Arc<File>) {
    let bytes = pattern(4096);
    let file = TempFile::with(&bytes);
    let shared = Arc::new(file.file.try_clone().unwrap());
    (file, bytes, shared)
}

#[test]
fn a_structure_holds_a_queue_and_moves_with_operations_in_flight() {
    let (_file, bytes, shared) = content();
    let mut store = Box::new(Store::new(shared, 100));
    assert_eq!(store.queue.capacity(), 100);
    for number in 0..100 {
        store.read(number * 8);
    }
    assert!(
        store
            .queue
            .push(Read::owned(store.file.clone(), vec![]))
            .is_err()
    );
    store.queue.submit().unwrap();
    let moved = *store;
    let mut store = thread::spawn(move || moved).join().unwrap();
    let mut seen = 0;
    while let Some(done) = store.queue.wait().unwrap() {
        assert_eq!(done.result, Ok(8));
        let read = done.buffer.unwrap();
        seen += usize::from(bytes.chunks(8).any(|chunk| chunk == read));
    }
    assert_eq!(seen, 100);
}

#[test]
fn a_capacity_that_no_machine_has_is_an_error() {
    for capacity in [0, u32::MAX, 1 << 31] {
        let queue = Queue::<Vec<u8>>::with_capacity(capacity);
        let errno = queue.map(drop).unwrap_err();
        assert!(
            [Errno::INVAL, Errno::AGAIN, Errno::NOMEM].contains(&errno),
            "{errno}"
        );
        assert!(Reactor::<Vec<u8>>::with_capacity(capacity).is_err());
        assert!(scope_with_capacity(capacity, |_| ()).is_err());
    }
}

#[test]
fn dropping_an_owned_queue_waits_and_drops_every_buffer() {
    let (_file, _, shared) = content();
    let mut store = Store::new(shared.clone(), 4);
    let (reader, _writer) = support::pipe();
    for number in 0..3 {
        store.read(number);
    }
    // This operation never completes; its data is dropped with the others.
    let reader = Arc::new(File::from(reader));
    let never = PollOp::owned(reader.clone(), PollMask::IN);
    store.queue.push(never).unwrap();
    store.queue.submit().unwrap();
    assert_eq!(Arc::strong_count(&shared), 5);
    drop(store);
    assert_eq!(
        (Arc::strong_count(&shared), Arc::strong_count(&reader)),
        (1, 1)
    );
}

#[test]
fn an_owned_reactor_is_shared_by_threads() {
    let (_file, bytes, shared) = content();
    let reactor = Arc::new(Reactor::<Vec<u8>, Shared, Arc<File>>::with_capacity(8).unwrap());
    let threads: Vec<_> = (0..4_u64)
        .map(|number| {
            let (reactor, file) = (reactor.clone(), shared.clone());
            thread::spawn(move || {
                let op = Read::owned(file, vec![0; 16]).offset(number * 16);
                let mut read = pin!(reactor.push(op));
                loop {
                    let task = &mut Task::from_waker(Waker::noop());
                    if let Poll::Ready(done) = read.as_mut().poll(task) {
                        return done.buffer;
                    }
                    reactor.turn().unwrap();
                }
            })
        })
        .collect();
    for (number, thread) in threads.into_iter().enumerate() {
        assert_eq!(thread.join().unwrap(), bytes[number * 16..][..16]);
    }
}

#[test]
fn a_scope_of_a_capacity_chosen_at_run_time() {
    let (file, bytes, _) = content();
    let mut read = [[0_u8; 4]; 50];
    scope_with_capacity(50, |s| {
        for (number, buffer) in read.iter_mut().enumerate() {
            let begun = s.read(&file.file, buffer, number as u64 * 4);
            drop(begun.unwrap());
        }
        s.wait_with(0, WaitOptions::poll()).unwrap();
    })
    .unwrap();
    assert_eq!(read.concat(), bytes[..200]);
}

/// The child leaks the operations that its parent has in flight.
#[test]
fn a_forked_child_drops_an_inherited_queue() {
    let (_file, _, shared) = content();
    let mut store = Store::new(shared, 4);
    let (reader, _writer) = support::pipe();
    let never = PollOp::owned(Arc::new(File::from(reader)), PollMask::IN);
    store.queue.push(never).unwrap();
    store.queue.submit().unwrap();
    let mut store = Some(store);
    let child = || {
        drop(store.take());
        0
    };
    assert_eq!(support::in_child(child), 0);
}

/// The other destructors run, and the slots are freed once.
#[test]
fn a_destructor_that_panics_keeps_no_other_from_running() {
    struct Data(Arc<()>, bool);
    impl Drop for Data {
        fn drop(&mut self) {
            assert!(!self.1, "{} are left", Arc::strong_count(&self.0));
        }
    }
    let (file, _, _) = content();
    let counted = Arc::new(());
    let mut queue = Queue::<Vec<u8>, Data>::with_capacity(4).unwrap();
    for number in 0..4 {
        let read = Read::new(&file.file, vec![0; 8]);
        let pushed = queue.push(read.data(Data(counted.clone(), number == 1)));
        assert!(pushed.is_ok());
    }
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(queue)));
    assert!(dropped.is_err());
    assert_eq!(Arc::strong_count(&counted), 1);
}

/// Slots in memory that was never initialised, at a depth that is known at run time.
#[test]
fn slots_are_made_of_uninitialised_memory() {
    use std::mem::MaybeUninit;
    let (file, bytes, _) = content();
    let depth = std::env::args().count() + 2;
    let layout = std::alloc::Layout::array::<Slot<Vec<u8>>>(depth).unwrap();
    // SAFETY: the layout is not empty; the memory is leaked.
    let memory = unsafe { std::alloc::alloc(layout) }.cast::<MaybeUninit<Slot<Vec<u8>>>>();
    assert!(!memory.is_null());
    // SAFETY: the memory holds as many slots, which may be uninitialised.
    let memory = unsafe { std::slice::from_raw_parts_mut(memory, depth) };
    let mut queue = Queue::new(Slot::init_slice(memory)).unwrap();
    assert_eq!(queue.capacity(), depth);
    for _ in 0..depth {
        queue.push(Read::new(&file.file, vec![0; 8])).unwrap();
    }
    while let Some(done) = queue.wait().unwrap() {
        assert_eq!(done.buffer.unwrap(), bytes[..8]);
    }
}
