//! Verifies that the tests and the items named in `docs/manual.md` exist, and the items
//! named in `docs/errors.md`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Returns the words in backticks of a cell.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A table of a page: its heading's cells, and its rows.
struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Returns the cells of the column with this heading, if the table has it.
    fn column(&self, head: &str) -> Option<impl Iterator<Item = &str>> {
        let at = self.head.iter().position(|cell| cell == head)?;
        Some(self.rows.iter().map(move |row| row[at].as_str()))
    }
}

/// Returns the tables of a page.
fn tables(page: &str) -> Vec<Table> {
    let cells = |line: &str| {
        let line = line
            .strip_prefix('|')
            .and_then(|line| line.strip_suffix('|'));
        let cells = line.expect("a row without an end").split('|');
        cells.map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        if !line.starts_with("| ") || !lines.peek().is_some_and(|next| next.starts_with("|-")) {
            continue;
        }
        lines.next();
        let head = cells(line);
        let mut rows = Vec::new();
        while let Some(row) = lines.next_if(|line| line.starts_with("| ")) {
            let row = cells(row);
            assert_eq!(row.len(), head.len(), "{row:?}");
            rows.push(row);
        }
        found.push(Table { head, rows });
    }
    found
}

/// The public items of the library, without their generic parameters.
struct Items(String);

impl Items {
    fn new() -> Items {
        let mut depth = 0;
        let mut previous = ' ';
        let without = |&letter: &char| {
            // The arrow of a function's result closes nothing.
            let closes = letter == '>' && previous != '-';
            depth += i32::from(letter == '<');
            let keeps = depth == 0;
            depth -= i32::from(closes);
            previous = letter;
            keeps
        };
        Items(
            read("docs/public-api.txt")
                .chars()
                .filter(without)
                .collect(),
        )
    }

    /// Returns whether there is an item whose path ends with these names.
    fn has(&self, item: &str) -> bool {
        let path = format!("::{item}");
        self.0.match_indices(&path).any(|(at, path)| {
            let next = self.0[at + path.len()..].chars().next();
            !next.is_some_and(|next| next.is_alphanumeric() || next == '_')
        })
    }

    /// Verifies that the items exist. `aio VERB` is a verb of the tool.
    fn verify(&self, cell: &str) -> usize {
        let mut count = 0;
        for item in quoted(cell) {
            count += 1;
            if let Some(verb) = item.strip_prefix("aio ") {
                let verb = verb.split(' ').next().unwrap_or_default();
                assert!(
                    ["bench", "copy", "probe", "who"].contains(&verb),
                    "aio {verb}"
                );
            } else {
                assert!(self.has(item), "there is no public item {item}");
            }
        }
        count
    }
}

#[test]
fn every_test_of_the_manual_exists() {
    let mut sources = HashMap::new();
    let mut count = 0;
    for table in tables(&read("docs/manual.md")) {
        for cell in table.column("shown by").expect("a table without tests") {
            assert!(cell.contains('`'), "a row without a test: {cell}");
            for part in cell.split(';') {
                let (names, file) = part.rsplit_once(" in ").expect(part);
                let file = quoted(file).next().expect(part).to_owned();
                let source = sources.entry(file.clone()).or_insert_with(|| {
                    let guest = format!("qemu/guest/src/{file}");
                    let is_guest = root().join(&guest).exists();
                    read(if is_guest { &guest } else { &file })
                });
                for name in quoted(names) {
                    // A check, the common end of several, or a test function.
                    let found = match name.strip_prefix('…') {
                        Some(end) => source.contains(&format!("{end}\"")),
                        None => {
                            source.contains(&format!("\"{name}\""))
                                || source.contains(&format!("fn {name}("))
                        }
                    };
                    assert!(found, "{file} has no {name}");
                    count += 1;
                }
            }
        }
    }
    assert!(count > 150, "{count}");
}

#[test]
fn every_item_of_the_manual_exists() {
    let items = Items::new();
    let mut count = 0;
    for table in tables(&read("docs/manual.md")) {
        for cell in table.column("here").expect("a table without items") {
            assert!(cell.contains('`'), "a row without an item: {cell}");
            count += items.verify(cell);
        }
    }
    assert!(count > 100, "{count}");
    assert!(!items.has("Context::nothing") && !items.has("Contex"));
}

#[test]
fn every_item_of_the_errors_exists() {
    let items = Items::new();
    let page = tables(&read("docs/errors.md"));
    let cells = page.iter().filter_map(|table| table.column("here"));
    let count: usize = cells.flatten().map(|cell| items.verify(cell)).sum();
    assert!(count > 60, "{count}");
}
