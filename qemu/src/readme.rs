//! The generated parts of the documentation: the table of targets in docs/proof.md and its
//! summary in the README, the numbers of every ABI, and the pictures. The table contains no
//! claim beyond the recorded results.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::cache::root;
use crate::report::{Outcome, Recorded, Results, Status, Verb};
use crate::targets::{Abi, Table};
use crate::{numbers_page, picture};

/// The pictures: the name of the source in docs/pictures, and the description.
const PICTURES: [(&str, &str); 1] = [(
    "data-path",
    "The data path: an operation is pushed to a queue, a scope or a reactor, whose context \
     submits it by io_submit; the kernel writes an event to the completion ring in shared \
     memory, which is read without a system call, and a wait returns result and buffer.",
)];

/// Writes the generated parts, or with `check` fails if one differs.
pub(crate) fn update(table: &Table, results: &Results, check: bool) -> Result<()> {
    known(table, results)?;
    let part = |page: &str, name: &str, text: &str| part(&root().join(page), name, text, check);
    part("docs/proof.md", "targets", &render(table, results))?;
    part("README.md", "summary", &summary(table, results))?;
    part("docs/numbers.md", "numbers", &numbers_page::render())?;
    for (name, description) in PICTURES {
        let source = root().join(format!("docs/pictures/{name}.txt"));
        let text = fs::read_to_string(&source).with_context(|| source.display().to_string())?;
        let svg = source.with_extension("svg");
        let old = fs::read_to_string(&svg).unwrap_or_default();
        write(&svg, &old, &picture::draw(&text, description), check)?;
    }
    Ok(())
}

/// Replaces the part of a page between the comments that name it.
fn part(page: &Path, name: &str, text: &str, check: bool) -> Result<()> {
    let old = fs::read_to_string(page).with_context(|| page.display().to_string())?;
    let begin = format!("<!-- {name}: made by `cargo qemu readme` -->\n");
    let end = format!("<!-- /{name} -->\n");
    let place = || format!("no part `{name}` in {}", page.display());
    let (head, rest) = old.split_once(&begin).with_context(place)?;
    let (_, tail) = rest.split_once(&end).with_context(place)?;
    write(
        page,
        &old,
        &format!("{head}{begin}{text}{end}{tail}"),
        check,
    )
}

/// Writes a file that has changed, or with `check` fails.
fn write(path: &Path, old: &str, new: &str, check: bool) -> Result<()> {
    ensure!(
        old == new || !check,
        "{} is not what the sources give: run `cargo qemu readme`",
        path.display()
    );
    if old != new {
        fs::write(path, new)?;
    }
    Ok(())
}

/// Fails on a result of a target or kernel that the table does not have: it is stale.
fn known(table: &Table, results: &Results) -> Result<()> {
    for outcome in &results.targets {
        let Outcome {
            target, machine, ..
        } = outcome;
        let mut abis = table.abis().iter();
        let abi = abis.find(|abi| abi.targets.contains(target));
        let abi = abi.with_context(|| format!("no row has {target}, which was recorded"))?;
        if let Some(machine) = machine {
            let mut kernels = table.kernels().iter();
            let runs = kernels.any(|kernel| kernel.name == *machine && kernel.runs(&abi.name));
            ensure!(runs, "{machine} does not run {target}, which was recorded");
        }
    }
    Ok(())
}

fn render(table: &Table, results: &Results) -> String {
    let mut text =
        String::from("| ABI | bits | proof | checks | rustc's targets |\n|---|---|---|--:|---|\n");
    for abi in table.abis() {
        let row = Row::of(table, abi, results);
        let order = if abi.endian == "big" { "BE" } else { "LE" };
        let nightly = if abi.nightly { " ¹" } else { "" };
        text += &format!(
            "| {}{nightly} | {} {order} | {} | {} | {} |\n",
            abi.name, abi.bits, row.proof, row.checks, row.targets
        );
    }
    text + "\n"
        + &boots(results)
        + &recorded(results)
        + "\n¹ `asm!` is not stable there: a nightly compiler is needed.\n"
}

/// Returns the README's sentence: on how many ABIs a real kernel has run the program.
fn summary(table: &Table, results: &Results) -> String {
    let rows = table.abis().iter().map(|abi| Row::of(table, abi, results));
    let rows: Vec<Row> = rows.collect();
    let on_kernels = rows.iter().filter(|row| row.proof.starts_with("Linux "));
    format!(
        "Proven on real kernels: {} of {} ABIs.\n{}",
        on_kernels.count(),
        rows.len(),
        boots(results)
    )
}

/// Returns a summary of the boots of all kernels.
fn boots(results: &Results) -> String {
    let booted = |outcome: &&Outcome| outcome.run == Verb::Kernel;
    let boots: Vec<&Outcome> = results.targets.iter().filter(booted).collect();
    let count = |of: fn(&Outcome) -> u32| boots.iter().map(|boot| of(boot)).sum::<u32>();
    let kernels: BTreeSet<_> = boots.iter().map(|boot| &boot.machine).collect();
    match boots.len() {
        0 => String::new(),
        boots => format!(
            "{boots} boots of {} kernels: {} checks passed, {} failed, {} skipped by name.\n",
            kernels.len(),
            count(|boot| boot.passed),
            count(|boot| boot.failed),
            count(|boot| boot.skipped)
        ),
    }
}

/// Returns the dates, versions and commands of the recordings, as many as there were.
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
    let ran = |verb| results.targets.iter().any(|outcome| outcome.run == verb);
    let commands: Vec<&str> = [
        (Verb::User, "`cargo qemu user --all --record`"),
        (Verb::Native, "`cargo qemu native --record`"),
        (Verb::Uml, "`cargo qemu uml --record`"),
        (Verb::Gvisor, "`cargo qemu gvisor --record`"),
        (Verb::Kernel, "`cargo qemu kernel --record` (and `--build`)"),
    ]
    .into_iter()
    .filter_map(|(verb, command)| ran(verb).then_some(command))
    .collect();
    format!(
        "Recorded {dates} with rustc {} on {}\nby {}.",
        of(|recorded| &recorded.rustc).join(", "),
        of(|recorded| &recorded.by).join(", "),
        commands.join(", ")
    )
}

/// The results of an ABI.
struct Row {
    proof: String,
    checks: String,
    targets: String,
}

impl Row {
    fn of(table: &Table, abi: &Abi, results: &Results) -> Row {
        let with = |run, status| -> Vec<&Outcome> {
            let all = results.targets.iter();
            all.filter(|one| abi.targets.contains(&one.target))
                .filter(|one| one.run == run && one.result == status)
                .collect()
        };
        let mut kernels = with(Verb::Kernel, Status::Passed);
        // A kernel without AIO does not verify AIO.
        kernels.retain(|one| {
            let mut rows = table.kernels().iter();
            rows.any(|row| row.aio && one.machine.as_ref() == Some(&row.name))
        });
        kernels.extend(with(Verb::Native, Status::Passed));
        kernels.extend(with(Verb::Uml, Status::Passed));
        let user = with(Verb::User, Status::Passed);
        let builds = with(Verb::User, Status::Builds);
        // The row cites one run, and the number of checks is that of this run.
        let run = most(&kernels).or(most(&user));
        let mut proof = match run {
            Some(run) if run.run != Verb::User => releases(run, &kernels),
            Some(_) => "user mode".to_owned(),
            None if builds.is_empty() => "not yet".to_owned(),
            None => "builds".to_owned(),
        };
        let reason = builds.iter().find_map(|outcome| outcome.reason.as_deref());
        if let Some(reason) = reason.or(abi.reason.as_deref())
            && run.is_none()
        {
            proof += &format!(": {reason}");
        }
        for failed in with(Verb::Kernel, Status::Failed) {
            proof += &format!("; fails on {}", failed.machine.as_deref().unwrap_or("one"));
        }
        let ran = if user.is_empty() { builds } else { user };
        Row {
            proof,
            checks: run.map_or(String::new(), |run| run.passed.to_string()),
            targets: format!("{} of {}", ran.len(), abi.targets.len()),
        }
    }
}

/// Returns the run with the most checks; among equals, the one on the newest kernel.
fn most<'a>(outcomes: &[&'a Outcome]) -> Option<&'a Outcome> {
    let key = |one: &&Outcome| (one.passed, version(one));
    outcomes.iter().copied().max_by_key(key)
}

/// Returns the first two numbers of the kernel's release. Debian's older kernels report
/// no more.
fn version(outcome: &Outcome) -> Option<(u32, u32)> {
    let release = outcome.kernel.as_deref()?;
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?))
}

/// Returns the kernel of a run, and the oldest and the newest of the others.
fn releases(run: &Outcome, all: &[&Outcome]) -> String {
    let Some((a, b)) = version(run) else {
        return "a kernel that did not report its name".to_owned();
    };
    let others: BTreeSet<(u32, u32)> = all.iter().filter_map(|one| version(one)).collect();
    let others = others.into_iter().filter(|&other| other != (a, b));
    let others: Vec<String> = others.map(|(a, b)| format!("{a}.{b}")).collect();
    let also = match &others[..] {
        [] => String::new(),
        [one] => format!("; also {one}"),
        [one, other] => format!("; also {one}, {other}"),
        [first, .., last] => format!("; also {first} to {last}, {} versions", others.len()),
    };
    format!("Linux {a}.{b}{also}")
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
        Row::of(&table, abi, results).proof
    }

    fn recorded_on(date: &str) -> Recorded {
        let (date, rustc, by) = (date.to_owned(), "1.95.0".to_owned(), "QEMU 11".to_owned());
        Recorded { date, rustc, by }
    }

    #[test]
    fn the_table_claims_what_the_results_hold() {
        let table = Table::load().unwrap();
        let mut results = Results::default();
        let gnu = "x86_64-unknown-linux-gnu";
        assert_eq!(proof(&results, "x86_64"), "not yet");
        for (run, result, claim) in [
            (Verb::User, Status::Failed, "not yet"),
            (Verb::User, Status::Builds, "builds"),
            (Verb::User, Status::Passed, "user mode"),
            (Verb::Native, Status::Failed, "user mode"),
            (Verb::Kernel, Status::Passed, ""),
            (Verb::Native, Status::Passed, "Linux 6.18"),
            (Verb::Kernel, Status::Failed, "Linux 6.18; fails on amd64"),
            (Verb::Kernel, Status::Passed, "Linux 7.2; also 6.18"),
            (Verb::Uml, Status::Passed, "Linux 7.3; also 6.18, 7.2"),
        ] {
            let mut outcome = outcome(&table, gnu, run, result);
            if run == Verb::Native {
                outcome.kernel = Some("6.18.5-fc".to_owned());
            }
            if run == Verb::Uml {
                outcome.kernel = Some("7.3.1".to_owned());
            }
            if run == Verb::Kernel {
                outcome.machine = Some("amd64".to_owned());
                outcome.kernel = Some("7.2+deb14-amd64".to_owned());
            }
            if claim.is_empty() {
                outcome.machine = Some("x86_64-no-aio".to_owned());
            }
            results.merge(&[outcome], &recorded_on("2026-01-01"));
            let claim = if claim.is_empty() { "user mode" } else { claim };
            assert_eq!(proof(&results, "x86_64"), claim);
        }
        assert_eq!(results.targets.len(), 5, "one a target and way");
    }

    #[test]
    fn checks_are_those_of_the_run_that_is_named() {
        let table = Table::load().unwrap();
        let mut results = Results::default();
        for (run, machine, kernel, passed) in [
            (Verb::User, None, None, 900),
            (Verb::Kernel, Some("amd64-7.3"), "7.3.4+deb13".into(), 716),
            (Verb::Kernel, Some("amd64"), "7.2.13+deb14".into(), 829),
            (Verb::Kernel, Some("amd64-6.12"), "6.12.1".into(), 829),
            (Verb::Native, None, "6.18.5".into(), 641),
            (Verb::Kernel, Some("x86_64-no-aio"), "6.12.117".into(), 999),
        ] {
            let mut outcome = outcome(&table, "x86_64-unknown-linux-gnu", run, Status::Passed);
            outcome.machine = machine.map(str::to_owned);
            outcome.kernel = kernel.map(str::to_owned);
            outcome.passed = passed;
            results.merge(&[outcome], &recorded_on("2026-01-01"));
        }
        let text = render(&table, &results);
        let row = "| x86_64 | 64 LE | Linux 7.2; also 6.12 to 7.3, 3 versions | 829 | 1 of 6 |\n";
        assert!(text.contains(row), "{text}");
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
            text.contains("| s390x | 64 BE | user mode | 9 | 2 of 2 |\n"),
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
