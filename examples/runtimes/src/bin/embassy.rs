//! Sums a file with the executor of embassy, which has no poller: a thread waits for the
//! reactor's eventfd and wakes the tasks.
//!
//! ```sh
//! cargo run -p runtimes --bin embassy -- FILE
//! ```

use std::fs::File;
use std::io::{Error, Result};
use std::process::exit;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use embassy_executor::{Executor, Spawner};
use linux_aio::{Errno, WaitOptions};
use runtimes::{DEPTH, Shares, open, print, reactor, work};

/// The result of a task.
type Summed = Result<(u64, u64)>;

fn main() -> Result<()> {
    let path = std::env::args_os().nth(1);
    let file = open(path.ok_or_else(|| Error::other("embassy FILE"))?)?;
    let (reactor, _) = reactor()?;
    let driver = reactor.clone();
    thread::spawn(move || drive(&driver));
    let (results, receiver) = channel();
    // The executor never returns, so another thread ends the program.
    thread::spawn(move || {
        let all: Result<Vec<_>> = receiver.iter().take(DEPTH).collect();
        match all {
            Ok(results) => {
                print(&results);
                exit(0);
            }
            Err(error) => fail(&error),
        }
    });
    let executor = Box::leak(Box::new(Executor::new()));
    executor.run(|spawner: Spawner| {
        for first in 0..DEPTH {
            match task(reactor.clone(), file.clone(), first, results.clone()) {
                Ok(task) => spawner.spawn(task),
                Err(error) => fail(&Error::other(format!("{error:?}"))),
            }
        }
    })
}

fn fail(error: &Error) -> ! {
    eprintln!("embassy: {error}");
    exit(1)
}

#[embassy_executor::task(pool_size = DEPTH)]
async fn task(reactor: Arc<Shares>, file: Arc<File>, first: usize, results: Sender<Summed>) {
    let summed = work(reactor, file, first).await;
    // The receiver ends with the program.
    let _ = results.send(summed);
}

/// Turns the reactor whenever its eventfd is signalled.
fn drive(reactor: &Shares) {
    loop {
        match reactor.wait_eventfd(WaitOptions::new()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => fail(&errno.into()),
        }
    }
}
