//! The cases whose instructions are counted.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::build::Built;
use crate::command::Result;
use crate::subject::Case;

/// The baselines that can make a single call.
pub(crate) const CALLERS: &[&str] = &[
    "loop", "trap", "sys", "context", "libaio", "capi", "glibc", "sc", "nc", "syscalls",
];

/// The baselines that can reap, and poll for a completion.
pub(crate) const REAPERS: &[&str] = &["hand", "ring", "uring", "context", "libaio", "capi"];

/// The baselines that can read.
pub(crate) const READERS: &[&str] = &[
    "hand",
    "hand-runtime",
    "context",
    "queue",
    "queue-wait",
    "scope",
    "reactor",
    "libaio",
    "capi",
    "uring",
];

/// The cases of this library, which can have a ceiling.
const OURS: &[&str] = &[
    "sys",
    "context",
    "ring",
    "queue",
    "queue-wait",
    "scope",
    "reactor",
];

fn cases() -> Vec<Case<'static>> {
    let mut cases = Vec::new();
    let mut add = |group, baselines: &[&'static str], sizes: &[usize]| {
        for &baseline in baselines {
            for &size in sizes {
                cases.push(Case {
                    group,
                    baseline,
                    size,
                    more: &[],
                });
            }
        }
    };
    add("destroy", CALLERS, &[0]);
    add("submit", CALLERS, &[0]);
    add("getevents", CALLERS, &[0]);
    add(
        "peek",
        &[
            "nothing", "hand", "ring", "queue", "uring", "libaio", "capi",
        ],
        &[0],
    );
    add("reap", REAPERS, &[1, 8, 64]);
    add("read", READERS, &[1, 32]);
    add("empty", &["scope"], &[0]);
    // The typed layer cannot destroy an invalid context.
    cases.retain(|case| (case.group, case.baseline) != ("destroy", "context"));
    cases
}

/// The numbers of operations at once at which the cost of one is compared.
pub(crate) const GROWTH: [usize; 2] = [16, 4096];

/// Operations that leave a list in the middle, one at a time.
const LISTS: &[&str] = &[
    "scope-random",
    "scope-reverse",
    "cancel-random",
    "cancel-reverse",
    "drop-random",
    "drop-reverse",
];

/// The creation of owners of slots, one at a time.
const OWNERS: &[&str] = &[
    "create-queue",
    "create-scope",
    "create-reactor",
    "create-owned",
];

/// Returns the instructions for each operation, by case name: of this library's cases,
/// or of all.
pub(crate) fn count(built: &Built, ours_alone: bool) -> Result<BTreeMap<String, f64>> {
    let mut cases = cases();
    cases.retain(|case| !ours_alone || OURS.contains(&case.baseline));
    cases.retain(|case| case.baseline != "capi" || built.subject.has_capi());
    // Completions are reaped in batches.
    let count = |case: Case<'_>| if case.group == "reap" { 8192 } else { 6400 };
    measure(built, cases.into_iter().map(|case| (case, count(case))))
}

/// Returns the instructions for each operation at both numbers of [`GROWTH`], by case name.
pub(crate) fn growth(built: &Built) -> Result<BTreeMap<String, [f64; 2]>> {
    let lists = LISTS.iter().map(|&baseline| (baseline, GROWTH[1] as u64));
    let owners = OWNERS.iter().map(|&baseline| (baseline, 8));
    let named: Vec<_> = lists.chain(owners).collect();
    let case = |baseline, size| Case {
        group: "grow",
        baseline,
        size,
        more: &[],
    };
    let both = named
        .iter()
        .flat_map(|&(name, count)| GROWTH.map(|size| (case(name, size), count)));
    let counts = measure(built, both)?;
    let found = named.iter().map(|&(name, _)| {
        let both = GROWTH.map(|size| counts[&case(name, size).name()]);
        (format!("grow {name}"), both)
    });
    Ok(found.collect())
}

/// Counts the instructions of these cases, each performed this many times. Returns those of
/// one time, by case name.
fn measure<'a>(
    built: &Built,
    cases: impl Iterator<Item = (Case<'a>, u64)>,
) -> Result<BTreeMap<String, f64>> {
    let (cases, counts) = (Mutex::new(cases.collect::<Vec<_>>()), Mutex::default());
    let work = || -> Result<()> {
        loop {
            let next = cases.lock().map_err(|_| "a thread died")?.pop();
            let Some((case, count)) = next else {
                return Ok(());
            };
            let instructions = built.subject.instructions(case, count)?;
            let mut counts = counts.lock().map_err(|_| "a thread died")?;
            BTreeMap::insert(&mut counts, case.name(), instructions);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut ended = threads.into_iter().map(|thread| thread.join());
        ended.try_for_each(|ended| ended.unwrap_or_else(|_| Err("a thread died".into())))
    })?;
    counts.into_inner().map_err(|_| "a thread died".into())
}
