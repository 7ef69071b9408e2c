//! `aio copy` beside cp, dd and a copy by io_uring.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::{Bench, times};
use crate::command::{Result, run};
use crate::stats::median;

/// A name in the table, and the command.
type Way = (&'static str, Vec<String>);

const MIB: u64 = 1 << 20;

/// The factor for the number of rounds: a copy takes up to a second.
const ROUNDS: usize = 5;

impl Bench<'_> {
    /// Measures copies of several kinds of files.
    pub(crate) fn copies(&mut self) -> Result<()> {
        self.page.heading("Copies");
        self.page.say(
            "Every copy is on the disk when its time ends: by fsync, and for cp by sync(1) of the \
             copy. AIO and io_uring have 16 blocks of 256 KiB in flight, dd has one of 1 MiB. The \
             time is a ratio to cp in the same round, followed by the median in milliseconds. The \
             order in a round is random: what one copy leaves to the disk delays the next.",
        );
        let from = self.built.target.join("bench-file");
        self.make(&from)?;
        self.copy("256 MiB in the page cache", "warm", &from, false)?;
        self.copy("256 MiB not in the page cache", "cold", &from, true)?;
        std::fs::write(&from, b"abc").map_err(|error| error.to_string())?;
        self.copy("3 bytes", "small", &from, false)?;
        sparse(&from).map_err(|error| error.to_string())?;
        self.copy("1 GiB sparse, with 64 MiB of data", "sparse", &from, false)?;
        let _ = std::fs::remove_file(&from);
        Ok(())
    }

    fn copy(&mut self, title: &str, name: &str, from: &Path, cold: bool) -> Result<()> {
        let to = self.built.target.join("bench-copy");
        let ways = self.ways(from, &to);
        let mut took: Vec<Vec<f64>> = vec![Vec::new(); ways.len()];
        for _ in 0..ROUNDS * self.turns {
            let mut order: Vec<usize> = (0..ways.len()).collect();
            fastrand::shuffle(&mut order);
            for way in order {
                let (took, words) = (&mut took[way], &ways[way].1);
                let _ = std::fs::remove_file(&to);
                run(&mut Command::new("sync"))?;
                let warm = Command::new("sh")
                    .args(["-c", WARM, "sh"])
                    .arg(from)
                    .status();
                if cold {
                    // Without root the cache is kept; the table then shows the same
                    // case twice.
                    let _ = std::fs::write("/proc/sys/vm/drop_caches", "1");
                } else if !warm.is_ok_and(|status| status.success()) {
                    return Err(format!("{} cannot be read", from.display()));
                }
                let begin = Instant::now();
                run(Command::new(&words[0]).args(&words[1..]))?;
                took.push(begin.elapsed().as_secs_f64());
            }
        }
        let _ = std::fs::remove_file(&to);
        let rows: Vec<Vec<String>> = ways
            .iter()
            .zip(&took)
            .map(|((name, _), mine)| {
                let ratios = mine.iter().zip(&took[0]).map(|(mine, first)| mine / first);
                let milliseconds = median(mine.clone()) * 1000.0;
                vec![
                    (*name).to_owned(),
                    times(median(ratios.collect())),
                    format!("{milliseconds:.1}"),
                ]
            })
            .collect();
        for ((way, _), mine) in ways.iter().zip(&took) {
            let ratios = mine.iter().zip(&took[0]).map(|(mine, first)| mine / first);
            self.keep(format!("copy {name} {way}"), median(ratios.collect()));
        }
        self.page.table(&[title, "time", "ms"], &rows);
        Ok(())
    }

    fn ways(&self, from: &Path, to: &Path) -> Vec<Way> {
        let program = |name: &str| self.built.target.join(name).display().to_string();
        let (aio, subject) = (program("aio/aio"), program("release/subject"));
        let (from, to) = (from.display().to_string(), to.display().to_string());
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let cp = format!("cp '{from}' '{to}' && sync '{to}'");
        let (input, output) = (format!("if={from}"), format!("of={to}"));
        let dd = [
            "dd",
            &input,
            &output,
            "bs=1M",
            "iflag=direct",
            "oflag=direct",
            "conv=fsync",
            "status=none",
        ];
        let uring = |way| words(&[&subject, "copy", way, "1", "262144", &from, &to]);
        let mut ways: Vec<Way> = vec![
            ("cp, sync", words(&["sh", "-c", &cp])),
            ("aio copy", words(&[&aio, "copy", &from, &to])),
            (
                "aio copy --engine=aio",
                words(&[&aio, "copy", "--engine=aio", &from, &to]),
            ),
            ("io_uring", uring("uring")),
        ];
        // Not for files smaller than a sector.
        if File::open(from.as_str())
            .and_then(|file| file.metadata())
            .is_ok_and(|file| file.len() > MIB)
        {
            ways.extend([
                ("dd, direct", words(&dd)),
                (
                    "aio copy --direct",
                    words(&[&aio, "copy", "--direct", &from, &to]),
                ),
                ("io_uring, direct", uring("uring-direct")),
            ]);
        }
        ways
    }
}

/// The shell command that reads a file into the page cache.
const WARM: &str = "exec cat \"$1\" >/dev/null";

/// Creates a file with a MiB of data in every sixteen.
fn sparse(path: &Path) -> std::io::Result<()> {
    let file = File::create(path)?;
    file.set_len(1024 * MIB)?;
    let mut data = vec![0_u8; MIB as usize];
    for (byte, place) in data.iter_mut().zip(0_u32..) {
        *byte = place.wrapping_mul(2_654_435_761).to_le_bytes()[3];
    }
    for part in 0..64 {
        file.write_all_at(&data, part * 16 * MIB)?;
    }
    file.sync_all()
}
