//! The results of `aio bench`, as a table or as JSON.

use core::fmt::{self, Write};

use super::target::Target;
use super::worker::{Engine, Result};
use super::{MOST_VALUES, Options};
use crate::json::Json;
use crate::os;
use crate::path::Shown;
use crate::print::{Bytes, Color, Nanoseconds, Out, Paint, Text, right};

/// The columns of the table without the bar.
const COLUMNS: usize = 70;

pub(super) struct Report {
    json: bool,
    write: bool,
    first: bool,
    /// The results of one block size.
    results: [Option<Result>; MOST_VALUES * 2],
    count: usize,
    bar: usize,
}

impl Report {
    pub(super) fn begin(
        options: &Options,
        target: &Target,
        nanoseconds: u64,
        out: &mut Out,
    ) -> core::result::Result<Report, fmt::Error> {
        let report = Report {
            json: options.json,
            write: options.write,
            first: true,
            results: [None; MOST_VALUES * 2],
            count: 0,
            bar: os::columns(os::STDOUT)
                .saturating_sub(COLUMNS + 2)
                .clamp(8, 40),
        };
        let kind = if options.write { "writes" } else { "reads" };
        if options.json {
            let mut json = Json::new(out);
            json.open("", '{')?;
            json.string("version", Some(env!("CARGO_PKG_VERSION").as_bytes()))?;
            json.string("file", Some(options.path))?;
            json.number("size", Some(target.size))?;
            json.boolean("direct", target.direct)?;
            json.string("operation", Some(kind.as_bytes()))?;
            json.number("nanoseconds", Some(nanoseconds))?;
            json.open("results", '[')?;
            return Ok(report);
        }
        let way = if target.direct {
            "direct I/O"
        } else {
            "through the page cache"
        };
        writeln!(
            out,
            "{}: {}, random {}, {}, {} each",
            Shown(options.path),
            Bytes(target.size),
            Text(kind),
            Text(way),
            Nanoseconds(nanoseconds)
        )?;
        let header = "block depth engine     IOPS    bandwidth      p50      p99    p99.9   CPU/op";
        writeln!(out, "{}", Paint(Color::Bold, Text(header)))?;
        out.flush();
        Ok(report)
    }

    pub(super) fn add(&mut self, result: Result, out: &mut Out) -> fmt::Result {
        if let Some(place) = self.results.get_mut(self.count) {
            *place = Some(result);
            self.count += 1;
        }
        if self.json {
            return self.add_json(result, out);
        }
        let block = if result.block % 1024 == 0 {
            (result.block / 1024, "K")
        } else {
            (result.block, "")
        };
        right(out, 5, format_args!("{}{}", block.0, Text(block.1)))?;
        right(out, 6, format_args!("{}", result.depth))?;
        write!(out, " {} ", Text(self.engine(result.engine)))?;
        right(out, 8, format_args!("{}", result.iops))?;
        let bandwidth = result.iops.saturating_mul(result.block as u64);
        right(out, 13, format_args!("{}/s", Bytes(bandwidth)))?;
        for time in [result.p50, result.p99, result.p999, result.processor] {
            right(out, 9, format_args!("{}", Nanoseconds(time)))?;
        }
        out.write_char('\n')?;
        out.flush();
        Ok(())
    }

    fn engine(&self, engine: Engine) -> &'static str {
        match engine {
            Engine::Aio => "AIO   ",
            Engine::Plain if self.write => "pwrite",
            Engine::Plain => "pread ",
        }
    }

    fn add_json(&mut self, result: Result, out: &mut Out) -> fmt::Result {
        let comma = if core::mem::replace(&mut self.first, false) {
            ""
        } else {
            ","
        };
        out.write_str(comma)?;
        let mut json = Json::new(out);
        json.open("", '{')?;
        json.number("block", Some(result.block as u64))?;
        json.number("depth", Some(result.depth.into()))?;
        let engine = self.engine(result.engine).trim_ascii_end();
        json.string(
            "engine",
            Some(if engine == "AIO" {
                b"aio"
            } else {
                engine.as_bytes()
            }),
        )?;
        json.number("operations", Some(result.operations))?;
        json.number("iops", Some(result.iops))?;
        json.number("bytes_per_second", Some(result.iops * result.block as u64))?;
        json.number("p50_ns", Some(result.p50))?;
        json.number("p99_ns", Some(result.p99))?;
        json.number("p999_ns", Some(result.p999))?;
        json.number("cpu_ns", Some(result.processor))?;
        json.close('}')
    }

    /// Draws the bars of one block size, and says which depth is enough.
    pub(super) fn conclude(&mut self, out: &mut Out) -> fmt::Result {
        let count = core::mem::take(&mut self.count);
        if self.json {
            return Ok(());
        }
        let results = &self.results[..count];
        let best = |engine| {
            let of_engine = results
                .iter()
                .flatten()
                .filter(move |one| one.engine == engine);
            // The smallest depth that reaches 95 % of the most.
            let most = of_engine.clone().map(|one| one.iops).max().unwrap_or(0);
            of_engine
                .clone()
                .find(|one| one.iops >= most / 100 * 95)
                .copied()
        };
        let most = results
            .iter()
            .flatten()
            .map(|one| one.iops)
            .max()
            .unwrap_or(0)
            .max(1);
        for one in results.iter().flatten() {
            right(out, 11, format_args!("{}", one.depth))?;
            write!(out, " {} ", Text(self.engine(one.engine)))?;
            let color = match one.engine {
                Engine::Aio => Color::Green,
                Engine::Plain => Color::Yellow,
            };
            let length = (u128::from(one.iops) * self.bar as u128 / u128::from(most)) as usize;
            writeln!(out, "{}", Paint(color, Bar(length)))?;
        }
        let (Some(aio), Some(plain)) = (best(Engine::Aio), best(Engine::Plain)) else {
            return Ok(());
        };
        let per_cent =
            |part: u64, whole: u64| (u128::from(part) * 100 / u128::from(whole.max(1))) as u64;
        let gain = per_cent(aio.iops, plain.iops);
        let cost = per_cent(aio.processor, plain.processor);
        let worth = gain >= 110 || (gain >= 95 && cost <= 90);
        let verdict = if worth {
            Paint(Color::Green, Text("AIO is worth it"))
        } else {
            Paint(Color::Yellow, Text("AIO gains nothing"))
        };
        let depth = aio.depth;
        writeln!(
            out,
            "      {verdict}: at depth {depth} it reaches {gain} % of the rate of {} \n      \
             processes with {}, with {cost} % of their processor time",
            plain.depth,
            Text(self.engine(Engine::Plain).trim_ascii_end()),
        )
    }

    pub(super) fn end(&self, out: &mut Out) -> fmt::Result {
        if self.json {
            out.write_str("]}\n")?;
        }
        Ok(())
    }
}

/// A bar of so many characters.
struct Bar(usize);

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..self.0).try_for_each(|_| f.write_char('#'))
    }
}
