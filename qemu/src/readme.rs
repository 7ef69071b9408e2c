//! The README's table of targets, made of the recorded results. It claims what
//! they hold and nothing else.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};

use crate::cache::root;
use crate::report::{Outcome, Recorded, Results, Status, Verb};
use crate::targets::{Abi, Table};

const BEGIN: &str = "<!-- targets: made by `cargo qemu readme` -->\n";
const END: &str = "<!-- /targets -->\n";

/// Writes the table into the README, or with `check` fails if it is another.
pub(crate) fn update(table: &Table, results: &Results, check: bool) -> Result<()> {
    let path = root().join("README.md");
    let readme = fs::read_to_string(&path)?;
    let (head, rest) = readme.split_once(BEGIN).context("no table in the README")?;
    let (_, tail) = rest
        .split_once(END)
        .context("no end of the README's table")?;
    let new = format!("{head}{BEGIN}{}{END}{tail}", render(table, results));
    if check {
        ensure!(
            new == readme,
            "the README's table is not that of qemu/results.json: run `cargo qemu readme`"
        );
    } else if new != readme {
        fs::write(path, new)?;
    }
    Ok(())
}

fn render(table: &Table, results: &Results) -> String {
    let mut text =
        String::from("| ABI | bits | proof | checks | rustc's targets |\n|---|---|---|--:|---|\n");
    for abi in table.abis() {
        let row = Row::of(abi, results);
        let order = if abi.endian == "big" { "BE" } else { "LE" };
        let nightly = if abi.nightly { " ¹" } else { "" };
        text += &format!(
            "| {}{nightly} | {} {order} | {} | {} | {} |\n",
            abi.name, abi.bits, row.proof, row.checks, row.targets
        );
    }
    text + "\n"
        + &recorded(results)
        + "\n¹ `asm!` is not stable there: a nightly compiler is needed.\n"
}

/// When, with what and by which commands: as many as there were.
fn recorded(results: &Results) -> String {
    let of = |field: fn(&Recorded) -> &String| -> Vec<&str> {
        let recorded = results.targets.iter().filter_map(|o| o.recorded.as_ref());
        let all: BTreeSet<&str> = recorded.map(|recorded| field(recorded).as_str()).collect();
        all.into_iter().collect()
    };
    let dates = match of(|recorded| &recorded.date)[..] {
        [] => return "Nothing was recorded yet.".to_owned(),
        [one] => one.to_owned(),
        [first, .., last] => format!("{first} to {last}"),
    };
    format!(
        "Recorded {dates} with rustc {} on {}\n\
         by `cargo qemu user --all --record` and `cargo qemu native --record`.",
        of(|recorded| &recorded.rustc).join(", "),
        of(|recorded| &recorded.by).join(", ")
    )
}

/// What the results hold of an ABI.
struct Row {
    proof: String,
    checks: String,
    targets: String,
}

impl Row {
    fn of(abi: &Abi, results: &Results) -> Row {
        let with = |run, status| -> Vec<&Outcome> {
            let of = |target: &String| results.of(target, run);
            let found = abi.targets.iter().filter_map(of);
            found.filter(|outcome| outcome.result == status).collect()
        };
        let native = with(Verb::Native, Status::Passed);
        let user = with(Verb::User, Status::Passed);
        let builds = with(Verb::User, Status::Builds);
        let (proof, proven) = if !native.is_empty() {
            ("real kernel", native.clone())
        } else if !user.is_empty() {
            ("user mode", user.clone())
        } else if !builds.is_empty() {
            ("builds", builds.clone())
        } else {
            ("not yet", Vec::new())
        };
        let reason = builds.iter().find_map(|outcome| outcome.reason.as_deref());
        let proof = match reason.or(abi.reason.as_deref()) {
            Some(reason) if user.is_empty() => format!("{proof}: {reason}"),
            _ => proof.to_owned(),
        };
        // The least that each of them passed.
        let checks = proven.iter().map(|outcome| outcome.passed).min();
        let checks = checks.filter(|&checks| checks > 0);
        let ran = if user.is_empty() { builds } else { user };
        Row {
            proof,
            checks: checks.map_or(String::new(), |checks| checks.to_string()),
            targets: format!("{} of {}", ran.len(), abi.targets.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::Target;

    fn outcome(table: &Table, triple: &str, run: Verb, result: Status) -> Outcome {
        let targets = table.targets(true);
        let target: &Target<'_> = targets.iter().find(|t| t.triple == triple).unwrap();
        let mut outcome = Outcome::new(run, *target);
        (outcome.result, outcome.passed) = (result, 7);
        outcome
    }

    fn proof(results: &Results, abi: &str) -> String {
        let table = Table::load().unwrap();
        let abi = table.abis().iter().find(|row| row.name == abi).unwrap();
        Row::of(abi, results).proof
    }

    fn recorded_on(date: &str) -> Recorded {
        let (date, rustc, by) = (date.to_owned(), "1.95.0".to_owned(), "QEMU 11".to_owned());
        Recorded { date, rustc, by }
    }

    #[test]
    fn it_claims_what_the_results_hold() {
        let table = Table::load().unwrap();
        let mut results = Results::default();
        let gnu = "x86_64-unknown-linux-gnu";
        assert_eq!(proof(&results, "x86_64"), "not yet");
        for (run, result, claim) in [
            (Verb::User, Status::Failed, "not yet"),
            (Verb::User, Status::Builds, "builds"),
            (Verb::User, Status::Passed, "user mode"),
            (Verb::Native, Status::Failed, "user mode"),
            (Verb::Native, Status::Passed, "real kernel"),
        ] {
            let outcome = outcome(&table, gnu, run, result);
            results.merge(&[outcome], &recorded_on("2026-01-01"));
            assert_eq!(proof(&results, "x86_64"), claim);
        }
        assert_eq!(results.targets.len(), 2, "one a target and way");
    }

    #[test]
    fn a_new_recording_does_not_date_the_old_ones() {
        let table = Table::load().unwrap();
        let mut results = Results::default();
        assert_eq!(recorded(&results), "Nothing was recorded yet.");
        let mut add = |triple: &str, passed: u32, date: &str| {
            let mut outcome = outcome(&table, triple, Verb::User, Status::Passed);
            outcome.passed = passed;
            results.merge(&[outcome], &recorded_on(date));
            (recorded(&results), render(&table, &results))
        };
        let (line, _) = add("s390x-unknown-linux-gnu", 9, "2026-01-01");
        assert!(line.starts_with("Recorded 2026-01-01 with rustc 1.95.0 on QEMU 11\n"));
        let (line, text) = add("s390x-unknown-linux-musl", 7, "2026-02-02");
        assert!(line.starts_with("Recorded 2026-01-01 to 2026-02-02 with"));
        assert!(
            text.contains("| s390x | 64 BE | user mode | 7 | 2 of 2 |\n"),
            "{text}"
        );
    }

    #[test]
    fn the_table_has_a_row_an_abi() {
        let table = Table::load().unwrap();
        let text = render(&table, &Results::default());
        let rows = text.lines().filter(|line| line.starts_with("| ")).count();
        assert_eq!(rows, table.abis().len() + 1);
    }
}
