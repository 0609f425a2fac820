//! What holds of money and of events, whatever they are made of.

use order_contracts::{Currency, Line, Money, MoneyError, OrderId, OrderPlaced, Shortage, StockRejected};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use uuid::Uuid;

/// Amounts from all over the range, and from its ends.
fn amounts() -> impl Strategy<Value = Money> {
    let most = Money::MAX.minor();
    prop_oneof![0..=most, 0..=100i64, most - 100..=most].prop_map(|minor| Money::from_minor(minor).expect("in range"))
}

fn numbers() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), -3..=3i64, Just(i64::MAX), Just(i64::MIN), 0..=1_000_000i64]
}

/// What an amount of so many minor units is, reckoned with more room than it can need.
fn reference(minor: i128) -> Result<i64, MoneyError> {
    if minor < 0 {
        return Err(MoneyError::Negative);
    }
    i64::try_from(minor).ok().filter(|minor| *minor <= Money::MAX.minor()).ok_or(MoneyError::Overflow)
}

fn is_read_as_written<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) -> Result<(), TestCaseError> {
    let text = serde_json::to_string(value).expect("JSON");
    prop_assert_eq!(&serde_json::from_str::<T>(&text).expect("what was written"), value);
    Ok(())
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    prop::collection::vec((any::<String>(), any::<i64>()), 0..8)
        .prop_map(|lines| lines.iter().map(|(sku, n)| Line { sku: sku.as_str().into(), quantity: *n }).collect())
}

proptest! {
    #[test]
    fn an_amount_is_what_fits_between_nothing_and_the_most(minor in numbers()) {
        prop_assert_eq!(Money::from_minor(minor).map(Money::minor), reference(minor.into()));
    }

    #[test]
    fn money_never_overflows_silently(price in amounts(), other in amounts(), quantity in numbers()) {
        let sum = i128::from(price.minor()) + i128::from(other.minor());
        prop_assert_eq!(price.plus(other).map(Money::minor), reference(sum));
        let product = i128::from(price.minor()) * i128::from(quantity);
        let expected = if quantity < 0 { Err(MoneyError::Negative) } else { reference(product) };
        prop_assert_eq!(price.times(quantity).map(Money::minor), expected);
    }

    #[test]
    fn sums_do_not_depend_on_their_order(a in amounts(), b in amounts(), c in amounts()) {
        let left = a.plus(b).and_then(|sum| sum.plus(c));
        let right = b.plus(c).and_then(|sum| a.plus(sum));
        prop_assert_eq!(left, right);
        prop_assert_eq!(a.plus(b), b.plus(a));
    }

    #[test]
    fn an_amount_is_read_as_it_is_written_and_no_other_number_is(minor in numbers()) {
        let read: Result<Money, _> = serde_json::from_str(&minor.to_string());
        prop_assert_eq!(read.ok(), Money::from_minor(minor).ok());
        if let Ok(amount) = Money::from_minor(minor) {
            is_read_as_written(&amount)?;
        }
    }

    #[test]
    fn no_text_but_three_capital_letters_is_a_currency(text in prop_oneof![any::<String>(), "[A-Z]{3}", "[A-Za-z]{2,4}"]) {
        let well_formed = text.chars().count() == 3 && text.chars().all(|c| c.is_ascii_uppercase());
        match Currency::try_from(text.clone()) {
            Ok(currency) => {
                prop_assert!(well_formed);
                is_read_as_written(&currency)?;
            }
            Err(refused) => {
                prop_assert!(!well_formed);
                prop_assert_eq!(refused, MoneyError::BadCurrency(text));
            }
        }
    }

    #[test]
    fn what_is_written_is_what_is_read(
        id in any::<u128>(), customer in any::<String>(), method in any::<String>(), lines in lines(),
        amount_minor in amounts(), currency in "[A-Z]{3}",
    ) {
        let order_id = OrderId(Uuid::from_u128(id));
        let currency = Currency::try_from(currency).expect("a currency");
        let shortages = lines.iter().map(|l| Shortage { sku: l.sku.clone(), requested: l.quantity, available: 0 });
        is_read_as_written(&StockRejected { order_id, reason: customer.clone(), shortages: shortages.collect() })?;
        let (customer_id, payment_method) = (customer.as_str().into(), method.as_str().into());
        is_read_as_written(&OrderPlaced { order_id, customer_id, lines, amount_minor, currency, payment_method })?;
    }
}
