//! Copies a file with several reads and writes in flight, and an fsync at the end:
//! `cargo run --features std --example copy -- FROM TO`

use std::fs::File;
use std::io;

use linux_aio::Queue;
use linux_aio::buffer::{IoBuf, Slice};
use linux_aio::op::{Fsync, Read, Write};

const DEPTH: u32 = 16;
const BLOCK: usize = 256 * 1024;

/// A block that is read as a whole, and then written as a whole.
struct Block {
    at: u64,
    len: usize,
    is_read: bool,
}

fn main() -> io::Result<()> {
    let mut names = std::env::args().skip(1);
    let mut name = || names.next().expect("the names of two files");
    let (from, to) = (File::open(name())?, File::create(name())?);
    let len = from.metadata()?.len();

    // Each buffer is in one operation at most, so there is a slot for each operation.
    let mut buffers: Vec<Vec<u8>> = (0..DEPTH).map(|_| vec![0; BLOCK]).collect();
    let mut offsets = (0..len).step_by(BLOCK);
    // The queue owns the buffers meanwhile, and borrows the files: they outlive it.
    let mut queue = Queue::<Slice<Vec<u8>>, Option<Block>>::with_capacity(DEPTH)?;
    loop {
        while let Some(buffer) = buffers.pop() {
            let Some(at) = offsets.next() else { break };
            let len = BLOCK.min((len - at) as usize);
            let is_read = false;
            let read = Read::new(&from, buffer.slice(..len)).offset(at);
            queue.push(read.data(Some(Block { at, len, is_read })))?;
        }
        // Submits everything that was pushed, and waits for one completion.
        let Some(done) = queue.wait()? else { break };
        let (Some(mut rest), Some(mut block)) = (done.buffer, done.data) else {
            unreachable!("reads and writes have both");
        };
        let bytes = done.result?;
        if bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // A result may be less than the length: another operation transfers the rest.
        rest.advance(bytes);
        if rest.remaining() == 0 {
            let buffer = rest.into_inner();
            if block.is_read {
                buffers.push(buffer);
                continue;
            }
            block.is_read = true;
            rest = buffer.slice(..block.len);
        }
        let at = block.at + (block.len - rest.remaining()) as u64;
        if block.is_read {
            queue.push(Write::new(&to, rest).offset(at).data(Some(block)))?;
        } else {
            queue.push(Read::new(&from, rest).offset(at).data(Some(block)))?;
        }
    }

    // An fsync covers the writes that have completed before it.
    queue.push(Fsync::new(&to).data(None))?;
    while let Some(done) = queue.wait()? {
        done.result?;
    }
    println!("{len} bytes copied");
    Ok(())
}
