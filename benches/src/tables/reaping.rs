//! The cost of taking a completion.

use super::{Bench, MORE, ours};
use crate::command::Result;
use crate::counts::REAPERS;
use crate::stats::{CPU, find};
use crate::subject::Case;
use crate::svg::{bars, brief};

impl Bench<'_> {
    /// Measures taking completions that are available.
    pub(crate) fn reaping(&mut self) -> Result<()> {
        self.page.heading("Reaping");
        self.page.say(
            "The ring holds 4,096 completions, which are taken 1, 8 or 64 at a time. Each figure is \
             for one completion: nanoseconds of processor time, or instructions in user space. \
             `hand` takes one event at a time and does not validate the ring. `ring` is `Ring::pop` \
             (1 at a time) or `Ring::reap`.",
        );
        let sizes = [1, 8, 64];
        let mut rows: Vec<Vec<String>> = Vec::new();
        let mut plotted = Vec::new();
        let mut one = Vec::new();
        for size in sizes {
            let case = Case {
                group: "reap",
                baseline: "",
                size,
                more: &[],
            };
            let mut baselines = vec!["nothing"];
            baselines.extend(REAPERS);
            let turns = if size == 1 { MORE } else { 1 } * self.turns;
            let all = self.runs_in(turns, case, &baselines, 307_200)?;
            let nothing = find(&all, "nothing").map_or(0.0, |runs| runs.median(CPU));
            for runs in all.iter().filter(|runs| runs.baseline != "nothing") {
                let time = (runs.median(CPU) - nothing).max(0.01);
                let count = self.count(&format!("reap {} {size}", runs.baseline));
                let at = rows
                    .iter()
                    .position(|row| row[0] == runs.baseline)
                    .unwrap_or_else(|| {
                        rows.push(vec![runs.baseline.clone()]);
                        rows.len() - 1
                    });
                rows[at].extend([format!("{time:.1}"), format!("{count:.1}")]);
                if size == 1 {
                    plotted.push((runs.baseline.clone(), time, ours(&runs.baseline)));
                    one.push((runs.baseline.clone(), time));
                }
            }
            let time = |name| {
                let runs = find(&all, name);
                runs.map_or(f64::NAN, |runs| (runs.median(CPU) - nothing).max(0.01))
            };
            self.keep(
                format!("reap {size} ring context"),
                time("ring") / time("context"),
            );
        }
        let heads = [
            "",
            "1 at a time, ns",
            "instructions",
            "8 at a time, ns",
            "instructions",
            "64 at a time, ns",
            "instructions",
        ];
        self.page.table(&heads, &rows);
        let words = "Nanoseconds to take one completion (logarithmic)";
        let alternative = "Bar chart: nanoseconds to take one completion, logarithmic scale";
        let plot = bars(words, &plotted, true);
        self.page.plot("reaping", alternative, plot);
        let time = |baseline: &str| {
            one.iter()
                .find(|(name, _)| name == baseline)
                .map_or(f64::NAN, |one| one.1)
        };
        let (ring, hand, call) = (time("ring"), time("hand"), time("context"));
        self.goal(
            "one completion: 10 times faster than `io_getevents`",
            format!(
                "{:.0} times ({ring:.1} ns against {call:.0} ns)",
                call / ring
            ),
            call / ring >= 10.0,
        );
        let ratio = ring / hand;
        self.goal(
            "one completion: no slower than a hand-written loop",
            format!("{ratio:.2} of the loop's time"),
            ratio <= 1.05,
        );

        let case = Case {
            group: "peek",
            baseline: "",
            size: 0,
            more: &[],
        };
        let all = self.runs_in(
            MORE * self.turns,
            case,
            &[
                "nothing", "hand", "ring", "queue", "uring", "libaio", "capi", "trap",
            ],
            2_000_000,
        )?;
        let rows: Vec<Vec<String>> = all
            .iter()
            .map(|runs| {
                let count = self.count(&format!("peek {}", runs.baseline));
                let count = if count.is_nan() {
                    self.count("getevents trap")
                } else {
                    count
                };
                vec![
                    runs.baseline.clone(),
                    format!("{:.2}", runs.least(CPU)),
                    format!("{:.2}", runs.median(CPU)),
                    brief(count),
                ]
            })
            .collect();
        self.page.say(
            "A poll of an empty ring, including the measuring loop; `nothing` is the loop alone. \
             Other load can only lengthen such short times, so the minimum is the most accurate:",
        );
        self.page
            .table(&["", "minimum, ns", "median, ns", "instructions"], &rows);
        if let (Some(peek), Some(nothing)) = (find(&all, "ring"), find(&all, "nothing")) {
            let least = peek.least(CPU) - nothing.least(CPU);
            let median = peek.median(CPU) - nothing.median(CPU);
            let around = peek.least(CPU);
            let hand = find(&all, "hand").map_or(f64::NAN, |hand| hand.least(CPU));
            self.keep("peek ring hand", peek.least(CPU) / hand);
            self.goal(
                "a poll of an empty ring: under 1 ns",
                format!(
                    "{least:.2} ns from the minima, {median:.2} from the medians; {around:.2} with the loop"
                ),
                least < 1.0,
            );
        }
        Ok(())
    }
}
