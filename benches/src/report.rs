//! The page: goals first, then one table for each measurement.

use crate::build::Built;
use crate::command::Result;
use crate::machine::{load, machine};
use crate::page::Page;
use crate::stats::median;
use crate::tables::{Bench, MORE};
use crate::{counts, gates};

/// The past improvements, a hand-written page: the past cannot be measured again.
const IMPROVEMENTS: &str = include_str!("../improvements.md");

/// A measurement that adds its results to the page.
type Part<'b> = fn(&mut Bench<'b>) -> Result<()>;

/// Measures everything and writes `docs/performance.md`.
pub(crate) fn write(built: &Built, quick: bool) -> Result<()> {
    let begin = std::time::Instant::now();
    // SAFETY: the call only affects how this process is scheduled.
    let nice = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -5) } == 0;
    let before = load();
    let mut bench = new(built, quick);
    bench.counts = counts::count(built, false)?;
    let parts: [(&str, Part<'_>); 8] = [
        ("calls", Bench::calls),
        ("reaping", Bench::reaping),
        ("reading", Bench::reading),
        ("disk", Bench::disk),
        ("sockets", Bench::sockets),
        ("teardown", Bench::teardown),
        ("copies", Bench::copies),
        ("sizes", sizes),
    ];
    for (name, part) in parts {
        eprintln!("{:4} s  {name}", begin.elapsed().as_secs());
        part(&mut bench)?;
    }
    let spread = (
        median(bench.spreads.clone()),
        bench.spreads.iter().copied().fold(0.0, f64::max),
    );
    let mut page = Page::default();
    page.say("# Performance");
    page.say(
        "Written by `cargo bench-report`; the cases and the tool are in `benches/`. Instruction \
         counts are callgrind's, of user space, and exact: the difference between N operations and \
         2 N. Times are medians of runs in which the rivals took turns, and ratios are medians of \
         the ratios of the same turn.",
    );
    page.say(&format!(
        "Measured on {}. {}{} turns each, {} where a few percent decide; the load was {before:.1} at the start and {:.1} at the end \
         (programs that want a processor), so other work ran beside it if that is over 1: of the same \
         case, the most processor time was {:.2} times the least by the median and {:.1} times at \
         worst. A difference below that says nothing.",
        machine(),
        if nice { "At nice −5, " } else { "" },
        bench.turns,
        MORE * bench.turns,
        load(),
        spread.0,
        spread.1,
    ));
    page.heading("The goals");
    let rows: Vec<Vec<String>> = bench
        .goals
        .iter()
        .map(|(goal, came_to, met)| {
            let met = if *met { "yes" } else { "**no**" };
            vec![goal.clone(), came_to.clone(), met.to_owned()]
        })
        .collect();
    page.table(&["goal", "came to", "met"], &rows);
    page.say(IMPROVEMENTS);
    page.append(bench.page);
    page.write(&built.home.join("docs"))?;
    eprintln!("{:4} s  docs/performance.md", begin.elapsed().as_secs());
    Ok(())
}

/// Measures copies alone, and prints the results.
pub(crate) fn print_copies(built: &Built, quick: bool) -> Result<()> {
    let mut bench = new(built, quick);
    bench.copies()?;
    print!("{}", bench.page.text());
    Ok(())
}

fn new(built: &Built, quick: bool) -> Bench<'_> {
    Bench {
        built,
        page: Page::default(),
        counts: Default::default(),
        turns: if quick { 2 } else { 5 },
        less: if quick { 10 } else { 1 },
        spreads: Vec::new(),
        goals: Vec::new(),
    }
}

/// Measures the bytes of machine code and the seconds of compiling.
fn sizes(bench: &mut Bench<'_>) -> Result<()> {
    let built = bench.built;
    bench.page.heading("Size");
    let sizes = gates::sizes(built)?;
    let program = |name: &str| sizes.get(name).copied().unwrap_or(f64::NAN);
    let (smallest, aio) = (program("smallest"), program("aio"));
    bench.page.say(&format!(
        "The smallest static program that sets up a context, reads by it and destroys it: \
         **{smallest} bytes**, the file. The tool `aio`, without symbols: **{aio} bytes**. Bytes of \
         machine code of the functions that are inlined, each as a function of its own:"
    ));
    let rows: Vec<Vec<String>> = sizes
        .iter()
        .filter(|(name, _)| name.contains("::"))
        .map(|(name, size)| vec![format!("`{name}`"), size.to_string()])
        .collect();
    bench.page.table(&["function", "bytes"], &rows);
    bench
        .page
        .say("And of those that are not, as they are in the library's archive:");
    let functions = built.functions("liblinux_aio.rlib")?;
    let rows: Vec<Vec<String>> = functions
        .iter()
        .filter(|(name, _)| name.starts_with("linux_aio::") || name.starts_with('<'))
        // Not the implementations of standard library traits.
        .filter(|(name, _)| name.contains("linux_aio::") && !name.contains("core::"))
        .map(|(name, size)| vec![format!("`{name}`"), size.to_string()])
        .collect();
    bench.page.table(&["function", "bytes"], &rows);
    bench.goals.push((
        "the smallest static program: under 2 KiB".to_owned(),
        format!("{smallest} bytes"),
        smallest < 2048.0,
    ));
    let met = aio < f64::from(80 << 10);
    bench.goals.push((
        "`aio`: under 80 KiB".to_owned(),
        format!("{aio} bytes"),
        met,
    ));

    bench.page.heading("Compiling");
    let mut rows = Vec::new();
    for package in ["linux-aio", "io-uring", "nc", "syscalls", "sc"] {
        let (time, needs) = built.cold(package)?;
        rows.push(vec![
            format!("`{package}`"),
            format!("{:.1}", time.as_secs_f64()),
            needs.to_string(),
        ]);
    }
    bench
        .page
        .say("From nothing, in release; and the packages that it needs, build scripts' included:");
    bench.page.table(&["package", "seconds", "needs"], &rows);
    Ok(())
}
