//! Goals for operations on files.

use super::Bench;
use crate::stats::{RATE, Runs, WHOLE_CPU, find};

/// The baselines that are this library's.
const OURS: &[&str] = &["queue", "context"];

impl Bench<'_> {
    /// Compares processor time with every baseline, and at the depth that the headlines
    /// have also the rate.
    pub(super) fn disk_goals(&mut self, pattern: &str, depth: usize, all: &[Runs]) {
        let Some(queue) = find(all, "queue") else {
            return;
        };
        for runs in all {
            let name = |figure| format!("{pattern} {depth} {} {figure}", runs.baseline);
            self.keep(name("CPU"), queue.ratio(runs, WHOLE_CPU));
            self.keep(name("rate"), queue.ratio(runs, RATE));
        }
        let ratio = |runs: &Runs| queue.sure_ratio(runs, WHOLE_CPU);
        let others = all.iter().filter(|runs| {
            runs.baseline != "uring-tuned" && !OURS.contains(&runs.baseline.as_str())
        });
        // The most economical of the others.
        let best = others
            .map(|runs| (&runs.baseline, ratio(runs)))
            .max_by(|one, other| one.1.least.total_cmp(&other.1.least));
        let Some((baseline, among)) = best else {
            return;
        };
        let mut result = format!("queue {among} of {baseline}'s");
        let mut met = among.least <= 1.0;
        if let Some(tuned) = find(all, "uring-tuned") {
            let tuned = ratio(tuned);
            result += &format!("; {tuned} of uring-tuned's");
            met &= tuned.median <= 1.1;
        }
        self.goal(
            &format!(
                "{pattern}, depth {depth}: processor time the lowest or within the noise, and within \
                 1.1 of tuned io_uring's"
            ),
            result,
            met,
        );
        if (pattern, depth) == ("direct-4k", 32) {
            self.headline_goals(all, queue);
        }
    }

    fn headline_goals(&mut self, all: &[Runs], queue: &Runs) {
        if let (Some(libaio), Some(context)) = (find(all, "libaio"), find(all, "context")) {
            let rate = [queue, context].map(|runs| runs.sure_ratio(libaio, RATE));
            self.goal(
                "direct reads, depth 32: not below libaio in operations per second, within the 95% \
                 interval",
                format!("queue {}, context {} of libaio's", rate[0], rate[1]),
                rate.iter().all(|rate| rate.most >= 1.0),
            );
        }
        if let Some(uring) = find(all, "uring") {
            let result = format!(
                "queue {:.2} of io_uring's operations per second, {:.2} of its processor time",
                queue.ratio(uring, RATE),
                queue.ratio(uring, WHOLE_CPU)
            );
            self.goal(
                "direct reads, depth 32: compared with io_uring",
                result,
                true,
            );
        }
    }
}
