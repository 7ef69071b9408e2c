//! Pictures of the documentation: text with box-drawing characters, drawn as SVG for a
//! light page and a dark one.
//!
//! A character of the text is a cell of the picture. Lines join at the centers of cells;
//! all other characters are text, at the place that they have in the source.

use std::collections::BTreeMap;
use std::fmt::Write;

/// The size of a cell, in units of the picture.
const CELL: (f64, f64) = (8.0, 18.0);

/// The space around the text.
const MARGIN: f64 = 8.0;

const STYLE: &str = "<style>text{font:13px ui-monospace,monospace;fill:#24292f}\
.line{fill:none;stroke:#57606a;stroke-width:1.5}.head{fill:#57606a}\
.border{fill:none;stroke:#3b82f6;stroke-width:1.5;stroke-dasharray:5 4}\
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.line{stroke:#9198a1}\
.head{fill:#9198a1}}</style>";

/// The sides of a cell to which a character draws a line from the center.
#[derive(Clone, Copy, Default)]
struct Sides {
    left: bool,
    right: bool,
    up: bool,
    down: bool,
}

/// Returns the sides of a box-drawing character or an arrow; `None` for text.
fn sides(character: char) -> Option<Sides> {
    let names = match character {
        '─' => "lr",
        '│' | '┆' => "ud",
        '┌' => "rd",
        '┐' => "ld",
        '└' => "ru",
        '┘' => "lu",
        '├' => "udr",
        '┤' => "udl",
        '┬' => "lrd",
        '┴' => "lru",
        '┼' => "lrud",
        '▶' => "l",
        '◀' => "r",
        '▲' => "d",
        '▼' => "u",
        _ => return None,
    };
    Some(Sides {
        left: names.contains('l'),
        right: names.contains('r'),
        up: names.contains('u'),
        down: names.contains('d'),
    })
}

/// Lines along one axis: for each position across it, ranges along it, in half cells.
#[derive(Default)]
struct Lines(BTreeMap<usize, Vec<(usize, usize)>>);

impl Lines {
    /// Adds a range, which continues the last one of this position if it is adjacent.
    fn add(&mut self, across: usize, from: usize, to: usize) {
        let lines = self.0.entry(across).or_default();
        match lines.last_mut() {
            Some(last) if last.1 == from => last.1 = to,
            _ => lines.push((from, to)),
        }
    }
}

/// Draws the text. `title` is its description for readers who do not see it.
pub(crate) fn draw(text: &str, title: &str) -> String {
    let grid: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
    let columns = grid.iter().map(Vec::len).max().unwrap_or(0);
    let (mut across, mut down, mut borders) =
        (Lines::default(), Lines::default(), Lines::default());
    let mut rest = String::new();
    for (row, line) in grid.iter().enumerate() {
        let mut column = 0;
        while column < line.len() {
            let character = line[column];
            let Some(sides) = sides(character) else {
                let run = run(&line[column..]);
                if character != ' ' {
                    words(&mut rest, row, column, &line[column..column + run]);
                }
                column += run;
                continue;
            };
            let (x, y) = (2 * column, 2 * row);
            for (there, from) in [(sides.left, x), (sides.right, x + 1)] {
                if there {
                    across.add(row, from, from + 1);
                }
            }
            // A line that crosses the border is not part of it, and does not interrupt it.
            let crossing = character == '┼' && row > 0 && grid[row - 1].get(column) == Some(&'┆');
            let vertical = if character == '┆' || crossing {
                &mut borders
            } else {
                &mut down
            };
            for (there, from) in [(sides.up, y), (sides.down, y + 1)] {
                if there {
                    vertical.add(column, from, from + 1);
                }
            }
            head(&mut rest, character, row, column);
            column += 1;
        }
    }
    let (width, height) = (at(2 * columns, CELL.0), at(2 * grid.len(), CELL.1));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" \
         aria-label=\"{}\">{STYLE}\n",
        width + MARGIN,
        height + MARGIN,
        escape(title)
    );
    for (class, lines) in [("border", &borders), ("line", &down)] {
        for (column, from, to) in ranges(lines) {
            let (x, from, to) = (at(2 * column + 1, CELL.0), at(from, CELL.1), at(to, CELL.1));
            let _ = writeln!(svg, "<path class=\"{class}\" d=\"M{x} {from}V{to}\"/>");
        }
    }
    for (row, from, to) in ranges(&across) {
        let (y, from, to) = (at(2 * row + 1, CELL.1), at(from, CELL.0), at(to, CELL.0));
        let _ = writeln!(svg, "<path class=\"line\" d=\"M{from} {y}H{to}\"/>");
    }
    svg + &rest + "</svg>\n"
}

/// Returns the position of a number of half cells of this size.
fn at(half: usize, size: f64) -> f64 {
    MARGIN + half as f64 * size / 2.0
}

fn ranges(lines: &Lines) -> impl Iterator<Item = (usize, usize, usize)> {
    let all = lines.0.iter();
    all.flat_map(|(&across, ranges)| ranges.iter().map(move |&(from, to)| (across, from, to)))
}

/// Returns the length of the text that begins here: up to a line or two spaces.
fn run(line: &[char]) -> usize {
    let ends = |at: usize| {
        let space = |at: usize| line.get(at).is_none_or(|&c| c == ' ');
        sides(line[at]).is_some() || (space(at) && space(at + 1))
    };
    let end = (1..line.len()).find(|&at| ends(at)).unwrap_or(line.len());
    if line[0] == ' ' { 1 } else { end }
}

/// Draws text as wide as in the source, in every font.
fn words(svg: &mut String, row: usize, column: usize, text: &[char]) {
    let text: String = text.iter().collect();
    let text = text.trim_end();
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" textLength=\"{}\">{}</text>",
        at(2 * column, CELL.0),
        at(2 * row + 1, CELL.1) + 4.5,
        text.chars().count() as f64 * CELL.0,
        escape(text)
    );
}

/// Draws the head of an arrow, whose point is at the end of the cell.
fn head(svg: &mut String, character: char, row: usize, column: usize) {
    let (x, y) = (at(2 * column + 1, CELL.0), at(2 * row + 1, CELL.1));
    let points = match character {
        '▶' => [(x + 4.0, y), (x - 4.0, y - 4.0), (x - 4.0, y + 4.0)],
        '◀' => [(x - 4.0, y), (x + 4.0, y - 4.0), (x + 4.0, y + 4.0)],
        '▼' => [(x, y + 9.0), (x - 4.0, y), (x + 4.0, y)],
        '▲' => [(x, y - 9.0), (x - 4.0, y), (x + 4.0, y)],
        _ => return,
    };
    let [(a, b), (c, d), (e, f)] = points;
    let _ = writeln!(
        svg,
        "<path class=\"head\" d=\"M{a} {b}L{c} {d}L{e} {f}z\"/>"
    );
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the elements of a picture without its frame.
    fn elements(text: &str) -> Vec<String> {
        let svg = draw(text, "a \"title\"");
        let lines = svg.lines().skip(1).filter(|line| *line != "</svg>");
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn a_box_is_four_lines_between_the_centers_of_its_corners() {
        assert_eq!(
            elements("┌──┐\n│  │\n└──┘"),
            [
                "<path class=\"line\" d=\"M12 17V53\"/>",
                "<path class=\"line\" d=\"M36 17V53\"/>",
                "<path class=\"line\" d=\"M12 17H36\"/>",
                "<path class=\"line\" d=\"M12 53H36\"/>",
            ]
        );
    }

    #[test]
    fn an_arrow_ends_in_a_head() {
        assert_eq!(
            elements("──▶"),
            [
                "<path class=\"line\" d=\"M8 17H28\"/>",
                "<path class=\"head\" d=\"M32 17L24 13L24 21z\"/>",
            ]
        );
    }

    #[test]
    fn a_line_crosses_the_border_and_does_not_end_it() {
        assert_eq!(
            elements("  ┆\n──┼─\n  ┆"),
            [
                "<path class=\"border\" d=\"M28 8V62\"/>",
                "<path class=\"line\" d=\"M8 35H40\"/>",
            ]
        );
    }

    #[test]
    fn text_keeps_its_place_and_its_width() {
        assert_eq!(
            elements("a<b c  d"),
            [
                "<text x=\"8\" y=\"21.5\" textLength=\"40\">a&lt;b c</text>",
                "<text x=\"64\" y=\"21.5\" textLength=\"8\">d</text>",
            ]
        );
    }
}
