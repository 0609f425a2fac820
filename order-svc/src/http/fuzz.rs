//! Whatever is posted as an order: an order that can be priced, or a refusal that says why.

use super::place::NewOrder;
use crate::domain::{Price, WantedLine, check, price, wait_seconds};
use axum::Json;
use axum::http::{HeaderMap, HeaderValue};
use order_contracts::Money;
use saga_common::http::request_key;
use saga_fuzz::bytes::Bytes;
use saga_fuzz::{Dice, bytes, fuzz, json};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn order(dice: &mut Dice) -> Bytes {
    let item = |dice: &mut Dice| json!({"sku": dice.pick(&["MUG", "GOLD", "NONE"]), "quantity": 1 + dice.below(5)});
    let items: Vec<Value> = (0..1 + dice.below(3)).map(|_| item(dice)).collect();
    let method = dice.pick(&["wallet", "pm_card_visa"]);
    json::spoiled(dice, &json!({"customer_id": "anna", "currency": "EUR", "items": items, "payment_method": method}))
}

fn placed(prices: &BTreeMap<String, Price>, body: &[u8]) -> &'static str {
    let Json(order) = match Json::<NewOrder>::from_bytes(body) {
        Ok(order) => order,
        Err(rejection) => {
            assert!([400, 422].contains(&rejection.status().as_u16()), "{rejection}");
            return "no order";
        }
    };
    let order = serde_json::to_value(&order).expect("an order is written");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let lines: Vec<WantedLine> = order["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| WantedLine { sku: text(&item["sku"]), quantity: item["quantity"].as_i64().expect("a number") })
        .collect();
    // Who is not named is the caller.
    let customer = order.get("customer_id").map_or_else(|| "anna".to_owned(), text);
    let [currency, method] = ["currency", "payment_method"].map(|field| text(&order[field]));
    let wrong = check(&customer, &currency, &method, &lines);
    if !wrong.is_empty() {
        assert!(wrong.len() <= 500 && wrong.iter().all(|sentence| sentence.len() < 30_000));
        return "bad order";
    }
    match price(&currency, &lines, prices) {
        Ok((priced, total)) => {
            let parts = priced.iter().map(|line| i128::from(line.unit_price.minor()) * i128::from(line.quantity));
            assert_eq!(parts.sum::<i128>(), i128::from(total.minor()));
            "order"
        }
        Err(wrong) => {
            assert!(!wrong.is_empty());
            "no price"
        }
    }
}

#[test]
fn fuzz_orders() {
    let price =
        |minor: i64| Price { unit_price: Money::from_minor(minor).expect("an amount"), currency: "EUR".to_owned() };
    let prices = BTreeMap::from([("MUG".to_owned(), price(1_800)), ("GOLD".to_owned(), price(Money::MAX.minor()))]);
    let outcomes = fuzz("orders", 10_000, order, |Bytes(body)| placed(&prices, body));
    assert_eq!(outcomes.len(), 4, "all were met: {outcomes:?}");
}

#[test]
fn fuzz_headers() {
    let header = |dice: &mut Dice| {
        let valid = dice.pick(&["\"a-1\"", "a-1", "respond-async, wait=5", "wait=10;x=1"]);
        String::from_utf8_lossy(&bytes::spoiled(dice, valid.as_bytes()).0).into_owned()
    };
    let outcomes = fuzz("headers", 10_000, header, |header| {
        assert!(wait_seconds(header).is_none_or(|seconds| seconds <= 60));
        // HTTP itself does not carry every text.
        let Ok(value) = HeaderValue::from_bytes(header.as_bytes()) else { return "no header" };
        match request_key(&HeaderMap::from_iter([("idempotency-key".parse().expect("a name"), value)])) {
            Ok(key) => {
                let key = key.expect("the header is there");
                assert!((1..=255).contains(&key.len()) && key.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
                "key"
            }
            Err(refused) => {
                assert!(format!("{refused:?}").len() < 400);
                "no key"
            }
        }
    });
    assert_eq!(outcomes.len(), 3, "{outcomes:?}");
}
