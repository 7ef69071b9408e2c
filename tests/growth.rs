//! Tests that memory is freed. The test has its own file, as sanitizers keep freed
//! memory.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

mod support;

use std::fs::File;
use std::sync::Arc;

use linux_aio::Queue;
use linux_aio::op::Read;
use support::TempFile;

/// Slots, buffers and contexts are freed.
#[test]
fn nothing_grows_with_the_number_of_queues() {
    let file = TempFile::with(&[7; 4096]);
    let shared = Arc::new(file.file.try_clone().unwrap());
    let resident = || {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4
    };
    let mut pool = linux_aio::ContextPool::<1>::new();
    let mut round = |reader: &Arc<File>| {
        let mut queue = Queue::<Vec<u8>, Arc<File>>::with_capacity(256).unwrap();
        for number in 0..256 {
            let read = Read::owned(reader.clone(), vec![0; 8]).offset(number);
            queue.push(read).unwrap();
        }
        queue.submit().unwrap();
        // Destroying the context itself takes tens of milliseconds.
        drop(pool.put(queue.into_idle_context().unwrap()));
        drop(pool.take(256));
    };
    round(&shared);
    // A round has 2 KiB of buffers and some 30 KiB of slots. Other tests beside this
    // one allocate memory too, but not each time.
    let mut grows = || {
        let before = resident();
        for _ in 0..30 {
            round(&shared);
        }
        resident().saturating_sub(before) >= 512
    };
    let still = (0..5).all(|_| grows());
    assert!(!still, "each time by half a megabyte and more");
    assert_eq!(Arc::strong_count(&shared), 1);
}
