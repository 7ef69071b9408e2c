//! The column EVENTS of `aio who`.

use core::fmt::{self, Write};

/// The width of the column: a space, and a range of two numbers of seven digits.
pub(super) const WIDTH: usize = 16;

/// Writes a number, or a range of numbers, that ends at the end of the column. What is too
/// long for it is still separated from the column before.
pub(super) fn write_range(out: &mut impl Write, least: u64, most: u64) -> fmt::Result {
    out.write_char(' ')?;
    let width = WIDTH - 1;
    if least == most {
        return write!(out, "{most:>width$}");
    }
    let digits = 1 + most.checked_ilog10().unwrap_or(0) as usize;
    let width = width.saturating_sub(digits + 1);
    write!(out, "{least:>width$}-{most}")
}
