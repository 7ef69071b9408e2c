//! Comparison of `aio copy` with cp from coreutils: every kind of source to every kind
//! of target, with each engine, on a disk and in memory. The resulting files must be
//! the same.

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::thread;

use common::*;

const SOURCES: [&str; 11] = [
    "empty", "small", "large", "sparse", "hole", "secret", "set-id", "readonly", "link", "names",
    "proc",
];

const TARGETS: [&str; 11] = [
    "absent",
    "file",
    "longer",
    "secret",
    "readonly",
    "names",
    "link",
    "nothing",
    "directory",
    "within",
    "theirs",
];

const FLAGS: [&[&str]; 4] = [
    &[],
    &["--engine=aio"],
    &["--direct"],
    &["--sparse=never", "--block=64K"],
];

/// The contents of large files, which are used hundreds of times.
static LARGE: LazyLock<Vec<u8>> = LazyLock::new(|| bytes(3_000_007));
static LONGER: LazyLock<Vec<u8>> = LazyLock::new(|| bytes(4_000_000));

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Creates the source, and returns its name.
fn make_source(at: &Path, kind: &str) -> &'static str {
    let path = at.join("s");
    match kind {
        "proc" => return "/proc/version",
        "empty" => fs::write(&path, "").unwrap(),
        "large" => fs::write(&path, &*LARGE).unwrap(),
        "sparse" => {
            let file = fs::File::create(&path).unwrap();
            file.set_len((2 << 20) + 5).unwrap();
            file.write_all_at(&bytes(9000), 1 << 20).unwrap();
        }
        "hole" => fs::File::create(&path).unwrap().set_len(1 << 20).unwrap(),
        "link" => {
            fs::write(at.join("real"), "by a link").unwrap();
            symlink("real", &path).unwrap();
        }
        _ => fs::write(&path, "some data").unwrap(),
    }
    match kind {
        "secret" => set_mode(&path, 0o600),
        "set-id" => set_mode(&path, 0o6755),
        "readonly" => set_mode(&path, 0o444),
        "names" => fs::hard_link(&path, at.join("other")).unwrap(),
        _ => {}
    }
    "s"
}

/// Creates the target's previous state, and returns the name to copy to.
fn make_target(at: &Path, kind: &str) -> &'static str {
    let path = at.join("t");
    match kind {
        "absent" => {}
        "longer" => fs::write(&path, &*LONGER).unwrap(),
        "nothing" => symlink("missing", &path).unwrap(),
        "link" => {
            fs::write(at.join("old"), "behind a link").unwrap();
            symlink("old", &path).unwrap();
        }
        "directory" => fs::create_dir(&path).unwrap(),
        "within" => {
            fs::create_dir(&path).unwrap();
            fs::write(path.join("s"), "in a directory").unwrap();
            fs::write(path.join("version"), "in a directory").unwrap();
        }
        _ => fs::write(&path, "old").unwrap(),
    }
    match kind {
        "secret" => set_mode(&path, 0o600),
        "readonly" => set_mode(&path, 0o444),
        "names" => fs::hard_link(&path, at.join("t2")).unwrap(),
        "theirs" if is_root() => {
            chown(&path, Some(65_534), Some(65_533)).unwrap();
            set_mode(&path, 0o664);
        }
        _ => {}
    }
    "t"
}

/// Describes all files in a directory and its subdirectories, as visible to a user.
/// Appends the contents of the files.
fn seen(at: &Path, contents: &mut Vec<Vec<u8>>) -> Vec<String> {
    let mut all = Vec::new();
    for name in names(at) {
        let path = at.join(&name);
        let file = fs::symlink_metadata(&path).unwrap();
        let (mode, links) = (file.mode(), file.nlink());
        if file.is_dir() {
            all.push(format!("{name}: directory {mode:o}"));
            let inside = seen(&path, contents);
            all.extend(inside.into_iter().map(|one| format!("{name}/{one}")));
        } else if file.is_symlink() {
            let link = fs::read_link(&path).unwrap();
            all.push(format!("{name}: link to {}", link.display()));
        } else {
            let (user, group) = (file.uid(), file.gid());
            let data = fs::read(&path).unwrap();
            let length = data.len();
            all.push(format!(
                "{name}: {mode:o} {user} {group} {links} names, {length} bytes"
            ));
            contents.push(data);
        }
    }
    all
}

fn blocks(at: &Path) -> u64 {
    let of = |name: &String| {
        let path = at.join(name);
        match fs::metadata(&path) {
            Ok(file) if file.is_dir() => blocks(&path),
            file => file.map_or(0, |file| file.blocks()),
        }
    };
    names(at).iter().map(of).sum()
}

/// Runs one cell of the matrix, and returns the difference between `aio copy` and cp,
/// if any.
fn cell(place: &Path, source: &str, target: &str, flags: &[&str]) -> Option<String> {
    let directory = Directory::new_in(place);
    let run = |name: &str, mut command: Command| {
        let at = directory.path().join(name);
        fs::create_dir(&at).unwrap();
        let source = make_source(&at, source);
        let target = make_target(&at, target);
        let output = command.args([source, target]).current_dir(&at).output();
        let output = output.unwrap();
        let mut contents = Vec::new();
        let files = seen(&at, &mut contents);
        let result = (output.status.success(), files, blocks(&at), output);
        (result, contents)
    };
    let mut ours = aio(&["copy"]);
    ours.args(flags);
    let (ours, our_contents) = run("ours", ours);
    let mut cp = Command::new("cp");
    cp.args(flags.iter().filter(|flag| flag.starts_with("--sparse")));
    let (cp, contents) = run("cp", cp);
    if (ours.0, &ours.1) != (cp.0, &cp.1) {
        return Some(format!("{ours:?}\nbut cp: {cp:?}"));
    }
    if our_contents != contents {
        return Some(format!("other contents than by cp: {ours:?}"));
    }
    // Blocks of 512 bytes. File systems store slightly different amounts for different
    // ways of writing.
    if ours.2.abs_diff(cp.2) > 64 {
        return Some(format!("{} blocks, but cp: {}", ours.2, cp.2));
    }
    None
}

fn all_cells(place: &Path) {
    if !have(&["cp"]) {
        return;
    }
    let cells = thread::scope(|scope| {
        let columns = FLAGS.map(|flags| {
            scope.spawn(move || {
                let mut cells = 0;
                for source in SOURCES {
                    for target in TARGETS {
                        if let Some(what) = cell(place, source, target, flags) {
                            panic!("{source} to {target} {flags:?}: {what}");
                        }
                        cells += 1;
                    }
                }
                cells
            })
        });
        columns
            .map(|column| column.join().unwrap())
            .iter()
            .sum::<u32>()
    });
    println!("{cells} cells");
    assert_eq!(cells, 484);
}

#[test]
fn on_a_disk() {
    all_cells(Path::new(env!("CARGO_TARGET_TMPDIR")));
}

#[test]
fn in_memory() {
    all_cells(Path::new("/dev/shm"));
}
