//! How things look to people.

use chrono::{DateTime, Utc};
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};

/// Columns that are copied, or read at a glance: rather wider than the terminal than broken over lines.
const WHOLE: [&str; 5] = ["message", "order", "amount", "+ms", "took"];

/// A table with these headings, as wide as the terminal at most; columns named in `numbers` are aligned to the right.
pub(crate) fn table<const N: usize>(headings: [&str; N], numbers: &[&str]) -> Table {
    let mut table = fitted();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(headings);
    for (index, heading) in headings.iter().enumerate() {
        let Some(column) = table.column_mut(index) else { continue };
        if numbers.contains(heading) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        if numbers.contains(heading) || WHOLE.contains(heading) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table
}

/// A table that breaks the lines of its cells where the terminal ends. What goes to a file or a pipe is not broken.
pub(crate) fn fitted() -> Table {
    let mut table = Table::new();
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(columns) = columns() {
        table.set_width(columns);
    }
    table
}

/// The width of the terminal that is written to; `COLUMNS` has the last word.
fn columns() -> Option<u16> {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    said.or_else(|| terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| width.0))
}

/// An amount with its currency, such as `12.90 EUR`.
pub(super) fn money(amount_minor: i64, currency: &str) -> String {
    // ISO 4217: most currencies have 100 minor units, these have others.
    let digits = match currency {
        "JPY" | "KRW" | "CLP" | "ISK" | "VND" | "XAF" | "XOF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    };
    let unit = 10_u64.pow(digits);
    let (sign, amount) = (if amount_minor < 0 { "-" } else { "" }, amount_minor.unsigned_abs());
    match digits {
        0 => format!("{sign}{amount} {currency}"),
        _ => format!("{sign}{}.{:0width$} {currency}", amount / unit, amount % unit, width = digits as usize),
    }
}

/// A moment to the second, UTC.
pub(super) fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_digits_of_their_currency() {
        assert_eq!(money(1290, "EUR"), "12.90 EUR");
        assert_eq!(money(-5, "EUR"), "-0.05 EUR");
        assert_eq!(money(1290, "JPY"), "1290 JPY");
        assert_eq!(money(1290, "KWD"), "1.290 KWD");
    }
}
