//! Tests that a task which reads cached data in a loop lets a timeout around it fire.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use linux_aio::op::Read;
use linux_aio::reactor::{Reactor, Shared};
use tokio::runtime::Builder;
use tokio::time::timeout;
use tokio_reactor::{drive, eventfd};

type Shares = Reactor<'static, Vec<u8>, Shared, Arc<File>>;

/// Without the budget the read of cached data is ready in each first poll, and the task
/// never returns to tokio: the loop would end by its own deadline only.
#[test]
fn a_timeout_fires_around_reads_of_cached_data() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let begin = Instant::now();
    let reads = runtime.block_on(async {
        let eventfd = eventfd().unwrap();
        let reactor = Shares::with_capacity(8).unwrap();
        let reactor = Arc::new(reactor.eventfd_owned(eventfd.clone()));
        let driver = reactor.clone();
        tokio::spawn(async move { drive(&*driver, eventfd).await });
        let file = Arc::new(File::open("/proc/self/exe").unwrap());
        let task = tokio::spawn(async move {
            let mut reads = 0_u64;
            let begin = Instant::now();
            let endless = async {
                while begin.elapsed() < Duration::from_secs(20) {
                    let read = Read::owned(file.clone(), vec![0; 16]);
                    assert_eq!(reactor.push_arc(read).await.result, Ok(16));
                    reads += 1;
                }
            };
            let ended = timeout(Duration::from_millis(100), endless).await;
            assert!(ended.is_err(), "the timeout did not fire");
            reads
        });
        task.await.unwrap()
    });
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert!(reads > 0);
}
