//! The rules of an order, without any I/O.

use order_contracts::{Currency, Money, PaymentMethod, Sku};
use saga_common::Failure;
use std::collections::BTreeMap;

/// Most lines an order may have.
pub(crate) const MOST_LINES: usize = 200;
const MOST_OF_ONE: i64 = 1_000_000;
const LONGEST_NAME: usize = 100;

/// A line as the customer wrote it.
#[derive(Debug, Clone)]
pub(crate) struct WantedLine {
    pub(crate) sku: String,
    pub(crate) quantity: i64,
}

/// A line with its price at the time of ordering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PricedLine {
    pub(crate) sku: Sku,
    pub(crate) quantity: i64,
    pub(crate) unit_price: Money,
}

impl PricedLine {
    /// What, and how many.
    pub(crate) fn pieces(&self) -> (Sku, i64) {
        (self.sku.clone(), self.quantity)
    }
}

/// A product's price.
#[derive(Debug, Clone)]
pub(crate) struct Price {
    pub(crate) unit_price: Money,
    pub(crate) currency: String,
}

/// Prices by SKU; articles that are not on the list are missing.
pub(crate) type PriceList = BTreeMap<String, Price>;

/// What is checked before any price is looked up: everything that is wrong, not only the first.
pub(crate) fn check(customer: &str, currency: &str, method: &str, lines: &[WantedLine]) -> Vec<String> {
    let mut wrong = Vec::new();
    if customer.trim().is_empty() || customer.len() > LONGEST_NAME || customer.chars().any(char::is_control) {
        wrong.push(format!("customer_id must have 1 to {LONGEST_NAME} printable characters"));
    }
    if let Err(bad) = Currency::try_from(currency.to_owned()) {
        wrong.push(format!("currency: {bad}"));
    }
    let card = |name: &str| {
        (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    if !PaymentMethod::from(method).is_wallet() && !method.strip_prefix("pm_").is_some_and(card) {
        wrong.push("payment_method must be `wallet` or a card such as `pm_card_visa`".to_owned());
    }
    if lines.is_empty() || lines.len() > MOST_LINES {
        wrong.push(format!("items must have 1 to {MOST_LINES} lines, not {}", lines.len()));
    }
    for (n, line) in lines.iter().enumerate().take(MOST_LINES) {
        // PostgreSQL takes no NUL in a text.
        if line.sku.contains('\0') {
            wrong.push(format!("items[{n}].sku must not contain NUL"));
        }
        if !(1..=MOST_OF_ONE).contains(&line.quantity) {
            wrong.push(format!("items[{n}].quantity must be 1 to {MOST_OF_ONE}, not {}", line.quantity));
        }
    }
    wrong
}

/// Prices the lines and adds them up.
pub(crate) fn price(
    currency: &str,
    lines: &[WantedLine],
    prices: &PriceList,
) -> Result<(Vec<PricedLine>, Money), Vec<String>> {
    let (mut priced, mut wrong, mut total) = (Vec::with_capacity(lines.len()), Vec::new(), Ok(Money::ZERO));
    for (n, line) in lines.iter().enumerate() {
        match prices.get(&line.sku) {
            None => wrong.push(format!("items[{n}].sku: there is no product `{}`", line.sku)),
            Some(price) if price.currency != currency => {
                wrong.push(format!("items[{n}].sku: `{}` is sold in {}, not in {currency}", line.sku, price.currency));
            }
            Some(price) => {
                total = total.and_then(|sum| sum.plus(price.unit_price.times(line.quantity)?));
                priced.push(PricedLine {
                    sku: Sku(line.sku.clone()),
                    quantity: line.quantity,
                    unit_price: price.unit_price,
                });
            }
        }
    }
    match total {
        Ok(total) if wrong.is_empty() => Ok((priced, total)),
        Ok(_) => Err(wrong),
        Err(error) => {
            wrong.push(format!("the order's total: {error}"));
            Err(wrong)
        }
    }
}

/// The lines as inventory needs them: each article once.
pub(crate) fn merged(lines: impl IntoIterator<Item = (Sku, i64)>) -> Vec<order_contracts::Line> {
    let mut quantities: BTreeMap<Sku, i64> = BTreeMap::new();
    for (sku, quantity) in lines {
        // 200 lines of a million at most: no overflow.
        *quantities.entry(sku).or_default() += quantity;
    }
    quantities.into_iter().map(|(sku, quantity)| order_contracts::Line { sku, quantity }).collect()
}

/// The seconds of `Prefer: wait=N` (RFC 7240), at most 60.
pub(crate) fn wait_seconds(prefer: &str) -> Option<u64> {
    let wait = prefer.split([',', ';']).find_map(|p| p.trim().strip_prefix("wait="))?;
    wait.trim().parse::<u64>().ok().map(|seconds| seconds.min(60))
}

/// The reason an order keeps, from the failure that ended it.
pub(crate) fn reason_of(failure: &Failure) -> String {
    let what = failure.event_type.rsplit_once(".v").map_or(failure.event_type.as_str(), |(name, _)| name);
    match &failure.reason {
        Some(reason) if what == "order.cancelling" => reason.clone(),
        Some(reason) => format!("{what}: {reason}"),
        None if what.is_empty() => "failed".to_owned(),
        None => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sku: &str, quantity: i64) -> WantedLine {
        WantedLine { sku: sku.to_owned(), quantity }
    }

    fn prices() -> BTreeMap<String, Price> {
        let price = |minor, currency: &str| Price {
            unit_price: Money::from_minor(minor).expect("an amount"),
            currency: currency.to_owned(),
        };
        BTreeMap::from([
            ("MUG".to_owned(), price(1_800, "EUR")),
            ("GOLD".to_owned(), price(9_007_199_254_740_991, "EUR")),
            ("BAGEL".to_owned(), price(300, "USD")),
        ])
    }

    #[test]
    fn everything_wrong_with_a_request_is_said_at_once() {
        let wrong = check(" ", "eur", "cash", &[line("MUG", 0), line("MUG", 1)]);
        assert_eq!(wrong.len(), 4, "{wrong:?}");
        assert!(check("anna", "EUR", "pm_card_visa", &[line("MUG", 1)]).is_empty());
        assert!(!check("anna", "EUR", "wallet", &[]).is_empty());
        assert!(!check("anna", "EUR", "wallet", &[line("MU\0G", 1)]).is_empty());
        assert!(!check("an\0na", "EUR", "wallet", &[line("MUG", 1)]).is_empty());
        assert!(!check("anna", "EUR", "wallet", &vec![line("MUG", 1); 201]).is_empty());
        assert!(check("anna", "EUR", "wallet", &vec![line("MUG", 1); 200]).is_empty());
    }

    #[test]
    fn prices_are_ours_and_add_up_without_wrapping() {
        let (lines, total) = price("EUR", &[line("MUG", 2), line("MUG", 1)], &prices()).expect("priced");
        assert_eq!(total.minor(), 5_400);
        assert_eq!(
            merged(lines.iter().map(PricedLine::pieces)),
            [order_contracts::Line { sku: "MUG".into(), quantity: 3 }]
        );
        for refused in [line("NONE", 1), line("BAGEL", 1), line("GOLD", 2)] {
            assert!(price("EUR", &[refused], &prices()).is_err());
        }
    }

    #[test]
    fn prefer_wait_is_found_among_other_preferences() {
        assert_eq!(wait_seconds("respond-async, wait=5"), Some(5));
        assert_eq!(wait_seconds("wait=3600"), Some(60));
        assert_eq!(wait_seconds("return=minimal"), None);
    }
}
