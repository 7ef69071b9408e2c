//! [`Log`]: records that are appended, each followed by an fsync once it is written.

use std::fs::File;
use std::time::Instant;

use super::{Baseline, Op, Run};
use crate::meter::Meter;

/// The length of a record, in bytes.
pub(super) const RECORD: usize = 512;

pub(super) struct Log<'m> {
    pub(super) meter: &'m mut Meter,
}

impl Run for Log<'_> {
    fn run(self, depth: usize, _: &File, mut baseline: impl Baseline) {
        let meter = self.meter;
        let mut begun = vec![Instant::now(); depth];
        let mut synced = vec![true; depth];
        let mut ready: Vec<usize> = (0..depth).collect();
        let (count, mut written, mut done) = (meter.count, 0_u64, 0);
        let mut times = Vec::with_capacity(count as usize);
        meter.time(|| {
            while done < count {
                let mut any = false;
                for slot in ready.drain(..) {
                    if !synced[slot] {
                        synced[slot] = true;
                        baseline.stage(slot, Op::Fsync);
                    } else if written < count {
                        synced[slot] = false;
                        begun[slot] = Instant::now();
                        baseline.stage(slot, Op::Write(written * RECORD as u64));
                        written += 1;
                    } else {
                        continue;
                    }
                    any = true;
                }
                if any {
                    baseline.submit();
                }
                baseline.take(&mut |slot| {
                    ready.push(slot);
                    if synced[slot] {
                        times.push(begun[slot].elapsed());
                        done += 1;
                    }
                });
            }
        });
        times.into_iter().for_each(|time| meter.latency(time));
    }
}
