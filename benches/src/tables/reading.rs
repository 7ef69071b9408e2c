//! The cost that the layer adds to an operation.

use std::collections::BTreeMap;

use super::{Bench, MORE, times};
use crate::command::Result;
use crate::counts::READERS;
use crate::stats::{CPU, find};
use crate::subject::Case;
use crate::svg::brief;

impl Bench<'_> {
    /// Measures the cost of an operation in addition to the kernel's work.
    pub(crate) fn reading(&mut self) -> Result<()> {
        self.page.heading("A whole operation");
        self.page.say(
            "Buffered reads of 512 bytes from the page cache, which complete during submission: 32 \
             or 1 are submitted at once, then all completions are taken. `hand` is an ideal loop over raw \
             system calls, with the fewest possible checks and a depth that the compiler knows; \
             `hand-runtime` is an ordinary one, whose depth is known at run time. `queue`, `scope` and `reactor` (tasks \
             that each await one read after the other, and an executor that polls all of them) are safe. The time is processor \
             time, including the kernel's copying, as a ratio to `hand`.",
        );
        let mut rows: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut queue = Vec::new();
        for size in [32, 1] {
            let case = Case {
                group: "read",
                baseline: "",
                size,
                more: &[],
            };
            let all = self.runs_in(MORE * self.turns, case, READERS, 64_000)?;
            let hand = find(&all, "hand").ok_or("no hand")?;
            let time = |base: &str| {
                let (queue, base) = (find(&all, "queue"), find(&all, base));
                let both = queue.zip(base);
                both.map_or(f64::NAN, |(queue, base)| queue.ratio(base, CPU))
            };
            for base in ["hand", "hand-runtime"] {
                self.keep(format!("read {size} queue {base}"), time(base));
            }
            queue.push((size, time("hand"), time("hand-runtime")));
            for &baseline in READERS {
                if let Some(runs) = find(&all, baseline) {
                    let count = self.count(&format!("read {baseline} {size}"));
                    rows.entry(baseline)
                        .or_default()
                        .extend([brief(count), times(runs.ratio(hand, CPU))]);
                }
            }
        }
        let present = READERS
            .iter()
            .filter_map(|&baseline| Some((baseline, rows.remove(baseline)?)));
        let table: Vec<_> = present
            .map(|(baseline, cells)| [vec![baseline.to_owned()], cells].concat())
            .collect();
        self.page.table(
            &["", "32: instructions", "time", "1: instructions", "time"],
            &table,
        );
        for (size, time, ordinary) in queue {
            let over = |base: &str| {
                self.count(&format!("read queue {size}"))
                    - self.count(&format!("read {base} {size}"))
            };
            let (over, than_ordinary) = (over("hand"), over("hand-runtime"));
            self.goal(
                &format!("`Queue`: within 15 instructions of a hand-written loop, depth {size}"),
                format!(
                    "{over:.1} more than the ideal loop, {than_ordinary:.1} than the ordinary one; \
                     {time:.2} and {ordinary:.2} of their time"
                ),
                over <= 15.0,
            );
        }
        Ok(())
    }
}
