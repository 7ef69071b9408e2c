//! Measures the cost of destroying a context, and the time saved by reusing one or by
//! destroying many concurrently: `cargo run --release --features std --example reuse`.

use std::time::{Duration, Instant};

use linux_aio::{Context, ContextPool, Errno, Queue, Slot, destroy_all};

const TIMES: u32 = 16;
const MANY: usize = 64;

fn time(f: impl FnOnce() -> Result<(), Errno>) -> Result<Duration, Errno> {
    let begin = Instant::now();
    f()?;
    Ok(begin.elapsed())
}

fn contexts() -> Result<Vec<Context>, Errno> {
    (0..MANY).map(|_| Context::new(8)).collect()
}

fn main() -> Result<(), Errno> {
    let mut slots = Slot::<()>::array::<8>();
    let new = time(|| {
        for _ in 0..TIMES {
            drop(Queue::new(&mut slots)?);
        }
        Ok(())
    })? / TIMES;
    let mut pool = ContextPool::<1>::new();
    let full = pool.put(Queue::new(&mut slots)?.into_idle_context()?);
    assert!(full.is_none());
    let again = time(|| {
        for _ in 0..1000 * TIMES {
            let queue = Queue::with_context(pool.take(8)?, &mut slots);
            let full = pool.put(queue.into_idle_context()?);
            assert!(full.is_none());
        }
        Ok(())
    })? / (1000 * TIMES);
    println!("a queue made and dropped:  {new:?}");
    println!("the same from a pool:      {again:?}");

    let (one, several) = (contexts()?, contexts()?);
    let one = time(|| one.into_iter().try_for_each(Context::destroy))?;
    let several = time(|| destroy_all(several).into_iter().collect())?;
    println!("{MANY} contexts one by one:    {one:?}");
    println!("{MANY} contexts side by side:  {several:?}");
    Ok(())
}
