//! The table of the seven numbers of every ABI, generated from the library's own tables.

use std::fmt::Write;

use numbers::nr::{self, Numbers};

/// The calls, in the order of the table's columns.
type Column = (&'static str, fn(&Numbers) -> Option<u32>);

const COLUMNS: [Column; 7] = [
    ("io_setup", |of| of.io_setup),
    ("io_destroy", |of| of.io_destroy),
    ("io_submit", |of| of.io_submit),
    ("io_cancel", |of| of.io_cancel),
    ("io_getevents", |of| of.io_getevents),
    ("io_pgetevents", |of| of.io_pgetevents),
    ("io_pgetevents_time64", |of| of.io_pgetevents_time64),
];

/// Renders the table. A call that an ABI lacks is a dash.
pub(crate) fn render() -> String {
    let mut text = "| ABI |".to_owned();
    for (name, _) in COLUMNS {
        let _ = write!(text, " {name} |");
    }
    text += "\n|---|";
    text += &"--:|".repeat(COLUMNS.len());
    for numbers in nr::every() {
        let _ = write!(text, "\n| {} |", numbers.abi);
        for (_, number) in COLUMNS {
            match number(&numbers) {
                Some(number) => _ = write!(text, " {number} |"),
                None => text += " – |",
            }
        }
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_abi_has_a_row_with_its_numbers() {
        let text = render();
        let rows = text.lines().count() - 2;
        assert_eq!(rows, nr::every().count());
        for row in [
            "| x86_64 | 206 | 207 | 209 | 210 | 208 | 333 | – |",
            "| riscv32 | 0 | 1 | 2 | 3 | – | – | 416 |",
            "| s390x | 243 | 244 | 246 | 247 | 245 | 382 | – |",
        ] {
            assert!(text.lines().any(|line| line == row), "{row}\n{text}");
        }
    }
}
