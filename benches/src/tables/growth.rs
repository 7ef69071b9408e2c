//! The cost of one operation among many.

use super::Bench;
use crate::command::Result;
use crate::stats::{CPU, Runs, find};
use crate::subject::Case;
use crate::svg::{Line, brief, lines};

/// The numbers of operations at once.
const SIZES: &[usize] = &[16, 1024, 4096, 16_384];

/// The cases, and what they are called.
const OPERATIONS: &[(&str, &str)] = &[
    ("scope-order", "scope, waited in order"),
    ("scope-reverse", "scope, in reverse"),
    ("scope-random", "scope, at random"),
    ("cancel-reverse", "staged, cancelled in reverse"),
    ("cancel-random", "staged, cancelled at random"),
    ("drop-staged-reverse", "future, staged, dropped in reverse"),
    ("drop-flying-order", "poll in flight, dropped in order"),
    ("drop-flying-reverse", "poll in flight, dropped in reverse"),
];

const OWNERS: &[(&str, &str)] = &[
    ("new-queue", "queue"),
    ("new-scope", "scope"),
    ("new-reactor", "reactor"),
];

/// The cost among the most operations may be this number of times that among the fewest:
/// they no longer fit in the processor's nearest caches.
const GROWTH: f64 = 3.0;

impl Bench<'_> {
    /// Measures how costs depend on the number of operations.
    pub(crate) fn growth(&mut self) -> Result<()> {
        self.page.heading("Growth");
        self.page.say(
            "Nanoseconds of processor time for an operation, by the number of operations at once. \
             In a scope, polls that are ready at once are begun, and waited for in this order. In \
             a queue, operations are staged, cancelled and taken; they are not submitted. The \
             futures of a reactor are dropped, of operations that were not submitted or of polls \
             in flight, which are cancelled: `io_cancel` searches a list in the kernel from the \
             oldest operation on, and the reverse order is its worst case.",
        );
        let words = "Processor time of one operation, ns, by the number at once";
        self.grows(
            "an operation among many",
            OPERATIONS,
            16_384,
            "growth",
            words,
        )?;
        self.page.say(
            "Nanoseconds of processor time to create an owner of this number of slots on an idle \
             context, and to take the context back:",
        );
        let words = "Processor time to create an owner, ns, by the number of slots";
        self.grows("an owner of many slots", OWNERS, 1000, "creation", words)
    }

    fn grows(
        &mut self,
        goal: &str,
        cases: &[(&str, &str)],
        count: u64,
        plot: &str,
        words: &str,
    ) -> Result<()> {
        let baselines: Vec<&str> = cases.iter().map(|&(case, _)| case).collect();
        let mut columns: Vec<Vec<Runs>> = Vec::new();
        for &size in SIZES {
            let case = Case {
                group: "growth",
                baseline: "",
                size,
                more: &[],
            };
            columns.push(self.runs(case, &baselines, count)?);
        }
        let figures = |case: &str| -> Vec<f64> {
            let figure =
                |all: &Vec<Runs>| find(all, case).map_or(f64::NAN, |runs| runs.median(CPU));
            columns.iter().map(figure).collect()
        };
        let mut rows = Vec::new();
        let mut drawn: Vec<Line> = Vec::new();
        for &(case, name) in cases {
            let figures = figures(case);
            let cells = figures.iter().map(|&figure| brief(figure));
            rows.push(std::iter::once(name.to_owned()).chain(cells).collect());
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
        let own = drawn.iter().filter(|line| line.0 != "drop-flying-reverse");
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
