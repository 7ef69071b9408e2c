//! Verifies that the figures in the README are those of the pages with measurements.

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(path)).expect(path)
}

/// The cells of a table's row.
fn cells(line: &str) -> Vec<&str> {
    let line = line.trim().trim_matches('|');
    line.split(" | ").map(str::trim).collect()
}

/// Returns whether a row begins with these cells, which `name` separates by " / ".
fn begins(line: &str, name: &str) -> bool {
    let cells = cells(line);
    let names = name.split(" / ").map(str::trim);
    names
        .enumerate()
        .all(|(at, name)| cells.get(at) == Some(&name))
}

/// Returns the rows that a cell names: `[LABEL] <!-- SECTION: ROW; ROW -->`, where the
/// label is that of a link to a page. Further comments name more sections of the page.
fn rows_of(readme: &str, cell: &str) -> Vec<String> {
    let (label, sources) = cell.split_once(' ').expect(cell);
    let (_, path) = readme.split_once(&format!("\n{label}: ")).expect(label);
    let page = read(path.lines().next().unwrap());
    let mut rows = Vec::new();
    for source in sources.split("<!-- ").skip(1) {
        let source = source.trim_end().strip_suffix(" -->").expect(source);
        let (section, names) = source.split_once(": ").expect(source);
        let heading = format!("\n## {section}\n");
        let (_, section) = page.split_once(&heading).expect(&heading);
        let section = section.split("\n## ").next().unwrap();
        for name in names.split("; ") {
            let before = rows.len();
            let found = section.lines().filter(|line| begins(line, name));
            rows.extend(found.map(str::to_owned));
            assert!(rows.len() > before, "no row begins with {name:?}");
        }
    }
    rows
}

/// The last cell of each row of the README's table names rows of a page, in comments, and
/// every figure in bold is in one of these. The cell before it states the case in which
/// the row does not hold.
#[test]
fn the_readme_has_the_figures_of_the_pages() {
    let readme = read("README.md");
    let (_, table) = readme.split_once("## AIO, io_uring or threads?").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows: Vec<_> = table.lines().filter(|line| line.contains("**")).collect();
    assert!((3..=8).contains(&rows.len()), "headlines: {}", rows.len());
    for row in rows {
        let [_, _, figures, except, sources] = cells(row)[..] else {
            panic!("not five cells: {row}");
        };
        assert!(figures.contains("**") && !except.is_empty(), "{row}");
        let there = rows_of(&readme, sources);
        for cell in [figures, except] {
            for figure in cell.split("**").skip(1).step_by(2) {
                let found = there.iter().any(|line| contains(line, figure));
                assert!(found, "{figure} is not in {there:#?}");
            }
        }
    }
}

/// Returns whether a row has a figure that is not part of a longer number.
fn contains(line: &str, figure: &str) -> bool {
    line.match_indices(figure).any(|(at, _)| {
        let digit = |c: char| c.is_ascii_digit() || c == '.';
        let before = line[..at].chars().next_back();
        let after = line[at + figure.len()..].chars().next();
        !before.is_some_and(digit) && !after.is_some_and(|c| c.is_ascii_digit())
    })
}
