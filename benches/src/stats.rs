//! Medians of runs that took turns.

use crate::build::Result;
use crate::subject::{Case, Sample, Subject};

/// One rival's runs.
pub(crate) struct Runs {
    pub(crate) rival: String,
    pub(crate) samples: Vec<Sample>,
}

/// What is compared.
pub(crate) type Figure = fn(&Sample) -> f64;

/// Processor time an operation.
pub(crate) const CPU: Figure = |sample| sample.cpu / sample.count;
/// Time an operation.
pub(crate) const WALL: Figure = |sample| sample.wall / sample.count;
/// Operations a second.
pub(crate) const RATE: Figure = |sample| sample.count * 1e9 / sample.wall;

impl Runs {
    pub(crate) fn median(&self, figure: Figure) -> f64 {
        median(self.samples.iter().map(figure).collect())
    }

    /// The median of the ratios to the other's run of the same turn.
    pub(crate) fn ratio(&self, other: &Runs, figure: Figure) -> f64 {
        let pairs = self.samples.iter().zip(&other.samples);
        median(
            pairs
                .map(|(ours, theirs)| figure(ours) / figure(theirs))
                .collect(),
        )
    }

    /// The largest over the smallest.
    pub(crate) fn spread(&self, figure: Figure) -> f64 {
        let figures = || self.samples.iter().map(figure);
        figures().fold(0.0, f64::max) / figures().fold(f64::INFINITY, f64::min)
    }
}

/// Every rival in turn, `turns` times. One that cannot is left out, and told.
pub(crate) fn in_turn(
    subject: &Subject,
    case: Case<'_>,
    rivals: &[&str],
    count: u64,
    turns: usize,
) -> Result<Vec<Runs>> {
    let mut all: Vec<Runs> = Vec::new();
    for &rival in rivals {
        if rival != "capi" || subject.has_capi() {
            let (rival, samples) = (rival.to_owned(), Vec::new());
            all.push(Runs { rival, samples });
        }
    }
    for _ in 0..turns {
        for runs in &mut all {
            let rival = &runs.rival;
            let sample = subject.time(Case { rival, ..case }, count)?;
            runs.samples.push(sample);
        }
    }
    Ok(all)
}

pub(crate) fn find<'r>(all: &'r [Runs], rival: &str) -> Option<&'r Runs> {
    all.iter().find(|runs| runs.rival == rival)
}

pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    match numbers.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => numbers[len / 2],
        len => (numbers[len / 2 - 1] + numbers[len / 2]) / 2.0,
    }
}
