//! Requests that are almost valid, sent to the real service: never its fault, always told why, and nothing half-done.

use crate::{Outcome, Shop};
use reqwest::{Client, RequestBuilder};
use saga_fuzz::{Dice, bytes, json};
use sagactl::client::Service;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const REQUESTS: u64 = 300;

fn order(dice: &mut Dice) -> Vec<u8> {
    let sku = dice.pick(&["MUG-STONE", "MUG-STONE", "NO-SUCH"]);
    let valid = json!({"customer_id": dice.pick(&["anna", "bob"]), "currency": "EUR",
                       "items": [{"sku": sku, "quantity": 1 + dice.below(3)}, {"sku": "MUG-STONE", "quantity": 1}],
                       "payment_method": dice.pick(&["wallet", "pm_card_visa"])});
    json::spoiled(dice, &valid).0
}

/// A header's value with something wrong at times: what HTTP itself does not carry is left out.
fn header(dice: &mut Dice, valid: &str) -> Vec<u8> {
    let value = if dice.one_in(2) { bytes::spoiled(dice, valid.as_bytes()).0 } else { valid.as_bytes().to_vec() };
    value.into_iter().filter(|byte| *byte >= b' ' && *byte != 0x7f).take(4_000).collect()
}

/// Something in a path or query, percent-encoded where it has to be.
fn part(dice: &mut Dice, valid: &str) -> String {
    let bytes = if dice.one_in(3) { valid.as_bytes().to_vec() } else { bytes::spoiled(dice, valid.as_bytes()).0 };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    bytes.iter().take(500).map(|b| if plain(*b) { char::from(*b).to_string() } else { format!("%{b:02x}") }).collect()
}

fn request(dice: &mut Dice, http: &Client, base: &str) -> RequestBuilder {
    let id = dice.uuid();
    match dice.below(10) {
        0..5 => {
            let kind = if dice.one_in(20) { "text/plain" } else { "application/json" };
            let mut request = http.post(format!("{base}/orders")).header("content-type", kind).body(order(dice));
            // Few keys, so that some come again with the same body or another one.
            let key = format!("\"key-{}\"", dice.below(20));
            for (name, valid) in [("Idempotency-Key", key.as_str()), ("Prefer", "wait=0"), ("Saga-Fault", "a/b=crash")]
            {
                if dice.one_in(if name == "Saga-Fault" { 10 } else { 2 }) {
                    request = request.header(name, header(dice, valid));
                }
            }
            request
        }
        5 => {
            let product = json!({"name": "A mug", "unit_price_minor": 1800, "currency": "EUR"});
            let body = json::spoiled(dice, &product).0;
            let put = http.put(format!("{base}/products/{}", part(dice, "MUG-BLUE")));
            put.header("content-type", "application/json").body(body)
        }
        6 => http.post(format!("{base}/orders/{}/cancel", part(dice, &id))),
        7 => {
            let query =
                format!("status={}&limit={}&cursor={}", part(dice, "pending"), part(dice, "5"), part(dice, &id));
            http.get(format!("{base}/orders?{query}"))
        }
        8 => http.get(format!("{base}/parked?limit={}", part(dice, "5"))),
        _ => {
            let where_to = ["orders", "sagas", "products", "parked", "timeline"];
            let timeline = if dice.one_in(2) { "/timeline" } else { "" };
            http.get(format!("{base}/{}/{}{timeline}", dice.pick(&where_to), part(dice, &id)))
        }
    }
}

#[tokio::test]
async fn whatever_is_sent_is_answered_with_what_was_asked_for_or_a_problem() -> Outcome {
    let shop = Shop::up(600_000).await?;
    let base = shop.stack.url(Service::Order)?.to_string();
    let http = shop.stack.http();
    let (mut statuses, mut accepted) = (BTreeMap::<u16, u32>::new(), BTreeSet::new());
    for seed in saga_fuzz::seeds(REQUESTS) {
        let mut dice = Dice::new(seed);
        let request = request(&mut dice, &http, base.trim_end_matches('/')).build()?;
        let sent = format!("FUZZ_SEED={seed}: {} {} {:?}", request.method(), request.url(), request.headers());
        let body = request.body().and_then(|body| body.as_bytes()).unwrap_or_default().to_vec();
        let sent = format!("{sent} {}", body.escape_ascii());
        let answer = http.execute(request).await.map_err(|error| format!("{sent}: {error}"))?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        *statuses.entry(status).or_default() += 1;
        assert!(status < 500, "{status} for {sent}");
        if status >= 400 {
            assert_eq!(headers["content-type"], "application/problem+json", "{status} for {sent}");
            let problem: Value = answer.json().await?;
            assert_eq!(problem["status"], status, "{sent}");
            assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{sent}");
        } else if let Some(location) = headers.get("location") {
            accepted.insert(location.to_str()?.to_owned());
        }
    }
    println!("{statuses:?}");
    for expected in [200, 202, 400, 404, 422] {
        assert!(statuses.contains_key(&expected), "{statuses:?}");
    }
    // Those that were placed, whole; and no others.
    let orders: i64 = shop.ask("select count(*) from orders").await?;
    assert_eq!(usize::try_from(orders)?, accepted.len(), "every order was answered with its address: {statuses:?}");
    for (what, question) in [
        ("lines", "select count(*) from orders o where not exists (select from order_lines l where l.order_id = o.id)"),
        (
            "a sum",
            "select count(*) from orders o where amount_minor <>
                   (select sum(quantity * unit_price_minor) from order_lines l where l.order_id = o.id)",
        ),
        (
            "a guard row",
            "select count(*) from orders o where not exists
                         (select from saga.idempotency_keys g where g.saga_id = o.id and g.step = 'place-order')",
        ),
        (
            "an order",
            "select count(*) from request_keys k where not exists (select from orders o where o.id = k.order_id)",
        ),
    ] {
        assert_eq!(shop.ask::<i64>(question).await?, 0, "without {what}");
    }
    Ok(())
}
