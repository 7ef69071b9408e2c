//! The operations of a round, and their expected results.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use linux_aio::op::{AnyBuffer, Fsync, Op, Poll, Read, Write};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::OpFuture;
use linux_aio::{Completion, Errno};

use crate::random::{below, once_in};
use crate::support::{TempFile, eventfd, no_fd};
use crate::user::{Bytes, Data};

/// The bytes of a block, enough for direct I/O.
pub(crate) const SIZE: usize = 4096;
const BLOCKS: u32 = 32;

/// Returns the content of a block of the file. Writes write the same bytes again.
pub(crate) fn content(block: u32) -> &'static [u8] {
    static CONTENT: OnceLock<Vec<u8>> = OnceLock::new();
    let content = CONTENT.get_or_init(|| crate::support::pattern(SIZE * BLOCKS as usize));
    &content[SIZE * block as usize..][..SIZE]
}

pub(crate) type Future<L> =
    OpFuture<&'static linux_aio::reactor::Reactor<'static, Bytes, L, Data>, AnyBuffer>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
    /// A read or write that bypasses the page cache, and takes a while.
    Direct,
    /// A poll of a descriptor that is ready.
    Ready,
    /// A poll of a descriptor that is sometimes ready.
    Later,
    /// A poll that only a drop completes.
    Never,
    /// An operation on no descriptor.
    NoFile,
    /// An operation on a file that cannot be synced.
    NoSync,
}

/// The files of all rounds.
pub(crate) struct Files {
    buffered: Arc<File>,
    direct: Arc<File>,
    never: Arc<File>,
    ready: Arc<File>,
    pub(crate) later: Arc<File>,
    /// An eventfd that operations signal, distinct from the reactor's.
    pub(crate) own: &'static OwnedFd,
    /// The eventfd of the reactor, if it has one.
    pub(crate) reactor: Arc<OwnedFd>,
}

impl Files {
    pub(crate) fn new() -> Files {
        let all: Vec<u8> = (0..BLOCKS).flat_map(content).copied().collect();
        let (buffered, other) = (TempFile::with(&all), TempFile::with(&all));
        let files = Files {
            buffered: Arc::new(buffered.file.try_clone().unwrap()),
            direct: Arc::new(other.direct()),
            never: Arc::new(eventfd().into()),
            ready: Arc::new(eventfd().into()),
            later: Arc::new(eventfd().into()),
            own: Box::leak(Box::new(eventfd())),
            reactor: Arc::new(eventfd()),
        };
        signal(&files.ready);
        files
    }

    /// Creates an operation of this kind, with a buffer on this block of memory if it
    /// needs one. The second value is true if the operation signals its own eventfd.
    ///
    /// # Safety
    ///
    /// The promise of [`Bytes::new`] applies to `block`.
    pub(crate) unsafe fn make(
        &self,
        kind: Kind,
        id: u32,
        block: *mut u8,
    ) -> (Op<'static, Bytes, Data>, bool) {
        let from = below(BLOCKS);
        let offset = u64::from(from) * SIZE as u64;
        // SAFETY: the caller keeps the promise of `Bytes::new`. Only one operation is
        // created, so this closure is called at most once.
        let bytes = || unsafe { Bytes::new(id, block, from) };
        let data = |file| Data::new(file, id);
        let own = matches!(kind, Kind::Read | Kind::Ready) && once_in(8);
        let poll = |file| {
            let poll = Poll::owned(data(file), PollMask::IN);
            if own { poll.eventfd(self.own) } else { poll }
        };
        let op = match kind {
            Kind::Read => {
                let read = Read::owned(data(&self.buffered), bytes()).offset(offset);
                if own { read.eventfd(self.own) } else { read }.into()
            }
            Kind::Direct => Read::owned(data(&self.direct), bytes())
                .offset(offset)
                .into(),
            Kind::Write => {
                let mut bytes = bytes();
                bytes.as_mut().copy_from_slice(content(from));
                Write::owned(data(&self.buffered), bytes)
                    .offset(offset)
                    .into()
            }
            Kind::Ready => poll(&self.ready).into(),
            Kind::Later => poll(&self.later).into(),
            Kind::Never => poll(&self.never).into(),
            Kind::NoFile => Read::new(no_fd(), bytes()).data(data(&self.never)).into(),
            Kind::NoSync => Fsync::owned(data(&self.never)).into(),
        };
        (op, own)
    }

    /// Returns a poll that never completes and belongs to no round.
    pub(crate) fn of_no_round(&self) -> Op<'static, Bytes, Data> {
        Poll::owned(Data::of_no_round(&self.never), PollMask::IN).into()
    }
}

/// Returns a random kind, the frequent ones more often. With `prompt` it is one that
/// completes within its submission.
pub(crate) fn any_kind(prompt: bool) -> Kind {
    match below(64) {
        40 | 50..58 if prompt => Kind::Ready,
        0..28 => Kind::Read,
        28..40 => Kind::Write,
        40 => Kind::Direct,
        41..50 => Kind::Ready,
        50..54 => Kind::Later,
        54..58 => Kind::Never,
        58..62 => Kind::NoFile,
        _ => Kind::NoSync,
    }
}

/// Verifies the result, and the returned buffer and data.
pub(crate) fn check(kind: Kind, id: u32, done: &mut Completion<Option<Bytes>, Data>) {
    let expected = match kind {
        Kind::Read | Kind::Write | Kind::Direct => Ok(SIZE),
        Kind::Ready | Kind::Later => Ok(usize::from(PollMask::IN.bits())),
        Kind::NoFile => Err(Errno::BADF),
        Kind::NoSync => Err(Errno::INVAL),
        Kind::Never => panic!("{id}: a poll that never is ready: {:?}", done.result),
    };
    assert_eq!(done.result, expected, "{id}: {kind:?}");
    assert_eq!(done.data.id, Some(id), "another operation's data");
    let has_buffer = matches!(kind, Kind::Read | Kind::Write | Kind::Direct | Kind::NoFile);
    assert_eq!(done.buffer.is_some(), has_buffer, "{id}: {kind:?}");
    if let Some(bytes) = &mut done.buffer {
        assert_eq!(bytes.id, id, "another operation's buffer");
        let read = bytes.is_read();
        assert!(read != (kind == Kind::NoFile), "{id}: the content is wrong");
    }
}

/// Adds one to an eventfd's counter.
pub(crate) fn signal(eventfd: &impl AsRawFd) {
    let one = 1_u64.to_ne_bytes();
    // SAFETY: the kernel reads eight bytes.
    let written = unsafe { libc::write(eventfd.as_raw_fd(), one.as_ptr().cast(), 8) };
    assert_eq!(written, 8);
}

/// Takes an eventfd's counter, which may be 0.
pub(crate) fn clear(eventfd: &impl AsRawFd) -> u64 {
    let mut count = [0_u8; 8];
    // SAFETY: at most eight bytes are written.
    let read = unsafe { libc::read(eventfd.as_raw_fd(), count.as_mut_ptr().cast(), 8) };
    assert!(read == 8 || io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock);
    u64::from_ne_bytes(count)
}

/// Waits until the eventfd's counter is not 0.
pub(crate) fn wait_for(eventfd: &impl AsRawFd) {
    let mut poll = libc::pollfd {
        fd: eventfd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one structure is read and written.
    assert_eq!(unsafe { libc::poll(&raw mut poll, 1, -1) }, 1);
}
