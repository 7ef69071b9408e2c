//! Sums a file with the executor of smol, whose poller waits for the reactor's eventfd:
//!
//! ```sh
//! cargo run -p runtimes --bin smol -- FILE
//! ```

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::sync::Arc;

use async_executor::Executor;
use async_io::{Async, block_on};
use runtimes::{DEPTH, Shares, open, print, reactor, work};

fn main() -> Result<()> {
    let path = std::env::args_os().nth(1);
    let file = open(path.ok_or_else(|| Error::other("smol FILE"))?)?;
    let (reactor, eventfd) = reactor()?;
    let executor = Executor::new();
    let driver = executor.spawn(drive(reactor.clone(), eventfd));
    let results = block_on(executor.run(async {
        let tasks: Vec<_> = (0..DEPTH)
            .map(|first| executor.spawn(work(reactor.clone(), file.clone(), first)))
            .collect();
        let mut results = Vec::new();
        for task in tasks {
            results.push(task.await?);
        }
        driver.cancel().await;
        Ok::<_, Error>(results)
    }))?;
    print(&results);
    Ok(())
}

/// Turns the reactor whenever its eventfd is signalled.
async fn drive(reactor: Arc<Shares>, eventfd: Arc<File>) -> Result<()> {
    let eventfd = Async::new(eventfd)?;
    loop {
        eventfd.readable().await?;
        // Before the turn: a completion in between signals it again.
        match eventfd.get_ref().as_ref().read(&mut [0; 8]) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => reactor.turn()?,
        };
    }
}
