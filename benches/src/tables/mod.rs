//! The measurements, a table each.

use std::collections::BTreeMap;

use crate::build::Built;
use crate::command::Result;
use crate::page::Page;
use crate::stats::{CPU, Runs, in_turn};
use crate::subject::Case;

mod calls;
mod columns;
mod contexts;
mod copies;
mod disk_goals;
mod files;
mod fio;
mod growth;
mod headlines;
mod log;
mod reading;
mod reaping;
mod sockets;

/// The input and the results of all tables.
pub(crate) struct Bench<'b> {
    pub(crate) built: &'b Built,
    pub(crate) page: Page,
    /// Instructions by case name.
    pub(crate) counts: BTreeMap<String, f64>,
    /// The number of turns, and the factor by which a quick run does less work.
    pub(crate) turns: usize,
    pub(crate) less: u64,
    /// The largest figure divided by the smallest, for the runs of each baseline.
    pub(crate) spreads: Vec<f64>,
    /// Each goal, the measured value, and whether the goal is met.
    pub(crate) goals: Vec<(String, String, bool)>,
    /// What is not measured as the name of a baseline says, and why.
    pub(crate) notes: Vec<String>,
    /// Figures for the headlines, by the names that the tables give them.
    pub(crate) figures: BTreeMap<String, f64>,
}

/// The factor for the number of turns where a goal is a matter of a few percent.
pub(crate) const MORE: usize = 5;

/// The table cell for a missing value.
const NOTHING: &str = "–";

fn ours(baseline: &str) -> bool {
    matches!(
        baseline,
        "sys" | "context" | "ring" | "queue" | "queue-wait" | "scope" | "destroy-all" | "pool"
    )
}

fn times(ratio: f64) -> String {
    format!("{ratio:.2}")
}

impl Bench<'_> {
    fn goal(&mut self, goal: &str, result: String, met: bool) {
        self.goals.push((goal.to_owned(), result, met));
    }

    /// Appends the notes since the last call, each once.
    fn say_notes(&mut self) {
        let mut notes = std::mem::take(&mut self.notes);
        notes.sort();
        notes.dedup();
        if !notes.is_empty() {
            self.page
                .say(&format!("Left out, or not as named: {}.", notes.join("; ")));
        }
    }

    /// Keeps a figure for the headlines.
    fn keep(&mut self, name: impl Into<String>, figure: f64) {
        self.figures.insert(name.into(), figure);
    }

    fn count(&self, name: &str) -> f64 {
        self.counts.get(name).copied().unwrap_or(f64::NAN)
    }

    fn runs(&mut self, case: Case<'_>, baselines: &[&str], count: u64) -> Result<Vec<Runs>> {
        self.runs_in(self.turns, case, baselines, count)
    }

    fn runs_in(
        &mut self,
        turns: usize,
        case: Case<'_>,
        baselines: &[&str],
        count: u64,
    ) -> Result<Vec<Runs>> {
        let count = (count / self.less).max(1);
        let subject = &self.built.subject;
        let all = in_turn(subject, case, baselines, count, turns, &mut self.notes)?;
        self.spreads.extend(all.iter().map(|runs| runs.spread(CPU)));
        Ok(all)
    }
}
