//! The cost that the layer adds to a system call.

use std::collections::BTreeMap;

use super::{Bench, NOTHING, ours, times};
use crate::command::Result;
use crate::counts::CALLERS;
use crate::stats::{CPU, find};
use crate::subject::Case;
use crate::svg::{bars, brief};

impl Bench<'_> {
    /// Measures what is added to a single system call.
    pub(crate) fn calls(&mut self) -> Result<()> {
        self.page.heading("A system call");
        self.page.say(
            "Instructions in user space for one system call, including the check of its result, and \
             the processor time of the call, including the kernel. The time is a ratio to `trap`: \
             the bare system call instruction (an `asm!` block and a comparison). `io_destroy(0)` \
             fails with EINVAL, `io_submit` submits no operations, and `io_getevents` polls an \
             empty ring; libaio does the last in user space, without a system call. `context` \
             builds the timeout, which the other baselines receive.",
        );
        let mut rows: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let groups = ["destroy", "submit", "getevents"];
        for group in groups {
            let case = Case {
                group,
                baseline: "",
                size: 0,
                more: &[],
            };
            let mut baselines = CALLERS.to_vec();
            baselines.retain(|&baseline| {
                baseline != "loop" && (group, baseline) != ("destroy", "context")
            });
            let all = self.runs(case, &baselines, 200_000)?;
            let trap = find(&all, "trap").ok_or("no trap")?;
            for &baseline in CALLERS {
                let cells = rows.entry(baseline).or_default();
                let own = self.count(&format!("{group} {baseline}"))
                    - self.count(&format!("{group} loop"));
                match find(&all, baseline) {
                    Some(runs) => cells.extend([brief(own), times(runs.ratio(trap, CPU))]),
                    None => cells.extend([NOTHING.to_owned(), NOTHING.to_owned()]),
                }
            }
        }
        let listed = |baseline: &&&str| {
            **baseline != "loop" && (**baseline != "capi" || self.built.subject.has_capi())
        };
        let table: Vec<Vec<String>> = CALLERS
            .iter()
            .filter(listed)
            .map(|&baseline| {
                [
                    vec![baseline.to_owned()],
                    rows.remove(baseline).unwrap_or_default(),
                ]
                .concat()
            })
            .collect();
        let heads = [
            "",
            "io_destroy, instructions",
            "time",
            "io_submit, instructions",
            "time",
            "io_getevents, instructions",
            "time",
        ];
        self.page.table(&heads, &table);
        let rows: Vec<_> = CALLERS
            .iter()
            .filter(listed)
            .map(|&baseline| {
                let own = self.count(&format!("submit {baseline}")) - self.count("submit loop");
                (baseline.to_owned(), own, ours(baseline))
            })
            .collect();
        let words = "Instructions of an empty io_submit, by crate";
        let alternative = "Bar chart: instructions of an empty io_submit for each baseline";
        let plot = bars(words, &rows, false);
        self.page.plot("calls", alternative, plot);
        let over = |group: &str, baseline: &str, base: &str| {
            self.count(&format!("{group} {baseline}")) - self.count(&format!("{group} {base}"))
        };
        let sys = groups.map(|group| over(group, "sys", "trap"));
        let most = sys.into_iter().fold(f64::MIN, f64::max);
        let context = (
            over("submit", "context", "sys"),
            over("getevents", "context", "sys"),
        );
        self.goal(
            "`sys`: at most 4 instructions over the bare system call instruction",
            format!("{most:.0}"),
            most <= 4.0,
        );
        self.goal(
            "`Context`: within 2 instructions of `sys`",
            format!("submit {:.0}, wait {:.0}", context.0, context.1),
            context.0 <= 2.0 && context.1 <= 2.0,
        );
        Ok(())
    }
}
