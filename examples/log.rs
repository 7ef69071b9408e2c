//! A key-value store in a log: a change is confirmed when it is on the disk. While one
//! group of changes is written to the disk, the next is collected.
//!
//! `cargo run --features std --example log -- FILE`, and lines on standard input:
//! `set KEY VALUE`, `get KEY`.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use linux_aio::Queue;
use linux_aio::op::{Fdsync, Write};

struct Store<'f> {
    file: &'f File,
    /// The end of the valid log.
    end: u64,
    values: BTreeMap<String, String>,
    queue: Queue<'f, Vec<u8>, ()>,
}

impl<'f> Store<'f> {
    /// Reads the log up to its end, or to a record that was not written as a whole.
    fn open(mut file: &'f File) -> io::Result<Store<'f>> {
        let mut log = Vec::new();
        file.read_to_end(&mut log)?;
        let (mut end, mut values) = (0, BTreeMap::new());
        while let Some((key, value, len)) = parse(&log[end..]) {
            values.insert(key, value);
            end += len;
        }
        // Nothing behind the last record may look like one later.
        file.set_len(end as u64)?;
        Ok(Store {
            file,
            end: end as u64,
            values,
            queue: Queue::with_capacity(4)?,
        })
    }

    /// Writes records to the end of the log, and begins to bring them to the disk.
    fn begin(&mut self, mut records: Vec<u8>) -> io::Result<()> {
        while !records.is_empty() {
            self.queue
                .push(Write::new(self.file, records).offset(self.end))?;
            let done = self.queue.wait()?.expect("the write");
            let bytes = done.result?;
            self.end += bytes as u64;
            records = done.buffer.expect("a write has a buffer");
            records.drain(..bytes);
        }
        // The write has completed, so the sync covers it. It runs in the kernel.
        self.queue.push(Fdsync::new(self.file))?;
        self.queue.flush();
        Ok(())
    }

    /// Waits until the records are on the disk.
    ///
    /// After an error it is unknown which of them are: the caller has to end, and to read
    /// the log again.
    fn finish(&mut self) -> io::Result<()> {
        while let Some(done) = self.queue.wait()? {
            done.result?;
        }
        Ok(())
    }
}

fn main() -> io::Result<()> {
    let path = PathBuf::from(std::env::args().nth(1).expect("the name of the log"));
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    let file = options.open(&path)?;
    // The name of a new file is data of its folder.
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    let mut store = Store::open(&file)?;
    println!("{} keys", store.values.len());

    let lines = stdin();
    let mut in_flight = 0;
    loop {
        // The next group: all lines that have arrived, and at least one.
        let (mut records, mut changes) = (Vec::new(), 0);
        loop {
            let line = match lines.try_recv() {
                Err(TryRecvError::Empty) if in_flight + changes == 0 => lines.recv().ok(),
                Err(_) => None,
                Ok(line) => Some(line),
            };
            let Some(line) = line else { break };
            match *line.splitn(3, ' ').collect::<Vec<_>>() {
                ["set", key, value] => {
                    records.extend(record(key, value));
                    store.values.insert(key.to_owned(), value.to_owned());
                    changes += 1;
                }
                ["get", key] => println!("{key}: {:?}", store.values.get(key)),
                _ => println!("set KEY VALUE, or get KEY"),
            }
        }
        // The group before, whose sync ran meanwhile.
        store.finish()?;
        if in_flight > 0 {
            println!("{in_flight} changes are on the disk");
        } else if changes == 0 {
            return Ok(());
        }
        if changes > 0 {
            store.begin(records)?;
        }
        in_flight = changes;
    }
}

/// Returns the lines of standard input, which a thread reads.
fn stdin() -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Returns a record: the lengths of key and value, their checksum, key and value.
fn record(key: &str, value: &str) -> Vec<u8> {
    let data = [key.as_bytes(), value.as_bytes()].concat();
    let numbers = [key.len() as u32, value.len() as u32, checksum(&data)];
    let header = numbers.map(u32::to_le_bytes).concat();
    [header, data].concat()
}

/// Returns the key, the value and the length of the first record, if it is whole.
fn parse(log: &[u8]) -> Option<(String, String, usize)> {
    let (header, log) = log.split_at_checked(12)?;
    let number = |at| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
    let (key, value) = (number(0) as usize, number(4) as usize);
    let data = log.get(..key.checked_add(value)?)?;
    if checksum(data) != number(8) {
        return None;
    }
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    let (key, value) = data.split_at(key);
    Some((text(key)?, text(value)?, 12 + data.len()))
}

/// FNV-1a. Zero bytes, which a file may have where nothing was written, do not match it.
fn checksum(data: &[u8]) -> u32 {
    let step = |sum: u32, &byte: &u8| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    data.iter().fold(0x811c_9dc5, step)
}
