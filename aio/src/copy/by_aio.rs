//! Copying through AIO, with reads and writes in flight together.

use linux_aio::Context;

use super::direct::{allocate, go_direct, say_refused};
use super::kernel::Mover;
use super::pipeline::{Pipeline, Side, Stop};
use super::progress::Progress;
use super::{Failure, Job, Named, Options, Part, Way, What};
use crate::os::{self, Memory};
use crate::proc;

/// The number of bytes at the end of a large file that are copied without AIO.
///
/// The kernel takes tens of milliseconds to destroy a context (two RCU grace periods),
/// and an exit waits for that. The context is destroyed while the last bytes are
/// copied. More bytes would take longer than that does, and they are copied more slowly than
/// through AIO.
const LAST: u64 = 12 << 20;

pub(super) struct ByAio {
    /// `None` after all AIO operations have completed.
    context: Option<Context>,
    depth: u32,
    /// The memory that operations in flight use. It is dropped after the context, whose
    /// destruction waits for them.
    memory: Option<[Memory; 2]>,
}

impl ByAio {
    pub(super) fn new(options: &Options, size: u64) -> Result<ByAio, Failure<'static>> {
        // One slot for each block of the file, and one to find its end, suffice.
        let blocks = size / options.block as u64 + 1;
        let depth = blocks.min(options.depth.into()) as u32;
        let context = Context::new(depth).map_err(|errno| Failure {
            name: b"",
            what: What::Context(errno, depth),
        })?;
        Ok(ByAio {
            context: Some(context),
            depth,
            memory: None,
        })
    }

    /// Copies the file.
    pub(super) fn copy(
        &mut self,
        job: &Job<'_>,
        progress: &mut Progress,
    ) -> Result<Way, Failure<'static>> {
        let options = job.options;
        let (mut align, mut cached, mut allocated) = (None, false, false);
        if options.direct {
            let access =
                go_direct(options, job.source, job.stat, job.target).about(options.target)?;
            (align, cached) = (access.align, access.cached);
            // Allocated blocks would not be holes.
            let whole = job
                .next(0)
                .is_ok_and(|part| part.is_some_and(|part| part.is_whole()));
            allocated = access.sized
                && whole
                && !job.zeros
                && allocate(job.target, job.size).about(options.target)?;
        }
        let copied = match align {
            Some(align) => self.around_the_cache(job, align, progress),
            None => self.through_the_cache(job, progress),
        };
        let copied = copied.and_then(|(end, done)| {
            job.cut(end)?;
            job.check_end(end, allocated)?;
            Ok(done)
        });
        Ok(Way {
            bytes: copied.map_err(|stop| stop.explain(options))?,
            name: match (align, cached) {
                (Some(_), false) => "AIO with O_DIRECT",
                (Some(_), true) => "AIO with O_DIRECT, from the page cache",
                (None, _) => "AIO",
            },
        })
    }

    /// Copies through the page cache. Returns the offset where the file ended and the
    /// number of bytes copied.
    fn through_the_cache(
        &mut self,
        job: &Job<'_>,
        progress: &mut Progress,
    ) -> Result<(u64, u64), Stop> {
        let mut pipeline = self.pipeline(job, job.options.block, progress)?;
        let end = job.each(0, &mut |part| match part.to {
            Some(to) => pipeline.part(part.from, to, 1),
            None => pipeline.buffered(part.from),
        })?;
        let done = pipeline.done();
        self.end();
        Ok((end, done))
    }

    /// Copies with O_DIRECT as far as the files are aligned: first through AIO, then,
    /// while the context is destroyed, without AIO. Returns the same values as
    /// `through_the_cache`.
    fn around_the_cache(
        &mut self,
        job: &Job<'_>,
        align: usize,
        progress: &mut Progress,
    ) -> Result<(u64, u64), Stop> {
        let limit = job.size - job.size % align as u64;
        let last = if job.zeros || limit < 4 * LAST {
            0
        } else {
            LAST
        };
        // `first` is a multiple of `align`, because `limit` and the subtrahend are. Every
        // alignment is a power of two.
        let first = limit - last.next_multiple_of(align as u64);
        let block = job.options.block.next_multiple_of(align);
        let mut pipeline = self.pipeline(job, block, progress)?;
        let mut at = aligned_parts(job, [0, first], align, &mut |from, to| {
            pipeline.part(from, to, align)
        })?;
        let (done, reached) = (pipeline.done(), pipeline.reached());
        let refusal = pipeline.refusal();
        // No operation is in flight any more.
        self.end();
        if let Some((side, errno)) = refusal {
            say_refused(side.name(job.options), errno);
        }
        let mut mover = Mover::new(job, progress, done);
        if refusal.is_none() && at == first && first < limit {
            mover.direct(align)?;
            at = aligned_parts(job, [first, limit], align, &mut |from, to| {
                mover.part(from, to)
            })?;
        }
        // The rest is not aligned.
        os::set_direct(job.source, false).map_err(|errno| Stop::At(Side::Source, errno))?;
        os::set_direct(job.target, false).map_err(|errno| Stop::At(Side::Target, errno))?;
        mover.through_the_cache()?;
        let to_the_end = &mut |part: Part| mover.part(part.from, part.to.unwrap_or(u64::MAX));
        let end = job.each(at, to_the_end)?;
        if end < reached {
            return Err(Stop::Shrunk);
        }
        Ok((end, mover.done()))
    }

    fn pipeline<'a>(
        &'a mut self,
        job: &'a Job<'_>,
        block: usize,
        progress: &'a mut Progress,
    ) -> Result<Pipeline<'a>, Stop> {
        let depth = self.depth as usize;
        let memory = Pipeline::memory(depth, block).map_err(Stop::Memory)?;
        let Some(context) = &mut self.context else {
            return Err(Stop::Context(linux_aio::Errno::INVAL));
        };
        let mut pipeline = Pipeline::new(
            context,
            self.memory.insert(memory),
            job.source,
            job.target,
            depth,
            block,
            job.size,
            job.signals,
            progress,
        );
        pipeline.zeros = job.zeros;
        Ok(pipeline)
    }

    /// Destroys the context, after all AIO operations have completed.
    fn end(&mut self) {
        let Some(context) = self.context.take() else {
            return;
        };
        // A sandbox that does not allow threads may kill the process for creating one.
        if proc::seccomp() == Some(0) {
            os::destroy_beside(context);
        }
    }
}

/// Calls `copy` for each part with data, in whole blocks of `align`. `copy` returns the
/// offset where the part ended.
///
/// Returns the offset where the parts end: `limit`, unless the file ended earlier or no
/// aligned data follows.
fn aligned_parts(
    job: &Job<'_>,
    [mut at, limit]: [u64; 2],
    align: usize,
    copy: &mut dyn FnMut(u64, u64) -> Result<u64, Stop>,
) -> Result<u64, Stop> {
    let step = align as u64;
    while at < limit {
        // A hole that reaches the end and unaligned data are left to the caller.
        let Some(part) = job.next(at)?.filter(|part| part.from < limit) else {
            break;
        };
        // Where a hole begins or ends within a block, some of its bytes are copied.
        let from = part.from - part.from % step;
        let to = part
            .to
            .map_or(limit, |to| to.next_multiple_of(step).min(limit));
        at = copy(from.max(at), to)?;
        if at < to {
            break;
        }
    }
    Ok(at)
}
