//! Reads of a file, with `depth` of them in flight all the time.

use std::alloc::Layout;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Instant;

use crate::baselines::{
    Baseline, Buffer, ByContext, ByLibAio, ByLibAioEach, ByLoop, ByQueue, ByUring,
};
use crate::meter::Meter;

/// The pattern in which the file is read.
struct Pattern {
    len: usize,
    direct: bool,
    random: bool,
}

fn pattern(name: &str) -> Option<Pattern> {
    let (len, direct, random) = match name {
        "buffered-512" => (512, false, true),
        "direct-4k" => (4096, true, true),
        "sequential-128k" => (128 << 10, true, false),
        _ => return None,
    };
    Some(Pattern {
        len,
        direct,
        random,
    })
}

/// Performs `meter.count` reads of the file at `path`.
pub(crate) fn disk(
    baseline: &str,
    depth: usize,
    name: &str,
    path: &str,
    meter: &mut Meter,
) -> Option<()> {
    let pattern = pattern(name)?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(if pattern.direct { libc::O_DIRECT } else { 0 })
        .open(path)
        .ok()?;
    match baseline {
        "hand" => run(ByLoop::new(depth), depth, &pattern, &file, meter),
        "context" => run(ByContext::new(depth), depth, &pattern, &file, meter),
        "queue" => run(ByQueue::new(depth), depth, &pattern, &file, meter),
        "libaio" => run(ByLibAio::new(depth)?, depth, &pattern, &file, meter),
        "libaio-each" => run(ByLibAioEach::new(depth)?, depth, &pattern, &file, meter),
        "uring" => run(ByUring::new(depth)?, depth, &pattern, &file, meter),
        _ => return None,
    }
    Some(())
}

fn run<'f>(
    mut baseline: impl Baseline<'f>,
    depth: usize,
    pattern: &Pattern,
    file: &'f File,
    meter: &mut Meter,
) {
    let len = pattern.len;
    let blocks = file.metadata().unwrap().len() / len as u64;
    let layout = Layout::from_size_align(depth * len, 4096).unwrap();
    // SAFETY: not of size zero, and never freed.
    let memory: Buffer =
        unsafe { std::slice::from_raw_parts_mut(std::alloc::alloc_zeroed(layout), depth * len) };
    let start = memory.as_ptr().addr();
    let place = |buffer: &Buffer| (buffer.as_ptr().addr() - start) / len;
    let mut begun = vec![Instant::now(); depth];
    let mut idle: Vec<Buffer> = memory.chunks_mut(len).collect();
    let mut times = Vec::with_capacity(meter.count as usize);
    let (count, mut staged, mut done, mut random) = (meter.count, 0_u64, 0_u64, 1_u64);
    meter.time(|| {
        while done < count {
            let now = Instant::now();
            let mut any = false;
            while staged < count {
                let Some(buffer) = idle.pop() else { break };
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let block = if pattern.random { random >> 33 } else { staged };
                begun[place(&buffer)] = now;
                baseline.stage(file.into(), block % blocks * len as u64, buffer);
                staged += 1;
                any = true;
            }
            if any {
                baseline.submit();
            }
            let first = idle.len();
            baseline.take(&mut |buffer| idle.push(buffer));
            let now = Instant::now();
            for buffer in &idle[first..] {
                times.push(now - begun[place(buffer)]);
            }
            done += (idle.len() - first) as u64;
        }
    });
    for time in times {
        meter.latency(time);
    }
}
