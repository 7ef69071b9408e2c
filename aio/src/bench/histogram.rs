//! Latencies, counted in buckets whose width is at most a thirty-second of their value.

/// The number of buckets for each power of two.
const PARTS: u64 = 32;
/// The powers of two: latencies up to an hour.
const POWERS: usize = 37;

/// A histogram of nanoseconds. Zero bytes are an empty one.
#[repr(C)]
pub(super) struct Histogram {
    counts: [u32; POWERS * PARTS as usize],
}

impl Histogram {
    pub(super) fn add(&mut self, value: u64) {
        let shift = (value | PARTS).ilog2() - PARTS.ilog2();
        let index = u64::from(shift) * PARTS + (value >> shift);
        let last = self.counts.len() - 1;
        self.counts[(index as usize).min(last)] += 1;
    }

    pub(super) fn merge(&mut self, other: &Histogram) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// Returns the latency that this many thousandths of the values do not exceed.
    pub(super) fn quantile(&self, thousandths: u64) -> u64 {
        let total: u64 = self.counts.iter().map(|&count| u64::from(count)).sum();
        let mut left = (total * thousandths).div_ceil(1000);
        for (index, &count) in self.counts.iter().enumerate() {
            left = left.saturating_sub(count.into());
            if left == 0 {
                let index = index as u64;
                let shift = (index / PARTS).saturating_sub(1);
                // The largest value of the bucket.
                return ((index - shift * PARTS + 1) << shift) - 1;
            }
        }
        0
    }
}
