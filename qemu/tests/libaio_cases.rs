//! Verifies that the checks named in `docs/libaio-cases.md` exist, in the named files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Returns the words in backticks of a cell.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_check_of_the_table_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join("../docs/libaio-cases.md")).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let mut cases = BTreeSet::new();
    let mut checks = 0;
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [case, _, names, file, _] = cells[..] else {
            panic!("not five cells: {row}");
        };
        let Ok(case) = case.parse::<u32>() else {
            continue;
        };
        cases.insert(case);
        let file = quoted(file).next().expect(row);
        let source = fs::read_to_string(root.join("guest/src").join(file)).expect(row);
        for name in quoted(names) {
            // The whole name, or the common end of several.
            let literal = match name.strip_prefix('…') {
                Some(end) => format!("{end}\""),
                None => format!("\"{name}\""),
            };
            assert!(source.contains(&literal), "{file} has no {literal}");
            checks += 1;
        }
    }
    // All cases are listed, each with at least one check.
    let all: BTreeSet<u32> = (2..=23).filter(|&case| case != 9).collect();
    assert_eq!(cases, all);
    assert!(checks > 60, "{checks}");
}
