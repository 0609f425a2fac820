//! How things look to people.

use chrono::{DateTime, Utc};
use comfy_table::{CellAlignment, Table, presets};

/// A table with these headings; columns named in `numbers` are aligned to the right.
pub(super) fn table<const N: usize>(headings: [&str; N], numbers: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(headings);
    for (index, heading) in headings.iter().enumerate() {
        if let (true, Some(column)) = (numbers.contains(heading), table.column_mut(index)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
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
