//! Verifies that the figures in the README are those of the performance page.

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

/// Each row of the README's table names a row of the page, by the text of its first cell.
/// Every figure in bold is in a row of that name.
#[test]
fn the_readme_has_the_figures_of_the_page() {
    let (readme, page) = (read("README.md"), read("docs/performance.md"));
    let (_, table) = readme.split_once("## How it compares").unwrap();
    let rows: Vec<_> = table.lines().filter(|line| line.contains("**")).collect();
    assert!((1..=5).contains(&rows.len()), "headlines: {}", rows.len());
    for row in rows {
        let [_, figures, name] = cells(row)[..] else {
            panic!("not three cells: {row}");
        };
        let there: Vec<_> = page.lines().filter(|line| cells(line)[0] == name).collect();
        assert!(!there.is_empty(), "no row of the page begins with {name:?}");
        for figure in figures.split("**").skip(1).step_by(2) {
            let found = there.iter().any(|line| line.contains(figure));
            assert!(found, "{figure} is not in {name:?}");
        }
    }
}
