//! Medians of interleaved runs.

use crate::command::Result;
use crate::subject::{Case, Sample, Subject, Timed};

/// The runs of one baseline.
pub(crate) struct Runs {
    pub(crate) baseline: String,
    pub(crate) samples: Vec<Sample>,
}

/// A ratio and its confidence interval.
pub(crate) struct Sure {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl std::fmt::Display for Sure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.2} ({:.2} to {:.2})",
            self.median, self.least, self.most
        )
    }
}

/// The figure that is compared.
pub(crate) type Figure = fn(&Sample) -> f64;

/// Processor time for each operation.
pub(crate) const CPU: Figure = |sample| sample.cpu / sample.count;
/// The same, with that of kernel threads where it was counted.
pub(crate) const WHOLE_CPU: Figure =
    |sample| (sample.cpu + sample.kernel.unwrap_or(0.0)) / sample.count;
/// Processor time of kernel threads for each operation.
pub(crate) const KERNEL_CPU: Figure =
    |sample| sample.kernel.map_or(f64::NAN, |time| time / sample.count);
/// Time for each operation.
pub(crate) const WALL: Figure = |sample| sample.wall / sample.count;
/// Operations in one second.
pub(crate) const RATE: Figure = |sample| sample.count * 1e9 / sample.wall;

impl Runs {
    pub(crate) fn median(&self, figure: Figure) -> f64 {
        median(self.samples.iter().map(figure).collect())
    }

    pub(crate) fn least(&self, figure: Figure) -> f64 {
        self.samples
            .iter()
            .map(figure)
            .fold(f64::INFINITY, f64::min)
    }

    /// Returns the median of the ratios to the run of `other` in the same turn.
    pub(crate) fn ratio(&self, other: &Runs, figure: Figure) -> f64 {
        median(self.ratios(other, figure))
    }

    /// Returns the same, with the two ratios between which the true median lies with a
    /// confidence of 95 % (19 times of 20).
    pub(crate) fn sure_ratio(&self, other: &Runs, figure: Figure) -> Sure {
        let mut ratios = self.ratios(other, figure);
        ratios.sort_unstable_by(f64::total_cmp);
        // The number of ratios above the true median follows a binomial distribution,
        // as heads in coin tosses do.
        let len = ratios.len() as f64;
        let out = (len / 2.0 - 0.98 * len.sqrt()).floor().max(1.0) as usize - 1;
        Sure {
            least: ratios.get(out).copied().unwrap_or(f64::NAN),
            most: ratios.iter().rev().nth(out).copied().unwrap_or(f64::NAN),
            median: median(ratios),
        }
    }

    fn ratios(&self, other: &Runs, figure: Figure) -> Vec<f64> {
        let pairs = self.samples.iter().zip(&other.samples);
        pairs
            .map(|(ours, theirs)| figure(ours) / figure(theirs))
            .collect()
    }

    /// Returns the largest figure divided by the smallest.
    pub(crate) fn spread(&self, figure: Figure) -> f64 {
        let figures = || self.samples.iter().map(figure);
        figures().fold(0.0, f64::max) / figures().fold(f64::INFINITY, f64::min)
    }
}

/// Runs every baseline in each of `turns` turns. Each turn begins with another
/// baseline, and every second turn runs in reverse order: the after-effects of one run
/// (such as a disk with deferred work) do not always affect the same baseline. A
/// baseline that is not available is left out, and its reason is one of the notes.
pub(crate) fn in_turn(
    subject: &Subject,
    case: Case<'_>,
    baselines: &[&str],
    count: u64,
    turns: usize,
    notes: &mut Vec<String>,
) -> Result<Vec<Runs>> {
    let mut all: Vec<Runs> = Vec::new();
    for &baseline in baselines {
        if baseline != "capi" || subject.has_capi() {
            let (baseline, samples) = (baseline.to_owned(), Vec::new());
            all.push(Runs { baseline, samples });
        }
    }
    let mut missing = Vec::new();
    for turn in 0..turns {
        let places = all.len().max(1);
        for place in 0..all.len() {
            let place = (turn + place) % places;
            let at = if turn % 2 == 0 {
                place
            } else {
                places - 1 - place
            };
            let Some(runs) = all.get_mut(at) else { break };
            let baseline = &runs.baseline;
            match subject.time(Case { baseline, ..case }, count)? {
                Timed::Sample(mut sample) => {
                    notes.append(&mut sample.notes);
                    runs.samples.push(sample);
                }
                Timed::Unavailable(reason) => {
                    notes.push(reason);
                    missing.push(at);
                }
            }
        }
        missing.sort_unstable();
        for at in missing.drain(..).rev() {
            all.remove(at);
        }
    }
    Ok(all)
}

pub(crate) fn find<'r>(all: &'r [Runs], baseline: &str) -> Option<&'r Runs> {
    all.iter().find(|runs| runs.baseline == baseline)
}

pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    match numbers.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => numbers[len / 2],
        len => (numbers[len / 2 - 1] + numbers[len / 2]) / 2.0,
    }
}
