//! Tables with a row for each baseline, and columns for each depth.

use super::{NOTHING, times};
use crate::command::Result;
use crate::stats::{Figure, KERNEL_CPU, RATE, Runs, WHOLE_CPU, find};
use crate::subject::Sample;
use crate::svg::brief;

/// The runs of every baseline, by depth.
pub(super) type ByDepth = [(usize, Vec<Runs>)];

/// A table of rates and processor times.
pub(super) struct Columns<'c> {
    pub(super) columns: &'c ByDepth,
    /// The baseline that ratios refer to.
    pub(super) base: &'c str,
    /// Whether the time of kernel threads has a column.
    pub(super) kernel: bool,
}

impl Columns<'_> {
    pub(super) fn heads(&self) -> Vec<String> {
        let mut heads = vec![String::new()];
        for (depth, _) in self.columns {
            heads.extend([format!("{depth}: ops/s"), format!("{depth}: CPU")]);
            if self.kernel {
                heads.push(format!("{depth}: kernel threads, µs"));
            }
        }
        heads
    }

    pub(super) fn rows(&self, baselines: &[&str]) -> Result<Vec<Vec<String>>> {
        let mut rows = Vec::new();
        for baseline in baselines {
            let mut row = vec![(*baseline).to_owned()];
            for (_, all) in self.columns {
                let base = find(all, self.base).ok_or("no runs to compare with")?;
                let Some(runs) = find(all, baseline) else {
                    let missing = if self.kernel { 3 } else { 2 };
                    row.extend((0..missing).map(|_| NOTHING.to_owned()));
                    continue;
                };
                let cell = |ratio, figure| format!("{} ({})", times(ratio), brief(figure));
                row.push(cell(runs.ratio(base, RATE), runs.median(RATE)));
                let cpu = runs.median(WHOLE_CPU) / 1000.0;
                row.push(cell(runs.ratio(base, WHOLE_CPU), cpu));
                if self.kernel {
                    row.push(brief(runs.median(KERNEL_CPU) / 1000.0));
                }
            }
            if row.iter().skip(1).any(|cell| cell != NOTHING) {
                rows.push(row);
            }
        }
        Ok(rows)
    }
}

pub(super) fn latency_heads(columns: &ByDepth) -> Vec<String> {
    let depths = columns.iter().map(|(depth, _)| depth.to_string());
    std::iter::once(String::new()).chain(depths).collect()
}

/// Returns a row of percentiles for each baseline.
pub(super) fn latencies(baselines: &[&str], columns: &ByDepth) -> Vec<Vec<String>> {
    let figures: [Figure; 3] = [
        |sample: &Sample| sample.p50,
        |sample: &Sample| sample.p99,
        |sample: &Sample| sample.p999,
    ];
    let cell = |runs: &Runs| {
        figures
            .map(|figure| brief(runs.median(figure) / 1000.0))
            .join(" / ")
    };
    let row = |baseline: &&str| -> Option<Vec<String>> {
        let found: Vec<_> = columns
            .iter()
            .map(|(_, all)| find(all, baseline).map(cell))
            .collect();
        found.iter().any(Option::is_some).then_some(())?;
        let cells = found
            .into_iter()
            .map(|cell| cell.unwrap_or_else(|| NOTHING.to_owned()));
        Some(
            std::iter::once((*baseline).to_owned())
                .chain(cells)
                .collect(),
        )
    };
    baselines.iter().filter_map(row).collect()
}
