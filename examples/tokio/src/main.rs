//! Copies a file with the reactor's futures in both of tokio's runtimes, beside a
//! timer:
//!
//! ```sh
//! cargo run -p tokio-reactor -- SOURCE TARGET
//! ```
//!
//! The file is copied four times: on one thread and on several, through the page cache
//! and past it. Each copy is compared with the source. The exit status is 1 if one
//! differs.

mod copy;

use std::fs;
use std::io::Error;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use linux_aio::reactor::{Local, Shared};
use linux_aio::{Context, Errno};
use tokio::runtime::Builder;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::interval;

use copy::{Job, WORKERS};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [source, target] = &arguments[..] else {
        eprintln!("tokio-reactor SOURCE TARGET");
        return ExitCode::from(2);
    };
    let (source, target) = (Path::new(source), Path::new(target));
    if let Err(errno @ (Errno::NOSYS | Errno::PERM)) = Context::new(1) {
        eprintln!("tokio-reactor: there is no AIO here: {errno}");
        return ExitCode::FAILURE;
    }
    match all(source, target) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tokio-reactor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn all(source: &Path, target: &Path) -> Result<(), Error> {
    for direct in [false, true] {
        for (name, copy) in [
            ("one thread", one_thread as fn(&Path, &Path, bool) -> _),
            ("several threads", several_threads),
        ] {
            let copied: Copied = copy(source, target, direct)?;
            if fs::read(source)? != fs::read(target)? {
                return Err(Error::other("the copy differs"));
            }
            let way = if direct { "direct" } else { "buffered" };
            let Copied { chunks, ticks } = copied;
            println!("{name}, {way}: the same, {chunks} chunks; {ticks} ticks of a timer");
        }
    }
    Ok(())
}

/// The statistics of a copy.
struct Copied {
    chunks: usize,
    ticks: usize,
}

/// The tasks that copy, and two that end only on an error.
type Tasks = JoinSet<Result<usize, Error>>;

/// Copies on one thread: the reactor has no lock, and the tasks stay on their thread.
fn one_thread(source: &Path, target: &Path, direct: bool) -> Result<Copied, Error> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let job = Rc::new(Job::<Local>::new(source, target, direct)?);
    let ticks = Arc::new(AtomicUsize::new(0));
    let chunks = LocalSet::new().block_on(&runtime, async {
        let mut tasks = Tasks::new();
        tasks.spawn_local(Job::drive(job.clone()));
        tasks.spawn_local(tick(ticks.clone()));
        for _ in 0..WORKERS {
            tasks.spawn_local(Job::work(job.clone()));
        }
        let chunks = join(&mut tasks, WORKERS).await?;
        tasks.spawn_local(Job::finish(job.clone()));
        join(&mut tasks, 1).await?;
        tasks.shutdown().await;
        Ok::<_, Error>(chunks)
    })?;
    Rc::into_inner(job).ok_or_else(left)?.end()?;
    Ok(Copied {
        chunks,
        ticks: ticks.load(Relaxed),
    })
}

/// Copies on several threads: they share a reactor, and the tasks move between them.
fn several_threads(source: &Path, target: &Path, direct: bool) -> Result<Copied, Error> {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(4).enable_all().build()?;
    let job = Arc::new(Job::<Shared>::new(source, target, direct)?);
    let ticks = Arc::new(AtomicUsize::new(0));
    let chunks = runtime.block_on(async {
        let mut tasks = Tasks::new();
        tasks.spawn(Job::drive(job.clone()));
        tasks.spawn(tick(ticks.clone()));
        for _ in 0..WORKERS {
            tasks.spawn(Job::work(job.clone()));
        }
        let chunks = join(&mut tasks, WORKERS).await?;
        tasks.spawn(Job::finish(job.clone()));
        join(&mut tasks, 1).await?;
        tasks.shutdown().await;
        Ok::<_, Error>(chunks)
    })?;
    Arc::into_inner(job).ok_or_else(left)?.end()?;
    Ok(Copied {
        chunks,
        ticks: ticks.load(Relaxed),
    })
}

/// Waits for this many of the tasks, or for the first error of any. Returns the sum of
/// their results.
async fn join(tasks: &mut Tasks, count: usize) -> Result<usize, Error> {
    let mut sum = 0;
    for _ in 0..count {
        if let Some(done) = tasks.join_next().await {
            sum += done??;
        }
    }
    Ok(sum)
}

/// Counts milliseconds.
async fn tick(ticks: Arc<AtomicUsize>) -> Result<usize, Error> {
    let mut interval = interval(Duration::from_millis(1));
    loop {
        interval.tick().await;
        ticks.fetch_add(1, Relaxed);
    }
}

fn left() -> Error {
    Error::other("a task is left")
}
