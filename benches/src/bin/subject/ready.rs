//! [`Ready`]: completions that are available at once, in any number up to a limit.

use std::io::PipeWriter;
use std::os::fd::AsRawFd;

use linux_aio::opcode::{Poll, PollMask};
use linux_aio::{AioContext, Context, Iocb, sys};

/// The greatest number of completions at a time.
pub(crate) const MOST: usize = 4096;

/// A context with polls that are ready when they are submitted: they watch the writing
/// end of a pipe that is never read.
pub(crate) struct Ready {
    /// Destroyed only when the process ends, which is not measured.
    pub(crate) ctx: AioContext,
    iocbs: Vec<Iocb>,
    pointers: Vec<*mut Iocb>,
    _pipe: (std::io::PipeReader, PipeWriter),
}

impl Ready {
    pub(crate) fn new() -> Ready {
        let pipe = std::io::pipe().unwrap();
        let mut ctx = AioContext::NONE;
        // SAFETY: `ctx` is valid for writes.
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
        // SAFETY: each pointer refers to a valid iocb, and a poll has no buffer.
        let taken = unsafe { sys::io_submit(self.ctx, count as isize, self.pointers.as_ptr()) };
        assert_eq!(taken, Ok(count));
    }

    /// Returns the same context, owned by the typed layer.
    pub(crate) fn context(&self) -> std::mem::ManuallyDrop<Context> {
        // SAFETY: the context exists; no other code reads its ring or destroys it
        // meanwhile.
        std::mem::ManuallyDrop::new(unsafe { Context::from_raw(self.ctx) })
    }
}
