//! Upper limits for the figures that do not vary: instructions and bytes.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::build::Built;
use crate::command::Result;
use crate::counts;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ceilings {
    /// Instructions for each operation, in user space.
    instructions: BTreeMap<String, f64>,
    /// The instructions for an operation among many, as a multiple of those among few.
    growth: f64,
    /// Bytes of stripped programs, and of functions.
    bytes: BTreeMap<String, f64>,
}

/// Returns the sizes in bytes of the programs and functions that have a ceiling.
pub(crate) fn sizes(built: &Built) -> Result<BTreeMap<String, f64>> {
    let mut sizes = BTreeMap::new();
    for (name, size) in &built.smallest {
        sizes.insert(name.clone(), *size as f64);
    }
    sizes.insert("aio".to_owned(), built.stripped("aio/aio")? as f64);
    for (name, size) in built.functions("libbenches.rlib")? {
        if let Some(name) = name.strip_prefix("size_of__") {
            sizes.insert(name.replace("__", "::"), size as f64);
        }
    }
    Ok(sizes)
}

/// Returns an error if a figure exceeds its ceiling or has none, or if a ceiling has no
/// figure.
pub(crate) fn check(built: &Built) -> Result<()> {
    let path = built.home.join("benches/ceilings.toml");
    let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
    let ceilings: Ceilings = toml::from_str(&text).map_err(|error| error.to_string())?;
    let mut wrong = Vec::new();
    let counts = counts::count(built, true)?;
    hold("instructions", &counts, &ceilings.instructions, &mut wrong);
    hold_growth(&counts::growth(built)?, ceilings.growth, &mut wrong);
    hold("bytes", &sizes(built)?, &ceilings.bytes, &mut wrong);
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}\nthe ceilings are in benches/ceilings.toml",
        wrong.join("\n")
    ))
}

/// Compares the cost of an operation among many with that among few.
fn hold_growth(found: &BTreeMap<String, [f64; 2]>, ceiling: f64, wrong: &mut Vec<String>) {
    let [few, many] = counts::GROWTH;
    for (name, [cost, grown]) in found {
        let line = format!("{name}: {cost:.1} instructions at {few}, {grown:.1} at {many}");
        if *grown > ceiling * cost {
            wrong.push(format!("{line}, more than {ceiling} times as many"));
        } else {
            println!("{line}");
        }
    }
}

fn hold(
    unit: &str,
    found: &BTreeMap<String, f64>,
    ceilings: &BTreeMap<String, f64>,
    wrong: &mut Vec<String>,
) {
    for (name, number) in found {
        match ceilings.get(name) {
            Some(ceiling) if number > ceiling => {
                wrong.push(format!(
                    "{name}: {number:.1} {unit}, the ceiling is {ceiling}"
                ));
            }
            Some(ceiling) => println!("{name:<24} {number:8.1} of {ceiling} {unit}"),
            None => wrong.push(format!("{name}: {number:.1} {unit}, and no ceiling")),
        }
    }
    for name in ceilings.keys().filter(|name| !found.contains_key(*name)) {
        wrong.push(format!("{name}: a ceiling, and nothing that is measured"));
    }
}
