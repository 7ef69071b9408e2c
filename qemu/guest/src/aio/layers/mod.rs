//! Checks of the safe layers on the running kernel: queues, scopes and reactors, with
//! memory files and pipes.
//!
//! The guarantees that need a slow device, when an owner is dropped with operations in
//! flight, are checked in [`disk`](super::disk).

use linux_aio::{Context, Errno, IdleContext};

use super::owned::Owned;
use crate::check::Check;
use crate::os::{self, File};

mod absent;
mod descriptors;
mod fork;
mod gvisor;
mod inherited;
mod queue;
mod reactor;
mod scope;
mod waiters;

pub(crate) use absent::run as absent;

/// The content of the file: no byte occurs twice.
const CONTENT: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ+-";

/// The largest number of slots of an owner in these checks.
const SLOTS: usize = 4;

/// The length of a piece of the file or of a buffer, in bytes.
const PIECE: usize = 8;

/// The files that the checks share.
struct Things {
    /// A memory file that holds [`CONTENT`].
    file: File,
    /// The read end of an empty pipe, so that a poll for input waits.
    reader: File,
    writer: File,
    eventfd: File,
    /// A second eventfd, used by a single operation.
    own_eventfd: File,
}

pub(crate) fn run(check: &mut Check) {
    let Some(things) = Things::new(check) else {
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

/// Runs the checks for gVisor.
pub(crate) fn gvisor(check: &mut Check) {
    if let Some(things) = Things::new(check) {
        gvisor::run(check, &things);
    }
}

impl Things {
    fn new(check: &mut Check) -> Option<Things> {
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
        check.needs("layers files and descriptors", things)
    }

    /// Returns the count of the eventfd since the last call.
    fn counted(&self) -> u64 {
        counted(&self.eventfd)
    }

    /// Writes a byte to the pipe.
    fn send(&self) -> os::Result<usize> {
        os::write(self.writer.number(), b"x")
    }

    /// Empties the pipe.
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

/// Allocates a buffer for one piece.
fn owned() -> os::Result<Owned> {
    Owned::new(PIECE)
}

/// Returns the piece of the file with this number.
fn piece(number: usize) -> &'static [u8] {
    CONTENT
        .get(number * PIECE..)
        .map_or(&[], |rest| &rest[..PIECE])
}

fn offset(number: usize) -> u64 {
    (number * PIECE) as u64
}

/// Returns the context with the kernel's identifier of it.
fn named(idle: IdleContext) -> (IdleContext, linux_aio::AioContext) {
    let capacity = idle.capacity() as u32;
    let context: Context = idle.into_context();
    let name = context.as_raw();
    // SAFETY: the context was idle as an `IdleContext`, and nothing was submitted to it
    // since then.
    (
        unsafe { IdleContext::from_context(context, capacity) },
        name,
    )
}

/// Converts the refusal of an operation for which no slot is free.
fn full<T>(_: linux_aio::Full<T>) -> Errno {
    Errno::NOSPC
}
