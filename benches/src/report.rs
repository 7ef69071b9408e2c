//! The page: goals first, then one table for each measurement.

use crate::build::Built;
use crate::command::Result;
use crate::machine::{load, machine, mitigations};
use crate::page::Page;
use crate::stats::median;
use crate::tables::{Bench, MORE};
use crate::{counts, gates};

/// A measurement that adds its results to the page.
type Part<'b> = fn(&mut Bench<'b>) -> Result<()>;

/// Returns the measurements by name, in the order of the page.
fn parts<'b>() -> [(&'static str, Part<'b>); 10] {
    [
        ("calls", Bench::calls),
        ("reaping", Bench::reaping),
        ("reading", Bench::reading),
        ("disk", Bench::disk),
        ("log", Bench::log),
        ("sockets", Bench::sockets),
        ("growth", Bench::growth),
        ("teardown", Bench::teardown),
        ("copies", Bench::copies),
        ("sizes", sizes),
    ]
}

/// Measures everything and writes `docs/performance.md`.
pub(crate) fn write(built: &Built, quick: bool) -> Result<()> {
    let begin = std::time::Instant::now();
    // SAFETY: the call only affects how this process is scheduled.
    let nice = !quick && unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -5) } == 0;
    let before = load();
    let mut bench = new(built, quick);
    bench.counts = counts::count(built, false)?;
    for (name, part) in parts() {
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
        "`cargo bench-report` writes this page; the cases and the program are in `benches/`. \
         Instruction counts are of user space, measured by callgrind, and do not vary. Each round \
         runs every baseline once, interleaved. Times are medians over the rounds, and ratios are \
         medians of the ratios within a round. [tokio-performance.md] compares asynchronous \
         runtimes: tokio's blocking pool, tokio-uring and compio.",
    );
    page.link("tokio-performance.md");
    page.say(&format!(
        "Measured on {}. {}{} rounds each, {} where a few percent matter. The load average was \
         {before:.1} at the start and {:.1} at the end; a load above 1 means that other programs \
         ran at the same time. Between runs of the same case, the largest processor time was {:.2} \
         times the smallest in the median, and {:.1} times at most. Smaller differences between \
         baselines are not significant. Weaknesses of the processor that the kernel reports, with \
         mitigations, which make system calls slower: {}.",
        machine(),
        if nice { "At nice −5, " } else { "" },
        bench.turns,
        MORE * bench.turns,
        load(),
        spread.0,
        spread.1,
        mitigations(),
    ));
    page.heading("Headlines");
    page.say(
        "Figures that other pages quote, each with a case in which it does not hold. They were \
         measured on one machine. The last column says what they depend on.",
    );
    page.table(
        &["", "figure", "does not hold", "holds for"],
        &bench.headlines(),
    );
    page.heading("The goals");
    let rows: Vec<Vec<String>> = bench
        .goals
        .iter()
        .map(|(goal, result, met)| {
            let met = if *met { "yes" } else { "**no**" };
            vec![goal.clone(), result.clone(), met.to_owned()]
        })
        .collect();
    page.table(&["goal", "result", "met"], &rows);
    page.heading("The cost of `Queue`");
    page.say(
        "`Queue` executes more instructions than a hand-written loop, and most of all at depth 1, \
         where one operation bears the fixed cost of a batch. They pay for work that the loop does \
         not do. Tickets carry a generation: a stale ticket never matches a newer operation. Each \
         event is checked against the state word of its slot, and the ring's tail against its \
         length. Staged operations keep their order when the kernel refuses some or when some are \
         cancelled. Operations are counted. In direct reads nearly all processor time is spent in \
         the kernel and the virtual disk, with `Queue` or without.",
    );
    page.append(bench.page);
    page.write(&built.home.join("docs"))?;
    eprintln!("{:4} s  docs/performance.md", begin.elapsed().as_secs());
    Ok(())
}

/// Performs one of the measurements, and prints its tables and goals.
pub(crate) fn print_one(built: &Built, name: &str, quick: bool) -> Result<()> {
    let mut bench = new(built, quick);
    let Some((_, part)) = parts().into_iter().find(|(part, _)| *part == name) else {
        let names = parts().map(|(name, _)| name);
        return Err(format!("no part {name:?}; there are: {}", names.join(", ")));
    };
    if matches!(name, "calls" | "reaping" | "reading") {
        bench.counts = counts::count(built, false)?;
    }
    part(&mut bench)?;
    print!("{}", bench.page.text());
    for (goal, result, met) in &bench.goals {
        println!("{}: {goal}: {result}", if *met { "met" } else { "NOT MET" });
    }
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
        notes: Vec::new(),
        figures: Default::default(),
    }
}

/// Measures the bytes of machine code and the seconds of compiling.
fn sizes(bench: &mut Bench<'_>) -> Result<()> {
    let built = bench.built;
    bench.page.heading("Size");
    let sizes = gates::sizes(built)?;
    let program = |name: &str| sizes.get(name).copied().unwrap_or(f64::NAN);
    let (smallest, aio) = (program("smallest fixed compact"), program("aio"));
    let hello = program("hello fixed compact");
    bench.page.say(&format!(
        "The smallest static program that sets up a context, reads with it and destroys it is a \
         file of **{smallest} bytes**, and one that prints a line has **{hello} bytes**. The tool `aio` without symbols has **{aio} bytes**. Machine \
         code of the inlined functions, each compiled as a separate function:"
    ));
    let rows: Vec<Vec<String>> = sizes
        .iter()
        .filter(|(name, _)| name.contains("::"))
        .map(|(name, size)| vec![format!("`{name}`"), size.to_string()])
        .collect();
    bench.page.table(&["function", "bytes"], &rows);
    bench
        .page
        .say("Functions that are not inlined, in the library's archive:");
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
        "the smallest static program that reads by AIO: under 1,500 bytes".to_owned(),
        format!("{smallest} bytes"),
        smallest < 1500.0,
    ));
    let met = aio < f64::from(128 << 10);
    bench.goals.push((
        "`aio`: under 128 KiB".to_owned(),
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
    bench.page.say(
        "A release build from an empty target directory, and the number of packages it requires, \
         including those of build scripts:",
    );
    bench
        .page
        .table(&["package", "seconds", "dependencies"], &rows);
    Ok(())
}
