//! The safe layers on whatever kernel this is: queues, scopes and reactors,
//! with files in memory and with pipes. What they promise of a device that is
//! at work when their owner goes is in [`disk`](super::disk).

use linux_aio::{Context, Errno, IdleContext};

use super::owned::Owned;
use crate::check::Check;
use crate::os::{self, File};

mod absent;
mod descriptors;
mod fork;
mod inherited;
mod queue;
mod reactor;
mod scope;
mod waiters;

pub(crate) use absent::run as absent;

/// What the file holds: at each place another byte.
const CONTENT: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ+-";

/// As many slots as any owner has here.
const SLOTS: usize = 4;

/// A piece of the file, or of a buffer.
const PIECE: usize = 8;

/// What the checks share.
struct Things {
    /// With [`CONTENT`] in it.
    file: File,
    /// A pipe that is empty, so that a poll for bytes waits.
    reader: File,
    writer: File,
    eventfd: File,
    /// Another, of one operation's.
    own_eventfd: File,
}

pub(crate) fn run(check: &mut Check) {
    let file = File::memory(c"layers");
    let things = file.and_then(|file| {
        os::pwrite(file.number(), CONTENT, 0)?;
        let [reader, writer] = File::pipe(0)?;
        Ok(Things {
            file,
            reader,
            writer,
            eventfd: File::eventfd()?,
            own_eventfd: File::eventfd()?,
        })
    });
    let Some(things) = check.needs("layers have what they need", things) else {
        return;
    };
    queue::run(check, &things);
    fork::run(check, &things);
    scope::run(check, &things);
    reactor::run(check, &things);
    waiters::run(check, &things);
    descriptors::run(check);
    inherited::run(check, &things);
}

impl Things {
    /// What the eventfd has counted since the last look.
    fn counted(&self) -> u64 {
        counted(&self.eventfd)
    }

    /// A byte comes through the pipe.
    fn send(&self) -> os::Result<usize> {
        os::write(self.writer.number(), b"x")
    }

    /// The pipe is empty again.
    fn receive(&self) {
        let _ = os::read(self.reader.number(), &mut [0; 8]);
    }
}

fn counted(eventfd: &File) -> u64 {
    let mut count = [0; 8];
    match os::read(eventfd.number(), &mut count) {
        Ok(_) => u64::from_ne_bytes(count),
        Err(_) => 0,
    }
}

/// A buffer of one piece.
fn owned() -> os::Result<Owned> {
    Owned::new(PIECE)
}

/// The piece of the file with this number.
fn piece(number: usize) -> &'static [u8] {
    CONTENT
        .get(number * PIECE..)
        .map_or(&[], |rest| &rest[..PIECE])
}

fn offset(number: usize) -> u64 {
    (number * PIECE) as u64
}

/// A context for [`SLOTS`] operations, and the kernel's name for it.
fn named(drained: IdleContext) -> (IdleContext, linux_aio::AioContext) {
    let capacity = drained.capacity() as u32;
    let context: Context = drained.into_context();
    let name = context.as_raw();
    // SAFETY: drained it was, and nothing was done with it.
    (
        unsafe { IdleContext::from_context(context, capacity) },
        name,
    )
}

/// An operation was not taken for want of a slot.
fn full<T>(_: linux_aio::Full<T>) -> Errno {
    Errno::NOSPC
}
