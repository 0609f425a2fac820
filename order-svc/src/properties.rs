//! What holds of orders, whatever is in them.

use crate::domain::{MOST_LINES, Price, PricedLine, WantedLine, check, merged, price, wait_seconds};
use axum::http::{HeaderMap, HeaderValue, header::HeaderName};
use order_contracts::{Line, Money, Sku};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The key of a request with this header.
fn request_key(header: &str) -> Option<String> {
    let value = HeaderValue::from_str(header).ok()?;
    let headers = HeaderMap::from_iter([(HeaderName::from_static("idempotency-key"), value)]);
    saga_common::http::request_key(&headers).ok().flatten()
}

/// Few articles, so that lines are of the same and of unknown ones.
fn lines() -> impl Strategy<Value = Vec<WantedLine>> {
    let quantities = prop_oneof![4 => 1..=1_000_000i64, 1 => any::<i64>()];
    vec(("[A-D]", quantities).prop_map(|(sku, quantity)| WantedLine { sku, quantity }), 0..20)
}

fn prices() -> impl Strategy<Value = BTreeMap<String, Price>> {
    let most = Money::MAX.minor();
    let amounts = prop_oneof![4 => 0..=100_000i64, 1 => 0..=most, 1 => Just(most)];
    let price = amounts.prop_map(|minor| Price {
        unit_price: Money::from_minor(minor).expect("in range"),
        currency: "EUR".to_owned(),
    });
    vec(price, 4).prop_map(|prices| ["A", "B", "C", "D"].map(str::to_owned).into_iter().zip(prices).collect())
}

fn one(sku: &str, quantity: i64, minor: i64) -> PricedLine {
    PricedLine { sku: sku.into(), quantity, unit_price: Money::from_minor(minor).expect("in range") }
}

proptest! {
    #[test]
    fn the_total_is_the_sum_of_the_lines_or_there_is_no_order(lines in lines(), prices in prices()) {
        let parts = lines.iter().map(|line| i128::from(prices[&line.sku].unit_price.minor()) * i128::from(line.quantity));
        let sum: i128 = parts.clone().sum();
        let fits = sum <= i128::from(Money::MAX.minor()) && lines.iter().all(|line| line.quantity >= 0);
        match price("EUR", &lines, &prices) {
            Ok((priced, total)) => {
                prop_assert!(fits);
                prop_assert_eq!(i128::from(total.minor()), sum);
                prop_assert_eq!(priced.len(), lines.len());
                for (priced, wanted) in priced.iter().zip(&lines) {
                    prop_assert_eq!((priced.sku.as_str(), priced.quantity), (wanted.sku.as_str(), wanted.quantity));
                    prop_assert_eq!(priced.unit_price, prices[&wanted.sku].unit_price);
                }
            }
            Err(wrong) => prop_assert!(!fits && !wrong.is_empty()),
        }
    }

    #[test]
    fn every_line_without_a_price_is_named(lines in lines(), prices in prices()) {
        let known: BTreeMap<_, _> = prices.into_iter().filter(|(sku, _)| sku != "D").collect();
        let unknown = lines.iter().filter(|line| line.sku == "D").count();
        let wrong = price("EUR", &lines, &known).err().unwrap_or_default();
        prop_assert_eq!(wrong.iter().filter(|sentence| sentence.contains("there is no product `D`")).count(), unknown);
        let foreign = price("USD", &lines, &known).err().unwrap_or_default();
        prop_assert_eq!(foreign.len(), lines.len());
    }

    #[test]
    fn merging_lines_loses_no_piece_and_names_each_article_once(lines in vec(("[A-D]", 1..=1_000_000i64), 0..=MOST_LINES)) {
        let lines: Vec<PricedLine> = lines.iter().map(|(sku, quantity)| one(sku, *quantity, 1)).collect();
        let merged = merged(lines.iter().map(PricedLine::pieces));
        prop_assert!(merged.windows(2).all(|two| two[0].sku < two[1].sku));
        let of = |sku: &Sku| lines.iter().filter(|line| line.sku == *sku).map(|line| line.quantity).sum::<i64>();
        let expected: Vec<Line> =
            merged.iter().map(|line| Line { sku: line.sku.clone(), quantity: of(&line.sku) }).collect();
        prop_assert_eq!(&merged, &expected);
        let pieces = |quantities: &mut dyn Iterator<Item = i64>| quantities.sum::<i64>();
        prop_assert_eq!(pieces(&mut merged.iter().map(|l| l.quantity)), pieces(&mut lines.iter().map(|l| l.quantity)));
    }

    #[test]
    fn an_order_that_passes_holds_nothing_the_database_refuses(
        customer in any::<String>(), method in "(wallet|pm_[a-z_]{0,5}|.{0,5})", lines in lines(), sku in any::<String>(),
    ) {
        let lines = [lines, vec![WantedLine { sku, quantity: 1 }]].concat();
        if check(&customer, "EUR", &method, &lines).is_empty() {
            let texts = [&customer, &method].into_iter().chain(lines.iter().map(|line| &line.sku));
            prop_assert!(texts.into_iter().all(|text| !text.contains('\0')));
            prop_assert!(lines.iter().all(|line| (1..=1_000_000).contains(&line.quantity)));
            prop_assert!(!customer.trim().is_empty() && customer.len() <= 100);
        }
    }

    #[test]
    fn a_request_key_is_the_same_with_and_without_quotes(key in "[ !#-\\[\\]-~]{0,260}") {
        let (bare, quoted) = (request_key(&key), request_key(&format!("\"{key}\"")));
        if key.trim() == key {
            prop_assert_eq!(&bare, &quoted);
        }
        prop_assert_eq!(quoted.is_some(), (1..=255).contains(&key.len()));
    }

    #[test]
    fn no_header_makes_anybody_wait_for_longer_than_a_minute(header in "(.*|(wait=[0-9]{0,25}[,; ]*)*)", seconds in any::<u64>()) {
        prop_assert!(wait_seconds(&header).is_none_or(|seconds| seconds <= 60));
        prop_assert_eq!(wait_seconds(&format!("respond-async, wait={seconds}")), Some(seconds.min(60)));
    }
}
