//! Builds the measured programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::command::{Result, run};
use crate::subject::Subject;

/// The built programs and their paths.
pub(crate) struct Built {
    /// The workspace's directory.
    pub(crate) home: PathBuf,
    /// Cargo's target directory.
    pub(crate) target: PathBuf,
    pub(crate) subject: Subject,
    /// The sizes in bytes of the smallest programs, in each form.
    pub(crate) smallest: BTreeMap<String, u64>,
}

/// The forms of the smallest programs: a name, and the features that select it.
const FORMS: [(&str, &str); 5] = [
    ("fixed", "section-headers"),
    ("pie", "section-headers,position-independent"),
    ("pie compact", "position-independent"),
    ("open compact", "position-independent,descriptors-open"),
    ("fixed compact", ""),
];

impl Built {
    pub(crate) fn new(capi: Option<String>) -> Result<Built> {
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        let home = home.ok_or("no workspace")?.to_path_buf();
        // This program is in `target/tool`.
        let me = std::env::current_exe().map_err(|error| error.to_string())?;
        let target = me.ancestors().nth(2).ok_or("no target directory")?;
        let mut built = Built {
            target: target.to_path_buf(),
            subject: Subject::new(target.join("release/subject"), capi),
            home,
            smallest: BTreeMap::new(),
        };
        let packages = ["--package", "benches", "--package", "linux-aio"];
        let all = ["build", "--release", "--features", "benches/std"];
        let all = [&all[..], &["--lib", "--bin", "subject"]].concat();
        built.cargo(&[&all[..], &packages].concat())?;
        for (form, features) in FORMS {
            let all = ["build", "--profile", "smallest", "--package", "smallest"];
            built.cargo(&[&all[..], &["--features", features]].concat())?;
            for program in ["hello", "line", "raw", "read", "smallest"] {
                let path = built.target.join("smallest").join(program);
                let size = std::fs::metadata(path).map(|data| data.len());
                let size = size.map_err(|error| error.to_string())?;
                built.smallest.insert(format!("{program} {form}"), size);
            }
        }
        built.cargo(&["build", "--profile", "aio", "--package", "aio"])?;
        Ok(built)
    }

    fn cargo(&self, arguments: &[&str]) -> Result<()> {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(arguments).args(["--locked", "--quiet"]);
        cargo.current_dir(&self.home);
        cargo.arg("--target-dir").arg(&self.target);
        run(&mut cargo).map(drop)
    }

    /// Returns the size of a program without its symbols, in bytes.
    pub(crate) fn stripped(&self, program: &str) -> Result<u64> {
        let to = self.target.join("stripped");
        run(Command::new("strip")
            .arg("-o")
            .arg(&to)
            .arg(self.target.join(program)))?;
        let size = std::fs::metadata(&to).map(|data| data.len());
        let _ = std::fs::remove_file(&to);
        size.map_err(|error| error.to_string())
    }

    /// Returns the functions of an archive with their machine code sizes in bytes, as
    /// `nm` prints them.
    pub(crate) fn functions(&self, archive: &str) -> Result<Vec<(String, u64)>> {
        let mut nm = Command::new("nm");
        nm.args(["--demangle", "--print-size", "--defined-only", "--quiet"]);
        let text = run(nm.arg(self.target.join("release").join(archive)))?;
        let mut functions = Vec::new();
        for line in text.lines() {
            let mut words = line.splitn(4, ' ');
            let (_, size, kind, name) = (words.next(), words.next(), words.next(), words.next());
            let size = size.and_then(|size| u64::from_str_radix(size, 16).ok());
            if let (Some(size), Some("t" | "T"), Some(name)) = (size, kind, name) {
                functions.push((name.to_owned(), size));
            }
        }
        functions.sort();
        Ok(functions)
    }

    /// Builds a package from nothing. Returns the time, and the number of packages
    /// built.
    pub(crate) fn cold(&self, package: &str) -> Result<(Duration, usize)> {
        let target = self.target.join("cold");
        let _ = std::fs::remove_dir_all(&target);
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(&self.home);
        cargo.args(["build", "--release", "--locked", "--package", package]);
        cargo.arg("--target-dir").arg(&target);
        let begin = Instant::now();
        run(&mut cargo)?;
        let time = begin.elapsed();
        let _ = std::fs::remove_dir_all(&target);
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(&self.home);
        cargo.args([
            "tree",
            "--locked",
            "--prefix",
            "none",
            "--no-dedupe",
            "--edges",
        ]);
        let tree = run(cargo.args(["normal,build", "--package", package]))?;
        let mut names: Vec<_> = tree.lines().collect();
        names.sort_unstable();
        names.dedup();
        Ok((time, names.len() - 1))
    }
}
