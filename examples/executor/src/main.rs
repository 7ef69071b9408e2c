//! An executor whose only reactor is AIO: disk reads and socket readiness arrive
//! through one ring, and one wait blocks for both. It uses no thread, no allocator, no
//! libc and no epoll.
//!
//! ```sh
//! cargo run -p executor -- FILE
//! ```
//!
//! Two servers read the file with AIO, and each writes it to a socket whenever a poll
//! reports that the socket is writable. Two clients read the other ends of the sockets.
//! The output is the line of `cksum FILE`, and the exit status is 1 if a client
//! received other bytes than those of the file.
#![no_std]
#![no_main]

mod executor;
mod os;
mod sum;

use core::cell::Cell;
use core::ffi::CStr;
use core::fmt::{self, Write};
use core::pin::pin;

use executor::Task;
use linux_aio::Errno;
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Reactor, ReactorSlot};
use linux_aio::rt::{Process, Stderr, Stdout};
use os::Descriptor;
use sum::Sum;

linux_aio::entry!(main);

const CHUNK: usize = 64 << 10;

/// The buffer of a server, aligned for direct reads.
#[repr(align(4096))]
struct Chunk([u8; CHUNK]);

type Buffer = &'static mut [u8; CHUNK];
type Outcome = Cell<Result<Sum, Errno>>;

/// Reads the file, writes it to a socket, and shuts the socket down at the end.
async fn serve<'r>(
    reactor: &Reactor<'r, Buffer>,
    file: &'r Descriptor,
    socket: &'r Descriptor,
    buffer: Buffer,
    out: &Outcome,
) {
    out.set(try_serve(reactor, file, socket, buffer).await);
    os::shutdown(socket);
}

async fn try_serve<'r>(
    reactor: &Reactor<'r, Buffer>,
    file: &'r Descriptor,
    socket: &'r Descriptor,
    mut buffer: Buffer,
) -> Result<Sum, Errno> {
    let mut sum = Sum::default();
    loop {
        let done = reactor.read(file, buffer, sum.bytes).await;
        // A read always returns its buffer.
        buffer = done.buffer;
        let read = &buffer[..done.result?];
        let mut rest = read;
        while !rest.is_empty() {
            match os::write(socket, rest) {
                Ok(written) => rest = &rest[written..],
                Err(Errno::AGAIN) => drop(reactor.poll(socket, PollMask::OUT).await.result?),
                Err(errno) => return Err(errno),
            }
        }
        sum.add(read);
        // A file read is short only at the end of the file.
        if read.len() < CHUNK {
            return Ok(sum);
        }
    }
}

/// Reads a socket to its end.
async fn check<'r>(reactor: &Reactor<'r, Buffer>, socket: &'r Descriptor, out: &Outcome) {
    out.set(try_check(reactor, socket).await);
    os::shutdown(socket);
}

async fn try_check<'r>(
    reactor: &Reactor<'r, Buffer>,
    socket: &'r Descriptor,
) -> Result<Sum, Errno> {
    let mut sum = Sum::default();
    let mut bytes = [0; 4096];
    loop {
        match os::read(socket, &mut bytes) {
            Ok(0) => return Ok(sum),
            Ok(read) => sum.add(&bytes[..read]),
            Err(Errno::AGAIN) => drop(reactor.poll(socket, PollMask::IN).await.result?),
            Err(errno) => return Err(errno),
        }
    }
}

/// Serves the file to two clients concurrently. Returns whether both received it
/// unchanged.
fn serve_twice(path: &CStr) -> Result<bool, Errno> {
    static mut CHUNKS: [Chunk; 2] = [const { Chunk([0; CHUNK]) }; 2];
    let chunks = &raw mut CHUNKS;
    // SAFETY: this function is called once, and no other code names the static, so the
    // reference is unique.
    let [Chunk(first), Chunk(second)] = unsafe { &mut *chunks };

    // The descriptors are opened before the reactor, which borrows them for as long as
    // it exists.
    let file = os::open(path)?;
    let ([a, b], [c, d]) = (os::socketpair()?, os::socketpair()?);
    let mut slots = ReactorSlot::array::<8>();
    let reactor = Reactor::<Buffer>::new(&mut slots)?.batched();
    let outcomes = [const { Cell::new(Err(Errno::CANCELED)) }; 4];
    let [one, two, three, four] = &outcomes;
    let tasks: [Task<'_>; 4] = [
        pin!(serve(&reactor, &file, &a, first, one)),
        pin!(check(&reactor, &b, two)),
        pin!(serve(&reactor, &file, &c, second, three)),
        pin!(check(&reactor, &d, four)),
    ];
    let waits = executor::run(&reactor, tasks)?;

    let sum = one.get()?;
    for outcome in &outcomes {
        if outcome.get()? != sum {
            complain(format_args!("a client got something else"));
            return Ok(false);
        }
    }
    let mut out = Stdout;
    let path = path.to_str().unwrap_or("?");
    let written = writeln!(out, "{} {} {path}", sum.value(), sum.bytes)
        .and_then(|()| writeln!(out, "served twice, with {waits} waits"));
    Ok(written.is_ok())
}

fn main(process: Process) -> i32 {
    let Some(path) = process.args().nth(1) else {
        complain(format_args!("which FILE?"));
        return 2;
    };
    match serve_twice(path) {
        Ok(good) => i32::from(!good),
        Err(errno @ (Errno::NOSYS | Errno::PERM)) => {
            complain(format_args!("there is no AIO here: {errno}"));
            1
        }
        Err(errno) => {
            complain(format_args!("{errno}"));
            1
        }
    }
}

fn complain(text: fmt::Arguments<'_>) {
    // A failure to write the message cannot be reported anywhere.
    let _ = writeln!(Stderr, "executor: {text}");
}
