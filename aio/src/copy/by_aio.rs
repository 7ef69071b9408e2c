//! Data that goes through AIO, reads and writes in flight together.

use linux_aio::opcode::FSync;
use linux_aio::{Context, Errno, Event};

use super::direct::{allocate, go_direct, say_refused};
use super::pipeline::{Pipeline, Side, Stop};
use super::progress::Progress;
use super::{About, Failure, Job, Options, Way, What};
use crate::os::{self, File, Memory};

pub(super) struct ByAio {
    context: Context,
    depth: u32,
    /// What operations in flight use: dropped after the context, which waits for
    /// them.
    memory: Option<[Memory; 2]>,
}

impl ByAio {
    pub(super) fn new(options: &Options, size: u64) -> Result<ByAio, Failure<'static>> {
        // No more slots than the file has blocks, and one to find its end.
        let blocks = size / options.block as u64 + 1;
        let depth = blocks.min(options.depth.into()) as u32;
        let context = Context::new(depth).map_err(|errno| Failure {
            name: b"",
            what: What::Context(errno, depth),
        })?;
        Ok(ByAio {
            context,
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
        let (mut align, mut allocated) = (None, false);
        if options.direct {
            let real;
            (align, real) =
                go_direct(options, job.source, job.stat, job.target).about(options.target)?;
            // Blocks for holes would not be holes.
            let whole = job
                .next(0)
                .is_ok_and(|part| part.is_some_and(|part| part.is_whole()));
            allocated = real
                && whole
                && !job.zeros
                && allocate(job.target, job.size).about(options.target)?;
        }
        let block = options.block.next_multiple_of(align.unwrap_or(1));
        let depth = self.depth as usize;
        let memory = Pipeline::memory(depth, block);
        let memory = memory.map_err(|errno| Stop::Memory(errno).explain(options))?;
        let mut pipeline = Pipeline::new(
            &mut self.context,
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
        let copied = around_the_cache(&mut pipeline, job, align)
            .and_then(|from| {
                let copy = &mut |part: super::Part| match part.to {
                    Some(to) => pipeline.part(part.from, to, 1),
                    None => pipeline.buffered(part.from),
                };
                job.each(from, copy)
            })
            .and_then(|end| job.cut(end).and_then(|()| job.check_end(end, allocated)));
        copied.map_err(|stop| stop.explain(options))?;
        Ok(Way {
            bytes: pipeline.done(),
            name: match align {
                Some(_) => "AIO with O_DIRECT",
                None => "AIO",
            },
        })
    }

    /// Waits until the disk has the file: through AIO, or by fsync(2) on a kernel
    /// or a file system that has no such operation.
    pub(super) fn sync(&mut self, file: &File) -> Result<(), Errno> {
        let mut iocb = FSync::new(file.raw()).build();
        // SAFETY: an fsync has no buffer.
        let submitted = unsafe { self.context.submit(&mut [&mut iocb]) };
        let synced = submitted.and_then(|count| {
            if count == 0 {
                return Err(Errno::AGAIN);
            }
            let mut events = [Event::EMPTY];
            loop {
                match self.context.ring().wait(1, &mut events) {
                    Ok([event, ..]) => return event.result().map(drop),
                    Ok([]) | Err(Errno::INTR) => {}
                    Err(errno) => return Err(errno),
                }
            }
        });
        match synced {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::AGAIN) => os::fsync(file),
            other => other,
        }
    }
}

/// Copies the aligned parts with O_DIRECT, if there is an alignment, and returns
/// where the rest begins.
fn around_the_cache(
    pipeline: &mut Pipeline<'_>,
    job: &Job<'_>,
    align: Option<usize>,
) -> Result<u64, Stop> {
    let Some(align) = align else {
        return Ok(0);
    };
    let step = align as u64;
    let limit = job.size - job.size % step;
    let mut at = 0;
    while at < limit {
        // If only a hole follows, or what is not aligned, that is for later.
        let Some(part) = job.next(at)?.filter(|part| part.from < limit) else {
            break;
        };
        // Some bytes of a hole, where it begins or ends amid a block.
        let from = part.from - part.from % step;
        let to = part
            .to
            .map_or(limit, |to| to.next_multiple_of(step).min(limit));
        at = pipeline.part(from.max(at), to, align)?;
        if at < to {
            break;
        }
    }
    if let Some((side, errno)) = pipeline.refusal() {
        say_refused(side.name(job.options), errno);
    }
    // What is left is not aligned.
    os::set_direct(job.source, false).map_err(|errno| Stop::At(Side::Source, errno))?;
    os::set_direct(job.target, false).map_err(|errno| Stop::At(Side::Target, errno))?;
    Ok(at)
}
