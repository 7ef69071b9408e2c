//! The expressions in the tables of `docs/migrating.md`, which have to compile.
#![cfg(feature = "std")]
#![allow(dead_code, reason = "nothing here is to run")]

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use linux_aio::abi::{AioContext, IoVec, RwFlags, SigsetArg};
use linux_aio::buffer::{IoSlice, Vectored};
use linux_aio::op::{Fdsync, Fsync, Op, Poll, Read, Write};
use linux_aio::opcode::{self, IoPriority, PollMask};
use linux_aio::reactor::{Reactor, Shared};
use linux_aio::split::SplitQueue;
use linux_aio::{Context, Errno, Event, Iocb, Probe, Queue, SigSet, WaitOptions, scope};

fn queue(file: &File, efd: &File, n: u32, mask: &SigSet) -> io::Result<()> {
    let mut queue = Queue::<Vec<u8>, u8>::with_capacity(n)?;
    let (off, t) = (0, Duration::ZERO);
    let buffer = Vec::new;
    let ticket = queue.push(Read::new(file, buffer()).offset(off).data(1))?;
    queue.push(
        Write::new(file, buffer())
            .offset(off)
            .rw_flags(RwFlags::DSYNC)
            .ioprio(IoPriority::idle())
            .eventfd(efd)
            .data(2),
    )?;
    queue.push(Fsync::new(file).data(3))?;
    queue.push(Fdsync::new(file).data(4))?;
    queue.push(Poll::new(file, PollMask::IN).data(5))?;
    queue.flush();
    queue.submit().map_err(|error| error.errno)?;
    let _ = queue.wait()?;
    queue.wait_with(1, WaitOptions::new().timeout(t).sigmask(mask))?;
    while let Some(done) = queue.pop()? {
        let _: (u8, Result<usize, Errno>) = (done.data, done.result);
    }
    let _: bool = queue.contains(ticket);
    queue.cancel(ticket)?;
    queue.into_idle_context()?;
    Ok(())
}

fn segments<'a>(
    file: &'a File,
    vectored: Vectored<Vec<u8>>,
    slices: &'a [IoSlice<'a>],
) -> (Op<'a, Vectored<Vec<u8>>>, Op<'a, &'a [IoSlice<'a>]>) {
    let read = Read::new(file, vectored).into();
    (read, Write::new(file, slices).into())
}

fn scoped(file: &File) -> Result<(), Errno> {
    let (mut buffer, data, at) = ([0; 8], [0; 8], 0);
    scope(&mut linux_aio::ScopeSlot::array::<2>(), |s| {
        let operation = s.read(file, &mut buffer, at).unwrap();
        let _: bool = !operation.is_finished();
        let _ = s.write(file, &data, at).unwrap().wait();
    })
}

fn core(n: u32, fd: i32, iov: *const IoVec, mask: &SigSet) -> Result<(), Errno> {
    let mut context = Context::new(n)?;
    let mut events = [Event::EMPTY; 4];
    let (ptr, number): (*mut u8, u64) = (std::ptr::null_mut(), 1);
    let mut iocb: Iocb = opcode::Pread::new(fd, ptr, 0)
        .offset(0)
        .rw_flags(RwFlags::NOWAIT)
        .eventfd(fd)
        .build()
        .user_data(number);
    let _ = opcode::Pwrite::new(fd, ptr, 0).build();
    let _ = opcode::Preadv::new(fd, iov, 1).build();
    let _ = opcode::Pwritev::new(fd, iov, 1).build();
    let _ = opcode::Fsync::new(fd).build();
    let _ = opcode::Fdsync::new(fd).build();
    let _ = opcode::Poll::new(fd, PollMask::IN).build();
    // SAFETY: a read of no bytes refers to no memory.
    unsafe { context.submit(&mut [&mut iocb]) }?;
    // SAFETY: as above, of the same operation.
    unsafe { context.submit_all(&mut [&mut iocb]) }.map_err(|error| error.errno)?;
    context.wait(1, &mut events)?;
    context.wait_with(1, &mut events, WaitOptions::new().sigmask(mask))?;
    context.cancel(&iocb)?;
    context.ring().pop()?;
    context.ring().reap(&mut events)?;
    let _ = context.split();
    let _: (AioContext, SigsetArg) = (context.as_raw(), SigsetArg::new(Some(mask)));
    let _ = Probe::new()?;
    context.destroy()
}

async fn reactor(reactor: &Reactor<'_, Vec<u8>>, file: &'static File) {
    let (buffer, at) = (Vec::new(), 0);
    let _ = reactor.read(file, buffer, at).await;
    let _ = reactor.write(file, Vec::new(), at).await;
}

fn split(queue: Queue<'static, Vec<u8>, Arc<File>>) {
    let _ = SplitQueue::<_, Shared, _>::new(queue).into_halves();
}

#[test]
fn the_page_has_the_expressions_of_this_test() {
    let page = include_str!("../docs/migrating.md");
    for expression in [
        "Queue::with_capacity(n)?",
        "queue.into_idle_context()?",
        "queue.flush()",
        "queue.wait()?",
        "queue.wait_with(1, WaitOptions::new().timeout(t))?",
        "queue.pop()?",
        ".sigmask(&mask)",
        "queue.cancel(ticket)?",
        "Read::new(&file, buffer).offset(off)",
        "Context::new(n)?",
        "context.destroy()?",
        "context.submit(&mut [&mut iocb])?",
        "context.wait(1, &mut events)?".replace('1', "min").as_str(),
        "context.cancel(&iocb)?",
        "context.ring().reap(&mut events)?",
        "Poll::new(fd, PollMask::IN).build()",
        "Probe::new()?",
        "queue.contains(ticket)",
        "operation.is_finished()",
        "reactor.read(&file, buffer, at).await",
    ] {
        assert!(page.contains(expression), "{expression}");
    }
}
