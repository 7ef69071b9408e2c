//! [`Ready`]: completions that are there at once, as many as one likes.

use std::io::PipeWriter;
use std::os::fd::AsRawFd;

use linux_aio::opcode::{Poll, PollMask};
use linux_aio::{AioContext, Context, Iocb, sys};

/// The most at a time.
pub(crate) const MOST: usize = 4096;

/// A context, and polls that are ready when they are submitted: the end of a
/// pipe that nobody reads.
pub(crate) struct Ready {
    /// Leaked with the process: nothing here measures its end.
    pub(crate) ctx: AioContext,
    iocbs: Vec<Iocb>,
    pointers: Vec<*mut Iocb>,
    _pipe: (std::io::PipeReader, PipeWriter),
}

impl Ready {
    pub(crate) fn new() -> Ready {
        let pipe = std::io::pipe().unwrap();
        let mut ctx = AioContext::NONE;
        // SAFETY: a context of our own.
        unsafe { sys::io_setup(MOST as u32, &raw mut ctx) }.unwrap();
        let poll = Poll::new(pipe.1.as_raw_fd(), PollMask::OUT);
        let mut iocbs = vec![poll.build(); MOST];
        let pointers = iocbs.iter_mut().map(|iocb| iocb as *mut Iocb).collect();
        Ready {
            ctx,
            iocbs,
            pointers,
            _pipe: pipe,
        }
    }

    /// Puts `count` completions into the ring.
    pub(crate) fn complete(&mut self, count: usize) {
        assert!(count <= self.iocbs.len());
        // SAFETY: a poll has no buffer.
        let taken = unsafe { sys::io_submit(self.ctx, count as isize, self.pointers.as_ptr()) };
        assert_eq!(taken, Ok(count));
    }

    /// The same context, owned by the typed layer.
    pub(crate) fn context(&self) -> std::mem::ManuallyDrop<Context> {
        // SAFETY: alive, and nobody else reads its ring or destroys it.
        std::mem::ManuallyDrop::new(unsafe { Context::from_raw(self.ctx) })
    }
}
