//! `cargo qemu list`: the table, with the last recorded results.

use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _, stdout};
use std::process::Command;

use anyhow::Result;

use crate::command;
use crate::report::{Outcome, Results, Status, Verb};
use crate::targets::{Table, Target};

pub(crate) fn list(table: &Table, json: bool, kernels: bool) -> Result<()> {
    let results = Results::load()?;
    let text = if kernels {
        list_kernels(table, &results)?
    } else if json {
        list_json(table, &results)?
    } else {
        list_text(table, &results)?
    };
    match stdout().write_all(text.as_bytes()) {
        // The reader has closed the pipe.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

fn list_kernels(table: &Table, results: &Results) -> Result<String> {
    let mut text = String::new();
    for kernel in table.kernels() {
        let of = |outcome: &&Outcome| outcome.machine.as_ref() == Some(&kernel.name);
        let ran: Vec<&Outcome> = results.targets.iter().filter(of).collect();
        let last = match ran.iter().find_map(|outcome| outcome.kernel.as_deref()) {
            Some(release) => format!("Linux {release}"),
            None => "never recorded".to_owned(),
        };
        let from = if kernel.is_built() {
            "built here"
        } else {
            "Debian's"
        };
        let (name, abis) = (&kernel.name, kernel.abis.join(" "));
        writeln!(text, "{name:15} {from:11} {last:38} {abis}")?;
    }
    Ok(text)
}

fn list_json(table: &Table, results: &Results) -> Result<String> {
    let row = |target: Target<'_>| {
        serde_json::json!({
            "target": target.triple,
            "arch": target.abi.arch,
            "abi": target.abi.name,
            "bits": target.abi.bits,
            "endian": target.abi.endian,
            "qemu": target.abi.qemu,
            "nightly": target.abi.nightly,
            "reason": target.abi.obstacle(),
            "user": results.of(target.triple, Verb::User),
            "native": results.of(target.triple, Verb::Native),
            "uml": results.of(target.triple, Verb::Uml),
            "gvisor": results.of(target.triple, Verb::Gvisor),
            "kernels": results.boots(target.triple).collect::<Vec<_>>(),
        })
    };
    let rows: Vec<_> = table.targets(true).into_iter().map(row).collect();
    Ok(serde_json::to_string_pretty(&rows)? + "\n")
}

fn list_text(table: &Table, results: &Results) -> Result<String> {
    let mut text = String::new();
    for target in table.targets(true) {
        // The strongest evidence comes first.
        let mut last = [Verb::Kernel, Verb::Uml, Verb::Native, Verb::User]
            .iter()
            .filter_map(|&verb| results.of(target.triple, verb));
        let last = last.next().map_or("never recorded".to_owned(), |outcome| {
            match (outcome.result, outcome.run) {
                (Status::Passed, Verb::Native) => format!("{} natively", outcome.passed),
                (Status::Passed, Verb::Uml) => format!("{} under UML", outcome.passed),
                (Status::Passed, Verb::Kernel) => {
                    let kernels = results.boots(target.triple).count();
                    format!("{} on {kernels}", outcome.passed)
                }
                (Status::Passed, _) => format!("{} passed", outcome.passed),
                (result, _) => result.name().to_owned(),
            }
        });
        let how = match (target.abi.obstacle(), &target.abi.qemu) {
            (None, Some(qemu)) => format!("qemu-{qemu}"),
            (obstacle, _) => obstacle.unwrap_or_default().to_owned(),
        };
        let (abi, triple) = (&target.abi.name, target.triple);
        writeln!(text, "{abi:17} {triple:38} {last:15} {how}")?;
    }
    let list = command::output(Command::new("rustc").args(["--print", "target-list"]))?;
    let (missing, unknown) = table.differences(&list);
    for target in missing {
        writeln!(text, "{target}: this rustc has it, and no row does")?;
    }
    for target in unknown {
        writeln!(text, "{target}: this rustc does not have it")?;
    }
    Ok(text)
}
