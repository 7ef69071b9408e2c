//! Plots as SVG, for a light page and a dark one: elements without data use the colours
//! of the reader's scheme.

use std::fmt::Write;

const WIDTH: f64 = 720.0;
const COLOURS: &[&str] = &[
    "#3b82f6", "#e0762f", "#2fa36b", "#a162d8", "#8a8f98", "#d4a017", "#d6455d", "#1f9bb5",
    "#7a8b00",
];

const STYLE: &str = "<style>\
text{font:13px system-ui,sans-serif;fill:#24292f}.small{font-size:11px;fill:#57606a}\
.grid{stroke:#d0d7de;stroke-width:1}.line{fill:none;stroke-width:2}\
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}.grid{stroke:#3d444d}}\
</style>";

/// An axis: it maps values to positions within `length`, and has tick marks.
struct Axis {
    log: bool,
    least: f64,
    most: f64,
    length: f64,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64> + Clone, log: bool, length: f64) -> Axis {
        let least = values.clone().fold(f64::INFINITY, f64::min);
        let most = values.fold(f64::MIN_POSITIVE, f64::max);
        let (least, most) = if log {
            let steps = steps(least, most);
            let first = steps.iter().rev().find(|&&step| step <= least);
            let last = steps.iter().find(|&&step| step >= most);
            (*first.unwrap_or(&least), *last.unwrap_or(&most))
        } else {
            (0.0, most * 1.05)
        };
        Axis {
            log,
            least,
            most,
            length,
        }
    }

    /// Limits the axis to the range of the values, without zero.
    fn tight(mut self, values: impl Iterator<Item = f64> + Clone) -> Axis {
        self.least = values.clone().fold(f64::INFINITY, f64::min);
        self.most = values.fold(f64::MIN_POSITIVE, f64::max);
        self
    }

    fn at(&self, value: f64) -> f64 {
        let part = if self.log {
            (value / self.least).log10() / (self.most / self.least).log10()
        } else {
            (value - self.least) / (self.most - self.least)
        };
        part.clamp(0.0, 1.0) * self.length
    }

    fn marks(&self) -> Vec<f64> {
        if self.log {
            let mut marks = steps(self.least, self.most);
            marks.retain(|mark| (self.least..=self.most).contains(mark));
            if marks.len() > 8 {
                // Powers of ten only.
                marks.retain(|mark| (mark.log10() - mark.log10().round()).abs() < 1e-9);
            }
            return marks;
        }
        let rough = self.most / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
        let step = step
            .into_iter()
            .find(|&step| step >= rough)
            .unwrap_or(rough);
        (0..)
            .map(|mark| f64::from(mark) * step)
            .take_while(|&mark| mark <= self.most)
            .collect()
    }
}

/// Returns one, two and five of each power of ten from below `least` to above `most`.
fn steps(least: f64, most: f64) -> Vec<f64> {
    let powers = least.log10().floor() as i32..=most.log10().ceil() as i32;
    let steps = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|step| step * 10_f64.powi(power)));
    steps.collect()
}

/// Formats a number briefly.
pub(crate) fn brief(number: f64) -> String {
    match number.abs() {
        0.0 => "0".to_owned(),
        size if size >= 1e6 => format!("{}M", trim(number / 1e6)),
        size if size >= 1e4 => format!("{}k", trim(number / 1e3)),
        _ => trim(number),
    }
}

/// Formats the round number of a tick mark.
fn tick(mark: f64) -> String {
    let text = brief(mark);
    let (digits, unit) = match text.strip_suffix(['k', 'M']) {
        Some(digits) => text.split_at(digits.len()),
        None => (text.as_str(), ""),
    };
    if digits.contains('.') {
        let digits = digits.trim_end_matches('0').trim_end_matches('.');
        return format!("{digits}{unit}");
    }
    text
}

fn trim(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{:.1}", number),
        size if size >= 0.1 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

fn open(height: f64, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\" aria-label=\"{title}\">{STYLE}\n\
         <text x=\"8\" y=\"20\" font-weight=\"600\">{title}</text>\n"
    )
}

/// Draws a bar for each row; this library's bars are in the first colour.
pub(crate) fn bars(title: &str, rows: &[(String, f64, bool)], log: bool) -> String {
    let (left, top, step) = (150.0, 36.0, 24.0);
    let foot = top + step * rows.len() as f64;
    let axis = Axis::new(rows.iter().map(|row| row.1), log, WIDTH - left - 70.0);
    let mut svg = open(foot + 28.0, title);
    for mark in axis.marks() {
        let x = left + axis.at(mark);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{foot}\"/>\
             <text class=\"small\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            foot + 16.0,
            tick(mark),
        );
    }
    for (at, (name, value, ours)) in rows.iter().enumerate() {
        let y = top + step * at as f64;
        let colour = COLOURS[if *ours { 0 } else { 4 }];
        let width = axis.at(*value).max(1.0);
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text>\
             <rect x=\"{left}\" y=\"{}\" width=\"{width:.1}\" height=\"16\" rx=\"2\" fill=\"{colour}\"/>\
             <text class=\"small\" x=\"{:.1}\" y=\"{}\">{}</text>",
            left - 8.0,
            y + 16.0,
            y + 4.0,
            left + width + 6.0,
            y + 16.0,
            brief(*value),
        );
    }
    svg + "</svg>\n"
}

/// The line of one baseline: its name and its points.
pub(crate) type Line = (String, Vec<(f64, f64)>);

/// Draws lines over a logarithmic axis of depths; `y` is logarithmic too.
pub(crate) fn lines(title: &str, x_name: &str, lines: &[Line]) -> String {
    let (left, top, height, right) = (60.0, 40.0, 260.0, 150.0);
    let points = lines.iter().flat_map(|(_, points)| points.iter().copied());
    let xs = points.clone().map(|(x, _)| x);
    let x_axis = Axis::new(xs.clone(), true, WIDTH - left - right).tight(xs);
    let y_axis = Axis::new(points.map(|(_, y)| y), true, height);
    let foot = top + height;
    let mut svg = open(foot + 44.0, title);
    for mark in y_axis.marks() {
        let y = foot - y_axis.at(mark);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{left}\" y1=\"{y:.1}\" x2=\"{}\" y2=\"{y:.1}\"/>\
             <text class=\"small\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - right,
            left - 6.0,
            y + 4.0,
            tick(mark),
        );
    }
    for mark in x_axis.marks() {
        let x = left + x_axis.at(mark);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{foot}\"/>\
             <text class=\"small\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            foot + 16.0,
            tick(mark),
        );
    }
    let _ = writeln!(
        svg,
        "<text class=\"small\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{x_name}</text>",
        left + x_axis.length / 2.0,
        foot + 34.0,
    );
    for (at, (name, points)) in lines.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let mut path = String::new();
        for &(x, y) in points {
            let (x, y) = (left + x_axis.at(x), foot - y_axis.at(y));
            let _ = write!(path, "{x:.1},{y:.1} ");
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
            );
        }
        let y = top + 10.0 + 20.0 * at as f64;
        let x = WIDTH - right + 14.0;
        let _ = writeln!(
            svg,
            "<polyline class=\"line\" stroke=\"{colour}\" points=\"{}\"/>\
             <rect x=\"{x}\" y=\"{}\" width=\"14\" height=\"4\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"{}\">{name}</text>",
            path.trim_end(),
            y - 6.0,
            x + 20.0,
            y,
        );
    }
    svg + "</svg>\n"
}
