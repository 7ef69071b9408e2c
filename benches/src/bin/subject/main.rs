//! Performs one case a number of times, under callgrind or measured by the clock.
//!
//!     subject GROUP BASELINE COUNT [SIZE] [FILE]...
//!
//! Prints one line of JSON, or exits with status 3 if the case is not available here.
//! `LIBAIO` names the shared object that is `libaio`.

mod calls;
mod copy;
mod disk;
mod growth;
mod kernel_threads;
mod libaio;
mod many;
mod meter;
mod ready;
mod reap;
mod sockets;
mod teardown;
mod transfers;
mod trap;

use std::process::ExitCode;

use meter::Meter;

/// The exit status if a case is not available here. The reasons are on standard error.
const UNAVAILABLE: u8 = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse().ok());
    let text = |at: usize| arguments.get(at).map_or("", String::as_str);
    let (group, baseline, size) = (text(0), text(1), number(3).unwrap_or(1) as usize);
    let mut meter = Meter::new(number(2).unwrap_or(1));
    let done = match group {
        "destroy" => calls::destroy(baseline, &mut meter),
        "submit" => calls::submit(baseline, &mut meter),
        "getevents" => calls::getevents(baseline, &mut meter),
        "peek" => reap::peek(baseline, &mut meter),
        "grow" => growth::growth(baseline, size, &mut meter),
        "empty" => transfers::empty(baseline, &mut meter),
        "read" => transfers::read(baseline, size, &mut meter),
        "copy" => copy::copy(baseline, size, text(4), text(5), &mut meter),
        "disk" => disk::disk(baseline, size, text(4), text(5), &mut meter),
        "log" => disk::log(baseline, size, text(4), &mut meter),
        "sockets" => sockets::sockets(baseline, size, number(4).unwrap_or(1000), &mut meter),
        "many" => many::many(baseline, size, &mut meter),
        "teardown" => teardown::teardown(baseline, size, &mut meter),
        "reap" => reap::reap(baseline, size, &mut meter),
        _ => None,
    };
    if done.is_none() {
        eprintln!("{group} {baseline} {size} is not available here");
        for reason in meter::take_notes() {
            eprintln!("{reason}");
        }
        return ExitCode::from(UNAVAILABLE);
    }
    meter.print();
    ExitCode::SUCCESS
}
