//! Which orders are placed: a pure function of the seed and the order's number.

use super::dice::Dice;
use crate::client::{Item, NewOrder};

/// Articles that never run out.
pub const IN_STOCK: [&str; 8] = [
    "TEA-SENCHA-100",
    "TEA-EARLGREY-100",
    "COFFEE-ETH-250",
    "COFFEE-DECAF-250",
    "KETTLE-GOOSE",
    "MUG-STONE",
    "FILTER-V60-100",
    "SCALE-01",
];
/// There is none of it.
const OUT_OF_STOCK: &str = "TEAPOT-CAST";
/// Her wallet is empty.
const POOR: &str = "poor-paula";
const CUSTOMERS: u64 = 100;

/// An order to be placed, and what its customer does besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Its number.
    pub n: u64,
    /// Its Idempotency-Key, which no other order has.
    pub key: String,
    /// The order.
    pub order: NewOrder,
    /// How long the customer wants to wait for the end.
    pub wait_seconds: Option<u32>,
    /// When the customer changes their mind, in milliseconds after being told that it is placed.
    pub cancel_after_ms: Option<u64>,
    /// Does it come back once it is delivered?
    pub comes_back: bool,
}

/// Everybody who can pay from a wallet.
pub fn customers() -> impl Iterator<Item = String> {
    (0..CUSTOMERS).map(|n| format!("chaos-{n:03}"))
}

/// The order of this number.
#[must_use]
pub fn wish(seed: u64, n: u64) -> Wish {
    let mut dice = Dice::new(seed, n.wrapping_add(1_000));
    let mut order = NewOrder {
        customer_id: format!("chaos-{:03}", dice.between(0, CUSTOMERS - 1)),
        currency: "EUR".to_owned(),
        items: items(&mut dice),
        payment_method: "wallet".to_owned(),
    };
    let mut pays_with = |method: &str| method.clone_into(&mut order.payment_method);
    match dice.between(0, 999) {
        0..40 => POOR.clone_into(&mut order.customer_id),
        40..80 => order.items.push(Item { sku: OUT_OF_STOCK.to_owned(), quantity: 1 }),
        80..250 => pays_with("pm_card_visa"),
        250..280 => pays_with("pm_card_chargeDeclined"),
        280..305 => pays_with("pm_card_chargeDeclinedInsufficientFunds"),
        305..335 => pays_with("pm_card_sandboxErrorAfterCharge"),
        335..340 => pays_with("pm_card_sandboxTimeout"),
        340..350 => pays_with("pm_card_sandboxSlow"),
        _ => {}
    }
    let cancel_after_ms = dice.percent(8).then(|| dice.between(0, 400));
    let wait_seconds = dice.percent(5).then_some(2);
    let comes_back = dice.percent(8);
    Wish { n, key: format!("chaos-{seed}-{n}"), order, wait_seconds, cancel_after_ms, comes_back }
}

/// One to four articles, each once.
fn items(dice: &mut Dice) -> Vec<Item> {
    let mut skus = IN_STOCK;
    dice.shuffle(&mut skus);
    let lines = dice.between(1, 4);
    let item = |(_, sku): (u64, &str)| Item { sku: sku.to_owned(), quantity: 1 };
    let mut items: Vec<Item> = (0..lines).zip(skus).map(item).collect();
    for item in &mut items {
        item.quantity = u32::try_from(dice.between(1, 3)).unwrap_or(1);
    }
    items
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_number_is_the_same_order_and_every_way_to_end_is_in_the_mix() {
        let wishes: Vec<Wish> = (0..2_000).map(|n| wish(5, n)).collect();
        assert_eq!(wishes, (0..2_000).map(|n| wish(5, n)).collect::<Vec<_>>());
        let methods: BTreeSet<&str> = wishes.iter().map(|it| it.order.payment_method.as_str()).collect();
        assert_eq!(methods.len(), 7, "{methods:?}");
        assert!(wishes.iter().any(|it| it.order.customer_id == POOR));
        assert!(wishes.iter().any(|it| it.order.items.iter().any(|item| item.sku == OUT_OF_STOCK)));
        assert!(wishes.iter().any(|it| it.cancel_after_ms.is_some()));
        assert!(wishes.iter().any(|it| it.comes_back && it.order.payment_method == "wallet"));
        assert!(wishes.iter().any(|it| it.comes_back && it.order.payment_method == "pm_card_visa"));
        assert_eq!(wishes.iter().map(|it| &it.key).collect::<BTreeSet<_>>().len(), 2_000);
    }
}
