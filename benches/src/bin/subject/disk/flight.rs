//! [`Flight`]: reads and writes, with one of each slot in flight all the time.

use std::fs::File;
use std::time::Instant;

use super::{Baseline, Pattern, Run};
use crate::meter::Meter;

pub(super) struct Flight<'m> {
    pub(super) pattern: Pattern,
    pub(super) meter: &'m mut Meter,
}

impl Run for Flight<'_> {
    fn run(self, depth: usize, file: &File, mut baseline: impl Baseline) {
        let (pattern, meter) = (self.pattern, self.meter);
        let blocks = pattern.blocks(file);
        let mut begun = vec![Instant::now(); depth];
        let mut idle: Vec<usize> = (0..depth).collect();
        let mut times = Vec::with_capacity(meter.count as usize);
        let (count, mut staged, mut done) = (meter.count, 0, 0);
        meter.time(|| {
            while done < count {
                let now = Instant::now();
                let mut any = false;
                while staged < count {
                    let Some(slot) = idle.pop() else { break };
                    begun[slot] = now;
                    baseline.stage(slot, pattern.op(staged, blocks));
                    staged += 1;
                    any = true;
                }
                if any {
                    baseline.submit();
                }
                let first = idle.len();
                baseline.take(&mut |slot| idle.push(slot));
                let now = Instant::now();
                for &slot in &idle[first..] {
                    times.push(now - begun[slot]);
                }
                done += (idle.len() - first) as u64;
            }
        });
        times.into_iter().for_each(|time| meter.latency(time));
    }
}
