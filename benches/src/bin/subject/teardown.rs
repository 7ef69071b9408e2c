//! The destruction of idle contexts.

use linux_aio::{Context, ContextPool, Queue, Slot, destroy_all};

use crate::libaio::LibAio;
use crate::meter::Meter;

/// Destroys `many` contexts, `meter.count` times.
pub(crate) fn teardown(baseline: &str, many: usize, meter: &mut Meter) -> Option<()> {
    let contexts = || -> Vec<Context> { (0..many).map(|_| Context::new(8).unwrap()).collect() };
    let libaio = LibAio::open();
    for _ in 0..meter.count {
        match baseline {
            "destroy" => {
                let contexts = contexts();
                let ended = meter.time(|| contexts.into_iter().try_for_each(Context::destroy));
                assert_eq!(ended, Ok(()));
            }
            "destroy-all" => {
                let contexts = contexts();
                let ended = meter.time(|| destroy_all(contexts));
                assert!(ended.iter().all(|ended| ended.is_ok()));
            }
            "libaio" => {
                let libaio = libaio.as_ref()?;
                let contexts: Vec<_> = (0..many).map(|_| libaio.context(8)).collect();
                // SAFETY: the contexts were created here and are destroyed once.
                let end = |ctx| assert_eq!(unsafe { (libaio.destroy)(ctx) }, 0);
                meter.time(|| contexts.into_iter().for_each(end));
            }
            "uring" => {
                let rings: Vec<_> = (0..many)
                    .map(|_| io_uring::IoUring::new(8).unwrap())
                    .collect();
                meter.time(|| drop(rings));
            }
            // Not destroyed, but drained and reused.
            "pool" => {
                let mut pool = ContextPool::<64>::new();
                for context in contexts() {
                    // SAFETY: a new context has no operations in flight.
                    let idle = unsafe { context.drain(0, 8) }.unwrap();
                    assert!(pool.put(idle).is_none());
                }
                let mut slots = Slot::<()>::array::<8>();
                meter.time(|| {
                    for _ in 0..many {
                        let queue = Queue::with_context(pool.take(8).unwrap(), &mut slots);
                        assert!(pool.put(queue.into_idle_context().unwrap()).is_none());
                    }
                });
                let ends = destroy_all(pool.drain());
                assert_eq!(ends.len(), many);
            }
            _ => return None,
        }
    }
    Some(())
}
