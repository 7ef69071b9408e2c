//! The measuring program. `cargo bench-report` measures everything and writes
//! `docs/performance.md`. `cargo bench-report --gates` compares instruction counts and
//! sizes with their ceilings.

mod build;
mod command;
mod counts;
mod gates;
mod machine;
mod page;
mod report;
mod stats;
mod subject;
mod svg;
mod tables;

use std::process::ExitCode;

use build::Built;

const USAGE: &str = "\
bench-report: measures linux-aio against what a user would pick instead

cargo bench-report [--capi PATH] [--quick]   writes docs/performance.md
cargo bench-report --only PART [--quick]     prints one part of the page
cargo bench-report --gates                   holds counts and sizes to benches/ceilings.toml

    --capi PATH   a libaio.so.1 to be measured beside the system's
    --quick       a tenth of the work: to see that it works
    --only PART   calls, reaping, reading, disk, log, sockets, growth, teardown, copies, sizes
";

fn main() -> ExitCode {
    let (mut gates, mut only, mut quick, mut capi) = (false, None, false, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--gates" => gates = true,
            "--only" => only = arguments.next(),
            "--quick" => quick = true,
            "--capi" => capi = arguments.next(),
            _ => {
                print!("{USAGE}");
                return ExitCode::from(if argument == "--help" { 0 } else { 2 });
            }
        }
    }
    let done = Built::new(capi).and_then(|built| {
        if gates {
            gates::check(&built)
        } else if let Some(part) = only {
            report::print_one(&built, &part, quick)
        } else {
            report::write(&built, quick)
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-report: {error}");
            ExitCode::FAILURE
        }
    }
}
