//! What people do to the shelf: count what is there, put something there, take something away.

use order_contracts::Sku;
use std::collections::BTreeMap;

/// The most that can be on the shelf of one article. Far from where sums of stock would overflow.
pub(crate) const MOST: i64 = 1_000_000_000_000;

/// Articles that are counted by one request at most.
const MOST_COUNTS: usize = 1_000;

const LONGEST_REASON: usize = 200;

/// What an article's shelf is to hold from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Count {
    /// The article; an unknown one becomes known.
    pub(crate) sku: Sku,
    /// How many are available; what is reserved or sold is not counted.
    pub(crate) available: i64,
}

impl Count {
    /// Checks what somebody wants set.
    ///
    /// # Errors
    /// A sentence for each thing that is wrong.
    pub(crate) fn new(sku: &str, available: i64) -> Result<Self, Vec<String>> {
        let mut wrong = bad_sku(sku);
        if !(0..=MOST).contains(&available) {
            wrong.push(format!("available: a number from 0 to {MOST}"));
        }
        if wrong.is_empty() { Ok(Self { sku: sku.into(), available }) } else { Err(wrong) }
    }
}

/// A few articles that were counted, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counts(BTreeMap<Sku, i64>);

impl From<Count> for Counts {
    fn from(count: Count) -> Self {
        Self(BTreeMap::from([(count.sku, count.available)]))
    }
}

impl Counts {
    /// Checks a list of what somebody wants set.
    ///
    /// # Errors
    /// A sentence for each thing that is wrong, with its place in the list.
    pub(crate) fn new<'a>(rows: impl ExactSizeIterator<Item = (&'a str, i64)>) -> Result<Self, Vec<String>> {
        if !(1..=MOST_COUNTS).contains(&rows.len()) {
            return Err(vec![format!("1 to {MOST_COUNTS} articles, not {}", rows.len())]);
        }
        let (mut counts, mut wrong) = (BTreeMap::new(), Vec::new());
        for (n, (sku, available)) in rows.enumerate() {
            match Count::new(sku, available) {
                Ok(count) if counts.contains_key(&count.sku) => wrong.push(format!("[{n}].sku: it was there before")),
                Ok(count) => drop(counts.insert(count.sku, count.available)),
                Err(why) => wrong.extend(why.into_iter().map(|why| format!("[{n}].{why}"))),
            }
        }
        if wrong.is_empty() { Ok(Self(counts)) } else { Err(wrong) }
    }

    /// The articles.
    pub(crate) fn skus(&self) -> Vec<&str> {
        self.0.keys().map(Sku::as_str).collect()
    }

    /// By how much each article's shelf has to change, if it has to.
    pub(crate) fn changes(&self, available: &BTreeMap<String, i64>) -> Vec<(&str, i64)> {
        let change = |sku: &Sku, counted: i64| counted - available.get(sku.as_str()).copied().unwrap_or(0);
        let changes = self.0.iter().map(|(sku, counted)| (sku.as_str(), change(sku, *counted)));
        changes.filter(|(_, change)| *change != 0).collect()
    }
}

/// Something is put on an article's shelf, or taken away from it, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Adjustment {
    pub(crate) sku: Sku,
    pub(crate) change: i64,
    pub(crate) reason: String,
}

/// What the shelf holds when something was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moved(pub(crate) i64);

/// Why nothing can be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotMoved {
    /// Nothing can be taken that is not there.
    #[error("only {available} are available")]
    TooFew {
        /// How many there are.
        available: i64,
    },
    /// There is no room for more.
    #[error("{available} are available, and there can be {MOST} at most")]
    TooMany {
        /// How many there are.
        available: i64,
    },
}

impl Adjustment {
    /// Checks what somebody wants moved.
    ///
    /// # Errors
    /// A sentence for each thing that is wrong.
    pub(crate) fn new(sku: &str, change: i64, reason: String) -> Result<Self, Vec<String>> {
        let mut wrong = bad_sku(sku);
        if change == 0 || !(-MOST..=MOST).contains(&change) {
            wrong.push(format!("change: a number from -{MOST} to {MOST}, and not 0"));
        }
        let sized = (1..=LONGEST_REASON).contains(&reason.chars().count());
        if !sized || reason.trim().is_empty() || reason.chars().any(char::is_control) {
            wrong.push(format!("reason: 1 to {LONGEST_REASON} printable characters"));
        }
        if wrong.is_empty() { Ok(Self { sku: sku.into(), change, reason }) } else { Err(wrong) }
    }

    /// What the shelf holds afterwards.
    ///
    /// # Errors
    /// When it does not hold so much, or cannot.
    pub(crate) fn of(&self, available: i64) -> Result<Moved, NotMoved> {
        match available.saturating_add(self.change) {
            ..0 => Err(NotMoved::TooFew { available }),
            after if after > MOST && self.change > 0 => Err(NotMoved::TooMany { available }),
            after => Ok(Moved(after)),
        }
    }
}

fn bad_sku(sku: &str) -> Vec<String> {
    if Sku::is_well_formed(sku) { Vec::new() } else { vec![format!("sku: {}", Sku::FORM)] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stock_is_set_to_a_number_that_can_be_counted() {
        assert!(Count::new("MUG-STONE", 0).is_ok() && Count::new("MUG-STONE", MOST).is_ok());
        assert_eq!(Count::new("", -1).map_err(|wrong| wrong.len()), Err(2));
        assert!(Count::new("MUG-STONE", MOST + 1).is_err());
        assert!(Count::new(&"M".repeat(65), 1).is_err() && Count::new("MUG STONE", 1).is_err());
    }

    #[test]
    fn everything_wrong_in_a_list_is_said_with_its_place() {
        let rows = [("MUG", 1), ("no pot", -1), ("MUG", 1), ("TEA", 0)];
        let wrong = Counts::new(rows.into_iter()).expect_err("three things are wrong");
        let places: Vec<&str> = wrong.iter().filter_map(|why| why.split(':').next()).collect();
        assert_eq!(places, ["[1].sku", "[1].available", "[2].sku"]);
        assert!(Counts::new([].into_iter()).is_err());
        assert!(Counts::new(vec![("MUG", 1); 1_001].into_iter()).is_err());
    }

    #[test]
    fn what_is_as_it_was_counted_does_not_change() {
        let counts = Counts::new([("MUG", 5), ("NEW", 7), ("TEA", 1), ("NONE", 0)].into_iter()).expect("counts");
        let available = BTreeMap::from([("MUG".to_owned(), 5), ("TEA".to_owned(), 3)]);
        assert_eq!(counts.changes(&available), [("NEW", 7), ("TEA", -2)]);
    }

    #[test]
    fn nothing_is_taken_that_is_not_there_and_no_reason_is_none() {
        let adjustment = |change, reason: &str| Adjustment::new("MUG", change, reason.to_owned());
        let taken = adjustment(-3, "breakage").expect("an adjustment");
        assert_eq!((taken.of(3), taken.of(2)), (Ok(Moved(0)), Err(NotMoved::TooFew { available: 2 })));
        let put = adjustment(1, "delivery").expect("an adjustment");
        assert_eq!(put.of(MOST), Err(NotMoved::TooMany { available: MOST }));
        for (change, reason) in [(0, "x"), (1, ""), (1, " "), (1, "a\0b"), (i64::MIN, "x"), (MOST + 1, "x")] {
            assert!(adjustment(change, reason).is_err(), "{change} {reason:?}");
        }
        assert!(adjustment(1, &"ü".repeat(200)).is_ok() && adjustment(1, &"ü".repeat(201)).is_err());
    }
}
