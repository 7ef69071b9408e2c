//! The cost that the layer adds to a system call, a completion and an operation.

use std::collections::BTreeMap;

use super::{Bench, MORE, NOTHING, ours, times};
use crate::command::Result;
use crate::counts::{CALLERS, READERS, REAPERS};
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

    /// Measures the cost of an operation in addition to the kernel's work.
    pub(crate) fn reading(&mut self) -> Result<()> {
        self.page.heading("A whole operation");
        self.page.say(
            "Buffered reads of 512 bytes from the page cache, which complete during submission: 32 \
             or 1 are submitted at once, then all completions are taken. `hand` is an ideal loop over raw \
             system calls, with the fewest possible checks and a depth that the compiler knows; \
             `hand-runtime` is an ordinary one, whose depth is known at run time. `queue`, `scope` and `reactor` (a future \
             for each read, and an executor that polls all of them) are safe. The time is processor \
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
