//! `aio bench`: measures reads and writes by block size and queue depth, AIO beside
//! pread(2) in processes.
//!
//! The baseline runs in processes rather than threads: the tool has no runtime for
//! threads. Both share the open file, and the kernel treats their reads alike.

mod histogram;
mod report;
mod start;
mod target;
mod worker;

use core::fmt::Write;

use crate::args::{self, Arguments, Bytes, Done, Grammar};
use crate::diagnosis::Diagnosis;
use crate::path::Shown;
use crate::print::{self, Text, complain};
use target::Target;
use worker::{Engine, Failure, Job};

pub(crate) const GRAMMAR: Grammar = Grammar {
    command: "bench",
    flags: &[
        ("block", true),
        ("depth", true),
        ("seconds", true),
        ("buffered", false),
        ("size", true),
        ("write", false),
        ("overwrite", false),
        ("json", false),
        ("color", true),
    ],
    help: include_str!("../../help/bench.txt"),
};

/// The largest number of sizes, and of depths.
const MOST_VALUES: usize = 8;
const MOST_DEPTH: u64 = 1024;
const MOST_BLOCK: u64 = 64 << 20;
/// The shortest measurement, in nanoseconds.
const LEAST_TIME: u64 = 20_000_000;

/// A list of numbers on the command line.
#[derive(Clone, Copy)]
struct List {
    values: [u64; MOST_VALUES],
    count: usize,
}

impl List {
    fn parse(text: &[u8], least: u64, most: u64) -> Option<List> {
        let mut list = List {
            values: [0; MOST_VALUES],
            count: 0,
        };
        for part in text.split(|&byte| byte == b',') {
            let value = args::number(part).filter(|value| (least..=most).contains(value))?;
            *list.values.get_mut(list.count)? = value;
            list.count += 1;
        }
        Some(list)
    }

    fn get(&self) -> &[u64] {
        &self.values[..self.count]
    }
}

struct Options {
    blocks: List,
    depths: List,
    seconds: u64,
    size: u64,
    buffered: bool,
    write: bool,
    overwrite: bool,
    json: bool,
    path: Bytes,
}

fn parse(mut arguments: Arguments) -> Result<Options, Done> {
    let one = |text| List::parse(text, 1, u64::MAX);
    let mut options = Options {
        blocks: one(b"4K,64K").ok_or(Done::Wrong)?,
        depths: one(b"1,4,16,64").ok_or(Done::Wrong)?,
        seconds: 8,
        size: 256 << 20,
        buffered: false,
        write: false,
        overwrite: false,
        json: false,
        path: b"",
    };
    let mut count = 0;
    GRAMMAR.parse(
        &mut arguments,
        &mut |flag, value| {
            let (least, most, is_list) = match flag {
                "block" => (512, MOST_BLOCK, true),
                "depth" => (1, MOST_DEPTH, true),
                "seconds" => (1, 86_400, false),
                "size" => (1 << 16, 1 << 44, false),
                other => {
                    let switch = match other {
                        "buffered" => &mut options.buffered,
                        "write" => &mut options.write,
                        "overwrite" => &mut options.overwrite,
                        _ => &mut options.json,
                    };
                    *switch = true;
                    return Ok(());
                }
            };
            let list = List::parse(value, least, most).filter(|list| is_list || list.count == 1);
            let Some(list) = list else {
                let what = if is_list {
                    "a list of up to 8 numbers"
                } else {
                    "a number"
                };
                return Err(GRAMMAR.wrong(format_args!(
                    "'--{}' is {} from {least} to {most}, not '{}'",
                    Text(flag),
                    Text(what),
                    Shown(value)
                )));
            };
            match flag {
                "block" => options.blocks = list,
                "depth" => options.depths = list,
                "seconds" => options.seconds = list.values[0],
                _ => options.size = list.values[0],
            }
            Ok(())
        },
        &mut |argument| {
            options.path = argument;
            count += 1;
            match count {
                1 => Ok(()),
                _ => Err(GRAMMAR.unexpected(argument)),
            }
        },
    )?;
    if count == 0 {
        return Err(GRAMMAR.wrong(format_args!("PATH is missing")));
    }
    if options.overwrite && !options.write {
        return Err(GRAMMAR.wrong(format_args!("'--overwrite' needs '--write'")));
    }
    Ok(options)
}

pub(crate) fn run(arguments: Arguments) -> Result<i32, Done> {
    let options = parse(arguments)?;
    let name = Shown(options.path);
    let target = match Target::open(&options) {
        Ok(target) => target,
        Err(error) => {
            complain(format_args!("bench: {name}: {error}"));
            return Ok(1);
        }
    };
    for &block in options.blocks.get() {
        let align = target.alignment;
        if block % align != 0 {
            complain(format_args!(
                "bench: {name}: direct I/O needs blocks that are multiples of {align}, not {block}"
            ));
            return Ok(1);
        }
        if block > target.size {
            complain(format_args!(
                "bench: {name}: smaller than a block of {block} bytes"
            ));
            return Ok(1);
        }
    }
    Ok(measure(&options, &target))
}

/// Runs all measurements. The results appear as they come.
fn measure(options: &Options, target: &Target) -> i32 {
    let cells = (options.blocks.count * options.depths.count * 2) as u64;
    let nanoseconds = (options.seconds * 1_000_000_000 / cells).max(LEAST_TIME);
    let mut failed = false;
    let status = print::stdout(|out| {
        let mut report = report::Report::begin(options, target, nanoseconds, out)?;
        for &block in options.blocks.get() {
            for &depth in options.depths.get() {
                for engine in [Engine::Aio, Engine::Plain] {
                    let job = Job {
                        file: &target.file,
                        size: target.size,
                        write: options.write,
                        block: block as usize,
                        depth: depth as u32,
                        engine,
                        nanoseconds,
                    };
                    match worker::run(job) {
                        Ok(result) => report.add(result, out)?,
                        Err(failure) => {
                            failed = true;
                            report_failure(options, depth as u32, failure);
                        }
                    }
                }
            }
            report.conclude(out)?;
        }
        report.end(out)?;
        out.write_str("")
    });
    status.max(i32::from(failed))
}

fn report_failure(options: &Options, depth: u32, failure: Failure) {
    match failure {
        Failure::Setup(errno) => {
            complain(format_args!("bench: {}", Diagnosis::find(errno, depth)));
        }
        Failure::Operation(errno) => {
            complain(format_args!("bench: {}: {errno}", Shown(options.path)));
        }
        Failure::Ended => complain(format_args!(
            "bench: a process ended without a result (killed, or a sandbox forbids AIO: see \
             'aio probe')"
        )),
    }
}
