//! The expressions in the tables of `docs/migrating.md`, which have to compile.
#![cfg(feature = "std")]
#![allow(dead_code, reason = "nothing here is to run")]

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use linux_aio::abi::RwFlags;
use linux_aio::buffer::{IoSlice, Vectored};
use linux_aio::op::{Fdsync, Fsync, Op, Poll, Read, Write};
use linux_aio::opcode::{IoPriority, PollMask};
use linux_aio::reactor::{Reactor, Shared};
use linux_aio::split::SplitQueue;
use linux_aio::{Errno, Queue, SigSet, WaitOptions, scope};

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

/// Every expression of the column "typed core" of libaio's table, as the page has it.
mod core {
    use std::time::Duration;

    use linux_aio::abi::{AioContext, IoVec, RwFlags, SigsetArg};
    use linux_aio::opcode::{Fdsync, Fsync, Poll, PollMask, Pread, Preadv, Pwrite, Pwritev};
    use linux_aio::{Context, Errno, Event, Iocb, Probe, SigSet, WaitOptions};

    fn prepare(fd: i32, efd: i32, ptr: *mut u8, n: usize, off: u64, number: u64) -> [Iocb; 5] {
        let mut iocb = Pread::new(fd, ptr, n).offset(off).build();
        iocb = iocb.eventfd(efd);
        iocb = iocb.user_data(number);
        [
            iocb,
            Pwrite::new(fd, ptr, n).offset(off).build(),
            Fsync::new(fd).build(),
            Fdsync::new(fd).build(),
            Poll::new(fd, PollMask::IN).build(),
        ]
    }

    fn prepare_vectored(fd: i32, iov: *const IoVec, n: u32, off: u64) -> [Iocb; 3] {
        [
            Preadv::new(fd, iov, n).offset(off).build(),
            Pwritev::new(fd, iov, n).offset(off).build(),
            Preadv::new(fd, iov, n).rw_flags(RwFlags::NOWAIT).build(),
        ]
    }

    /// # Safety
    /// That of `Context::submit`.
    unsafe fn run(
        n: u32,
        min: usize,
        iocbs: Vec<Iocb>,
        t: Duration,
        mask: SigSet,
    ) -> Result<(), Errno> {
        let (mut iocbs, mut iocb) = (iocbs, Iocb::EMPTY);
        let mut events = [Event::EMPTY; 4];
        let mut context = Context::new(n)?;
        let mut batch: Vec<&mut Iocb> = iocbs.iter_mut().collect();
        // SAFETY: this function has the same condition.
        unsafe { context.submit(&mut batch) }?;
        // SAFETY: this function has the same condition.
        unsafe { context.submit_all(&mut batch) }.map_err(|error| error.errno)?;
        // SAFETY: this function has the same condition.
        unsafe { context.submit(&mut [&mut iocb]) }?;
        context.wait(min, &mut events)?;
        context.wait_with(min, &mut events, WaitOptions::new().timeout(t))?;
        context.wait_with(1, &mut events, WaitOptions::new().timeout(t))?;
        context.wait_with(
            min,
            &mut events,
            WaitOptions::new().timeout(t).sigmask(&mask),
        )?;
        context.cancel(&iocb)?;
        context.ring().pop()?;
        context.ring().reap(&mut events)?;
        let _ = context.split();
        let _: (AioContext, SigsetArg) = (context.as_raw(), SigsetArg::new(Some(&mask)));
        let _ = Probe::new()?;
        context.destroy()?;
        Ok(())
    }
}

async fn reactor(reactor: &Reactor<'_, Vec<u8>>, file: &'static File) {
    let (buffer, at) = (Vec::new(), 0);
    let _ = reactor.read(file, buffer, at).await;
    let _ = reactor.write(file, Vec::new(), at).await;
}

fn owned(file: File, buffer: Vec<u8>, value: u8) -> (File, u8) {
    let owned: Read<'static, Vec<u8>, (File, u8)> = Read::owned(file, buffer).data(value);
    Op::from(owned).into_parts().1
}

fn split(queue: Queue<'static, Vec<u8>, Arc<File>>) {
    let _ = SplitQueue::<_, Shared, _>::new(queue).into_halves();
}

/// The column "typed core" of the table of libaio's functions: this file compiles what is
/// printed there, except for the names of items and variables alone.
#[test]
fn this_test_has_the_expressions_of_the_typed_core() {
    let plain = |text: &str| text.split_whitespace().collect::<String>();
    let this = include_str!("migrating.rs");
    let (_, core) = this.split_once("mod core {").unwrap();
    let (core, _) = core.split_once("async fn reactor").unwrap();
    let core = plain(core).replace(",)", ")");
    let page = include_str!("../docs/migrating.md");
    let (_, table) = page
        .split_once("| libaio | safe layers | typed core |")
        .unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let mut count = 0;
    for row in table.lines().filter(|row| row.starts_with("| `")) {
        let cell = row.rsplit(" | ").next().unwrap();
        for expression in cell.split('`').skip(1).step_by(2) {
            assert!(core.contains(&plain(expression)), "{expression}");
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
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
        "Probe::new()?",
        "queue.contains(ticket)",
        "operation.is_finished()",
        "reactor.read(&file, buffer, at).await",
    ] {
        assert!(page.contains(expression), "{expression}");
    }
}
