//! The destruction of contexts.

use super::{Bench, MORE};
use crate::command::Result;
use crate::stats::{WALL, in_turn};
use crate::subject::Case;
use crate::svg::{brief, lines};

impl Bench<'_> {
    /// Measures the destruction of contexts.
    pub(crate) fn teardown(&mut self) -> Result<()> {
        self.page.heading("Destruction of contexts");
        self.page.say(
            "Idle contexts are destroyed one after another (`destroy` and `libaio`), concurrently \
             (`destroy-all`), or reused (`pool`, with a new queue each time). `uring` closes \
             io_uring instances. `io_destroy` waits for RCU grace periods, and sleeps nearly all of \
             that time. Milliseconds for all contexts together.",
        );
        let baselines = ["destroy", "destroy-all", "pool", "libaio", "capi", "uring"];
        let mut rows: Vec<Vec<String>> = Vec::new();
        let mut drawn: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
        for size in [1, 8, 64] {
            let case = Case {
                group: "teardown",
                baseline: "",
                size,
                more: &[],
            };
            let subject = &self.built.subject;
            let all = in_turn(subject, case, &baselines, 1, self.turns, &mut self.notes)?;
            for (at, runs) in all.iter().enumerate() {
                if rows.len() <= at {
                    rows.push(vec![runs.baseline.clone()]);
                    drawn.push((runs.baseline.clone(), Vec::new()));
                }
                let time = runs.median(WALL) / 1e6;
                rows[at].push(brief(time));
                drawn[at].1.push((size as f64, time));
            }
        }
        self.page.table(&["", "1", "8", "64"], &rows);
        self.say_notes();
        let words = "Milliseconds to destroy this number of contexts";
        let alternative = "Line chart: milliseconds to destroy 1, 8 and 64 contexts";
        let plot = lines(words, "contexts", &drawn);
        self.page.plot("teardown", alternative, plot);
        let time = |baseline: &str, at: usize| {
            let found = drawn.iter().find(|(name, _)| name == baseline);
            found.map_or(f64::NAN, |(_, points)| points[at].1)
        };
        let (one, all) = (self.end("destroy", 1)?, self.end("destroy-all", 64)?);
        self.goal(
            "64 contexts destroyed: within 1.5 times the time of one",
            format!("{:.2} times ({all:.1} ms against {one:.1} ms)", all / one),
            all / one <= 1.5,
        );
        let again = time("pool", 2) * 1000.0 / 64.0;
        self.goal(
            "an idle context reused: under 10 µs",
            format!("{again:.2} µs"),
            again < 10.0,
        );
        Ok(())
    }

    /// Returns the time in milliseconds, over enough runs that their position within an
    /// RCU grace period does not matter.
    fn end(&mut self, baseline: &str, size: usize) -> Result<f64> {
        let case = Case {
            group: "teardown",
            baseline,
            size,
            more: &[],
        };
        let turns = MORE * self.turns;
        let subject = &self.built.subject;
        let all = in_turn(subject, case, &[baseline], 1, turns, &mut self.notes)?;
        Ok(all[0].median(WALL) / 1e6)
    }
}
