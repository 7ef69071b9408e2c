//! Sums the bytes of a file by direct reads, which are asynchronous:
//! `cargo run --release --features std --example direct -- FILE`

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use linux_aio::Queue;
use linux_aio::buffer::AlignedBuf;
use linux_aio::direct_io::Alignment;
use linux_aio::op::Read;

const DEPTH: u32 = 32;

fn main() -> io::Result<()> {
    let name = std::env::args().nth(1).expect("the name of a file");
    let mut options = OpenOptions::new();
    // EINVAL: the file system has no direct I/O.
    let file = options.read(true).custom_flags(libc::O_DIRECT).open(name)?;
    let len = file.metadata()?.len();

    // A kernel before 6.1 does not report the alignments. 4096 suits most devices.
    let alignment = Alignment::of(&file)?.unwrap_or(Alignment::new(4096, 4096));
    if alignment.memory() == 0 {
        return Err(io::Error::other("this file has no direct I/O"));
    }
    let block = alignment.offset().max(4096);
    let new = || AlignedBuf::zeroed(block, alignment.memory()).ok_or(io::ErrorKind::OutOfMemory);
    let mut buffers = (0..DEPTH).map(|_| new()).collect::<Result<Vec<_>, _>>()?;

    let mut offsets = (0..len).step_by(block);
    let mut queue = Queue::<AlignedBuf>::with_capacity(DEPTH)?;
    let (mut bytes, mut sum) = (0, 0);
    loop {
        while let Some(buffer) = buffers.pop() {
            let Some(at) = offsets.next() else { break };
            queue.push(Read::new(&file, buffer).offset(at))?;
        }
        // Up to 32 reads are in flight, and this thread sums one meanwhile.
        let Some(done) = queue.wait()? else { break };
        let (read, buffer) = (done.result?, done.buffer.expect("a read has a buffer"));
        bytes += read;
        sum += buffer[..read]
            .iter()
            .map(|&byte| u64::from(byte))
            .sum::<u64>();
        buffers.push(buffer);
    }
    println!("{bytes} bytes, sum {sum}");
    Ok(())
}
