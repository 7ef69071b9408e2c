//! The README's table of targets, made of the recorded results. It claims what
//! they hold and nothing else.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::cache::root;
use crate::report::{Outcome, Results, Status, Verb};
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
    let Results {
        date,
        rustc,
        qemu,
        kernel,
        ..
    } = results;
    text + &format!(
        "\nRecorded {date} with rustc {rustc}, QEMU {qemu} and Linux {kernel} by `cargo qemu user --all --record`\n\
         and `cargo qemu native --record`. ¹ `asm!` is not stable there: a nightly compiler is needed.\n"
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
        let checks = proven.iter().map(|outcome| outcome.passed).max();
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

    #[test]
    fn it_claims_what_the_results_hold() {
        let table = Table::load().unwrap();
        let mut results = Results::default();
        assert_eq!(proof(&results, "x86_64"), "not yet");
        let gnu = "x86_64-unknown-linux-gnu";
        results.merge(&[outcome(&table, gnu, Verb::User, Status::Failed)]);
        assert_eq!(proof(&results, "x86_64"), "not yet");
        results.merge(&[outcome(&table, gnu, Verb::User, Status::Builds)]);
        assert_eq!(proof(&results, "x86_64"), "builds");
        results.merge(&[outcome(&table, gnu, Verb::User, Status::Passed)]);
        assert_eq!(proof(&results, "x86_64"), "user mode");
        results.merge(&[outcome(&table, gnu, Verb::Native, Status::Failed)]);
        assert_eq!(proof(&results, "x86_64"), "user mode");
        results.merge(&[outcome(&table, gnu, Verb::Native, Status::Passed)]);
        assert_eq!(proof(&results, "x86_64"), "real kernel");
        assert_eq!(results.targets.len(), 2, "one a target and way");
    }

    #[test]
    fn the_table_has_a_row_an_abi() {
        let table = Table::load().unwrap();
        let text = render(&table, &Results::default());
        let rows = text.lines().filter(|line| line.starts_with("| ")).count();
        assert_eq!(rows, table.abis().len() + 1);
    }
}
