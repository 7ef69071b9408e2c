//! A log that several tasks append to. A record is acknowledged when the disk has it, and
//! one sync serves all the records that came meanwhile:
//!
//! ```sh
//! cargo run -p linux-aio-tokio --example log -- FILE
//! ```

use std::io::{Error, Result};

use linux_aio_tokio::File;
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// A record, and the task that waits for it.
type Record = (Vec<u8>, oneshot::Sender<()>);

#[tokio::main]
async fn main() -> Result<()> {
    let path = std::env::args_os()
        .nth(1)
        .ok_or_else(|| Error::other("log FILE"))?;
    let file = File::create(path).await?;
    let (log, records) = mpsc::channel(128);
    let writer = tokio::spawn(write(file, records));

    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let log = log.clone();
        tasks.spawn(async move {
            for number in 0..50 {
                let (written, on_disk) = oneshot::channel();
                let record = format!("task {task}, record {number}\n");
                log.send((record.into(), written))
                    .await
                    .map_err(Error::other)?;
                on_disk.await.map_err(Error::other)?;
            }
            Ok::<_, Error>(())
        });
    }
    drop(log);
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(Error::other)??;
    }
    let syncs = writer.await.map_err(Error::other)??;
    println!("400 records by {syncs} syncs");
    Ok(())
}

/// Writes the records that have come, syncs, and acknowledges them. Returns the number of
/// syncs.
async fn write(file: File, mut records: mpsc::Receiver<Record>) -> Result<usize> {
    const MOST: usize = 64;
    let mut log = file.writer(0);
    let (mut batch, mut syncs) = (Vec::new(), 0);
    while records.recv_many(&mut batch, MOST).await > 0 {
        for (record, _) in &batch {
            log.write_all(record).await?;
        }
        log.flush().await?;
        file.sync_data().await?;
        syncs += 1;
        for (_, written) in batch.drain(..) {
            // The task may have ended.
            let _ = written.send(());
        }
    }
    Ok(syncs)
}
