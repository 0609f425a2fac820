//! A catalogue as a CSV file: RFC 4180, a header, columns in any order. What is wrong with it is said by line.

use std::collections::HashMap;
use std::io::Read;

use csv::{ByteRecord, ReaderBuilder};

use crate::client::Product;

/// The columns; the last one may be missing, or empty in a row.
pub(super) const COLUMNS: [&str; 5] = ["sku", "name", "unit_price_minor", "currency", "available"];
const REQUIRED: usize = 4;

/// Bad lines that are told; the others are counted.
pub(super) const TOLD: usize = 100;

/// The services refuse more.
const MOST_AVAILABLE: i64 = 1_000_000_000_000;
/// What JSON carries without loss.
const MOST_MONEY: i64 = 9_007_199_254_740_991;
const LONGEST_SKU: usize = 64;
const LONGEST_NAME: usize = 200;

/// A row that can be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Where it begins.
    pub(super) line: u64,
    pub(super) product: Product,
    /// `None`: the file does not say, and the stock stays as it is.
    pub(super) available: Option<i64>,
}

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    /// In the order of the file, each article once.
    pub(super) rows: Vec<Row>,
    /// How many rows there are beside them.
    pub(super) bad: u64,
    /// What is wrong with the first of those.
    pub(super) wrong: Vec<String>,
}

/// Where the columns are.
struct Header {
    /// By the place of the name in [`COLUMNS`].
    places: [Option<usize>; COLUMNS.len()],
    width: usize,
}

impl Sheet {
    /// Reads a whole file.
    ///
    /// # Errors
    /// When it cannot be read, or its first line is no header: what its rows mean is not known then.
    pub(super) fn read(mut file: impl Read) -> Result<Self, String> {
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(|error| error.to_string())?;
        // The reader says the line before, where lines end with two characters.
        let carriage_returns = |at: usize| text.get(at) == Some(&b'\r') && text.get(at + 1) == Some(&b'\n');
        let text: Vec<u8> = (0..text.len()).filter(|at| !carriage_returns(*at)).map(|at| text[at]).collect();
        // A row of another length is a bad row, not the end of reading.
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(text.as_slice());
        let header = Header::read(reader.byte_headers().map_err(|error| error.to_string())?)?;
        let (mut sheet, mut lines, mut record) = (Self::default(), HashMap::new(), ByteRecord::new());
        while reader.read_byte_record(&mut record).map_err(|error| error.to_string())? {
            let line = record.position().map_or(0, csv::Position::line);
            match header.row(&record, line) {
                Ok(row) => match lines.insert(row.product.sku.clone(), line) {
                    None => sheet.rows.push(row),
                    Some(first) => {
                        let wrong = format!("sku: {} is in line {first} already", row.product.sku);
                        lines.insert(row.product.sku, first);
                        sheet.refuse(line, &[wrong]);
                    }
                },
                Err(wrong) => sheet.refuse(line, &wrong),
            }
        }
        Ok(sheet)
    }

    fn refuse(&mut self, line: u64, wrong: &[String]) {
        self.bad += 1;
        if self.wrong.len() < TOLD {
            self.wrong.push(format!("line {line}: {}", wrong.join("; ")));
        }
    }
}

impl Header {
    fn read(record: &ByteRecord) -> Result<Self, String> {
        let names: Vec<String> = record.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        let mut places = [None; COLUMNS.len()];
        for (place, name) in names.iter().enumerate() {
            let Some(column) = COLUMNS.iter().position(|column| column == name) else {
                return Err(format!("line 1: there is no column `{name}`: the columns are {}", COLUMNS.join(",")));
            };
            if places[column].replace(place).is_some() {
                return Err(format!("line 1: the column `{name}` is there twice"));
            }
        }
        let missing: Vec<&str> = (0..REQUIRED).filter(|n| places[*n].is_none()).map(|n| COLUMNS[n]).collect();
        if !missing.is_empty() {
            return Err(format!("line 1: the header lacks {}", missing.join(", ")));
        }
        Ok(Self { places, width: names.len() })
    }

    /// Reads a row, or says everything that is wrong with it.
    fn row(&self, record: &ByteRecord, line: u64) -> Result<Row, Vec<String>> {
        if record.len() != self.width {
            return Err(vec![format!("{} fields, where the header has {}", record.len(), self.width)]);
        }
        let mut wrong = Vec::new();
        let mut fields = [""; COLUMNS.len()];
        for (column, place) in self.places.iter().enumerate() {
            let bytes = place.and_then(|place| record.get(place)).unwrap_or_default();
            match std::str::from_utf8(bytes) {
                Ok(text) => fields[column] = text,
                Err(_) => wrong.push(format!("{}: not UTF-8", COLUMNS[column])),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let [sku, name, price, currency, available] = fields;
        let mut number = |column: &str, text: &str, most: i64| match text.parse::<i64>() {
            Ok(number) if (0..=most).contains(&number) => number,
            _ => {
                wrong.push(format!("{column}: `{}` is no whole number from 0 to {most}", shortened(text)));
                0
            }
        };
        let unit_price_minor = number("unit_price_minor", price, MOST_MONEY);
        let available = if available.is_empty() { None } else { Some(number("available", available, MOST_AVAILABLE)) };
        if !is_sku(sku) {
            wrong.push(format!(
                "sku: `{}` is not 1 to {LONGEST_SKU} letters, digits, dashes, dots or underscores (no dot first, and not \
                 `import`)",
                shortened(sku)
            ));
        }
        let sized = (1..=LONGEST_NAME).contains(&name.chars().count());
        if !sized || name.trim().is_empty() || name.chars().any(char::is_control) {
            wrong.push(format!("name: `{}` is not 1 to {LONGEST_NAME} printable characters", shortened(name)));
        }
        if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            wrong.push(format!("currency: `{}` is not three capital letters", shortened(currency)));
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let (sku, name, currency) = (sku.to_owned(), name.to_owned(), currency.to_owned());
        Ok(Row { line, product: Product { sku, name, unit_price_minor, currency }, available })
    }
}

fn is_sku(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let sized = (1..=LONGEST_SKU).contains(&text.len());
    sized && text.bytes().all(fits) && !text.starts_with('.') && text != "import"
}

/// As much of a bad field as tells which it is, on one line.
fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() {
        short.push_str("..");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Sheet {
        Sheet::read(text.as_bytes()).expect("a header")
    }

    #[test]
    fn columns_come_in_any_order_and_the_stock_may_be_left_out() {
        let sheet = read(
            "currency,available,name,unit_price_minor,sku\r\nEUR,5,\"A mug, \"\"blue\"\"\",1800,MUG\r\nEUR,,Tee,0,TEA\r\n",
        );
        assert_eq!(sheet.bad, 0, "{:?}", sheet.wrong);
        assert_eq!((sheet.rows[0].product.name.as_str(), sheet.rows[0].available), ("A mug, \"blue\"", Some(5)));
        assert_eq!((sheet.rows[1].line, sheet.rows[1].available), (3, None));
        assert_eq!(read("sku,name,unit_price_minor,currency\nMUG,Mug,1,EUR").rows.len(), 1);
        assert_eq!(
            read("\u{feff}sku,name,unit_price_minor,currency\nMUG,Mug,1,EUR").rows.len(),
            1,
            "as Excel writes it"
        );
    }

    #[test]
    fn everything_wrong_is_said_by_line_also_behind_a_field_of_two_lines() {
        let sheet = read(
            "sku,name,unit_price_minor,currency,available\n\
             MUG,Mug,1800,EUR,1\n\
             POT,\"two\nlines\",1,EUR,1\n\
             no pot,,1.5,eur,-1\n\
             MUG,Mug,1800,EUR,1\n\
             TEA,Tea,1\n",
        );
        assert_eq!((sheet.rows.len(), sheet.bad), (1, 4));
        let begins: Vec<&str> = sheet.wrong.iter().map(|wrong| wrong.get(..12).unwrap_or_default()).collect();
        assert_eq!(begins, ["line 3: name", "line 5: unit", "line 6: sku:", "line 7: 3 fi"]);
        assert_eq!(sheet.wrong[1].matches("; ").count(), 4, "{}", sheet.wrong[1]);
        assert_eq!(sheet.wrong[2], "line 6: sku: MUG is in line 2 already");
    }

    #[test]
    fn what_is_no_text_is_bad_and_what_has_no_header_is_no_catalogue() {
        let sheet = Sheet::read(&b"sku,name,unit_price_minor,currency\nMUG,M\xfcg,1,EUR\nTEA,Tea,1,EUR\n"[..])
            .expect("a header");
        assert_eq!((sheet.rows.len(), sheet.wrong), (1, vec!["line 2: name: not UTF-8".to_owned()]));
        for (text, why) in [
            ("", "lacks sku, name"),
            ("sku,name,currency\n", "lacks unit_price_minor"),
            ("sku,name,unit_price_minor,currency,colour\n", "no column `colour`"),
            ("sku,sku,name,unit_price_minor,currency\n", "`sku` is there twice"),
        ] {
            let error = Sheet::read(text.as_bytes()).expect_err("no header");
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn of_many_bad_lines_the_first_are_told_and_all_are_counted() {
        let text = "sku,name,unit_price_minor,currency\n".to_owned() + &",,,\n".repeat(5_000);
        let sheet = read(&text);
        assert_eq!((sheet.bad, sheet.wrong.len()), (5_000, TOLD));
    }
}
