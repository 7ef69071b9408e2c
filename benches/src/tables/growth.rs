//! The cost of one operation among many.

use super::Bench;
use crate::command::Result;
use crate::stats::{CPU, Runs, find, in_turn};
use crate::subject::Case;
use crate::svg::{Line, brief, lines};

/// The numbers of operations at once.
const SIZES: &[usize] = &[16, 1024, 4096, 16_384];

/// A case: its group, its name, what it is called, and the number of operations of a run.
type Grown = (&'static str, &'static str, &'static str, u64);

/// At least as many operations as the largest of [`SIZES`].
const COUNT: u64 = 16_384;

const OPERATIONS: &[Grown] = &[
    (
        "many",
        "scope-order",
        "polls of a scope, waited for in order",
        COUNT,
    ),
    (
        "grow",
        "scope-reverse",
        "reads of a scope, in reverse",
        COUNT,
    ),
    ("grow", "scope-random", "reads of a scope, at random", COUNT),
    (
        "grow",
        "cancel-reverse",
        "staged, cancelled in reverse",
        COUNT,
    ),
    (
        "grow",
        "cancel-random",
        "staged, cancelled at random",
        COUNT,
    ),
    (
        "grow",
        "drop-reverse",
        "futures not submitted, dropped in reverse",
        COUNT,
    ),
    (
        "grow",
        "drop-random",
        "futures not submitted, dropped at random",
        COUNT,
    ),
    (
        "many",
        "poll-order",
        "polls in flight, dropped in order",
        COUNT,
    ),
    (
        "many",
        "poll-reverse",
        "polls in flight, dropped in reverse",
        COUNT,
    ),
];

const OWNERS: &[Grown] = &[
    ("grow", "create-queue", "queue", 1000),
    ("grow", "create-scope", "scope", 1000),
    ("grow", "create-reactor", "reactor", 1000),
];

/// The cost among the most operations may be this number of times that among the fewest,
/// of which there are a thousand times less: the most do not fit in the processor's nearest
/// caches. (The gates hold the number of instructions to narrower limits.)
const GROWTH: f64 = 8.0;

impl Bench<'_> {
    /// Measures how costs depend on the number of operations.
    pub(crate) fn growth(&mut self) -> Result<()> {
        self.page.heading("Growth");
        self.page.say(
            "Nanoseconds of processor time for an operation, by the number of operations at once. \
             In a scope, polls that are ready at once or cached reads of 8 bytes are begun, and \
             waited for in this order. In a queue, operations are staged, cancelled and taken; \
             they are not submitted. The futures of a reactor are dropped: of operations that were \
             not submitted, half of which wait for a slot, or of polls in flight, which are \
             cancelled. `io_cancel` searches a list in the kernel from the oldest operation on, \
             and the reverse order is its worst case.",
        );
        let words = "Processor time of one operation, ns, by the number at once";
        self.grows("an operation among many", OPERATIONS, "growth", words)?;
        self.page.say(
            "Nanoseconds of processor time to create an owner of this number of slots on an idle \
             context, and to take the context back:",
        );
        let words = "Processor time to create an owner, ns, by the number of slots";
        self.grows("an owner of many slots", OWNERS, "creation", words)
    }

    fn grows(&mut self, goal: &str, cases: &[Grown], plot: &str, words: &str) -> Result<()> {
        let mut columns: Vec<Vec<Runs>> = Vec::new();
        for &size in SIZES {
            let mut column = Vec::new();
            for group in ["grow", "many"] {
                let of_group = || cases.iter().filter(|case| case.0 == group);
                let baselines: Vec<&str> = of_group().map(|case| case.1).collect();
                let count = of_group().map(|case| case.3).max().unwrap_or(0);
                let case = Case {
                    group,
                    baseline: "",
                    size,
                    more: &[],
                };
                // A quick run has as many operations, or it would have none.
                let subject = &self.built.subject;
                let (turns, notes) = (self.turns, &mut self.notes);
                column.extend(in_turn(subject, case, &baselines, count, turns, notes)?);
            }
            columns.push(column);
        }
        let figures = |case: &str| -> Vec<f64> {
            let figure =
                |all: &Vec<Runs>| find(all, case).map_or(f64::NAN, |runs| runs.median(CPU));
            columns.iter().map(figure).collect()
        };
        let mut rows = Vec::new();
        let mut drawn: Vec<Line> = Vec::new();
        for &(_, case, name, _) in cases {
            let figures = figures(case);
            let cells = figures.iter().map(|&figure| brief(figure));
            rows.push(
                std::iter::once(format!("{case}: {name}"))
                    .chain(cells)
                    .collect(),
            );
            let points = SIZES.iter().zip(&figures);
            let points = points.map(|(&size, &figure)| (size as f64, figure));
            drawn.push((case.to_owned(), points.collect()));
        }
        let heads: Vec<String> = std::iter::once(String::new())
            .chain(SIZES.iter().map(|size| size.to_string()))
            .collect();
        self.page.table(&heads, &rows);
        self.say_notes();
        let alternative = format!("Line chart: {words}, both axes logarithmic");
        self.page
            .plot(plot, &alternative, lines(words, "at once", &drawn));
        // The growth of this one is the kernel's.
        let own = drawn.iter().filter(|line| line.0 != "poll-reverse");
        let growth = own.filter_map(|(case, points)| {
            Some((points.last()?.1 / points.first()?.1, case.as_str()))
        });
        let most = growth.max_by(|one, other| one.0.total_cmp(&other.0));
        let (most, case) = most.ok_or("nothing was measured")?;
        self.goal(
            &format!("{goal}: at 16,384 at most {GROWTH} times the cost at 16"),
            format!("{most:.2} times at most ({case})"),
            most <= GROWTH,
        );
        Ok(())
    }
}
