//! What is measured, a table each.

use std::collections::BTreeMap;

use crate::build::{Built, Result};
use crate::page::Page;
use crate::stats::{CPU, Runs, in_turn};
use crate::subject::Case;

mod contexts;
mod copies;
mod files;
mod layer;

/// Everything that a table is made of.
pub(crate) struct Bench<'b> {
    pub(crate) built: &'b Built,
    pub(crate) page: Page,
    /// Instructions by the names of cases.
    pub(crate) counts: BTreeMap<String, f64>,
    /// Turns, and by how much less work a quick run does.
    pub(crate) turns: usize,
    pub(crate) less: u64,
    /// Largest over smallest of each rival's runs.
    pub(crate) spreads: Vec<f64>,
    /// A goal, what it came to, and whether it is met.
    pub(crate) goals: Vec<(String, String, bool)>,
}

/// How many times the turns, where a goal is a matter of a few percent.
pub(crate) const MORE: usize = 5;

/// Where there is nothing to tell.
const NOTHING: &str = "–";

fn ours(rival: &str) -> bool {
    matches!(
        rival,
        "sys" | "context" | "ring" | "queue" | "queue-wait" | "scope" | "destroy-all" | "pool"
    )
}

fn times(ratio: f64) -> String {
    format!("{ratio:.2}")
}

impl Bench<'_> {
    fn goal(&mut self, goal: &str, came_to: String, met: bool) {
        self.goals.push((goal.to_owned(), came_to, met));
    }

    fn count(&self, name: &str) -> f64 {
        self.counts.get(name).copied().unwrap_or(f64::NAN)
    }

    fn runs(&mut self, case: Case<'_>, rivals: &[&str], count: u64) -> Result<Vec<Runs>> {
        self.runs_in(self.turns, case, rivals, count)
    }

    fn runs_in(
        &mut self,
        turns: usize,
        case: Case<'_>,
        rivals: &[&str],
        count: u64,
    ) -> Result<Vec<Runs>> {
        let count = (count / self.less).max(1);
        let all = in_turn(&self.built.subject, case, rivals, count, turns)?;
        self.spreads.extend(all.iter().map(|runs| runs.spread(CPU)));
        Ok(all)
    }
}
