//! What clients were told.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Corruption, Lie, line};
use crate::stage::Stage;

const fn history(
    invariant: u8,
    name: &'static str,
    lie: fn(Vec<Value>, &Stage) -> Vec<Value>,
    found_by: &'static [&'static str],
) -> Corruption {
    Corruption { invariant, name, lie: Lie::History(lie), found_by }
}

fn and(mut history: Vec<Value>, line: Value) -> Vec<Value> {
    history.push(line);
    history
}

pub(super) const ALL: &[Corruption] = &[
    history(
        3,
        "an order that was seen confirmed and is cancelled",
        |history, stage| and(history, line(stage, "seen", "declined", json!({ "state": "confirmed" }))),
        &["seen-ends-stay"],
    ),
    history(
        3,
        "an order that was seen cancelling and is confirmed",
        |history, stage| and(history, line(stage, "seen", "wallet", json!({ "state": "cancelling" }))),
        &["seen-ends-stay"],
    ),
    history(
        11,
        "an order that a client was told of and that is not there",
        |history, _| {
            let body = history[0]["body"].clone();
            let history = and(history, json!({ "what": "asked", "key": "lost", "body": body }));
            and(
                history,
                json!({ "what": "told", "key": "lost", "status": 202, "order": Uuid::from_u128(1), "state": null }),
            )
        },
        &["told-orders-exist"],
    ),
    history(
        11,
        "an order that is not what its client asked for",
        |mut history, _| {
            let body = history[0]["body"].as_str().unwrap_or_default().replace("MUG-STONE", "SCALE-01");
            history[0]["body"] = json!(body);
            history
        },
        &["told-orders-exist", "orders-were-asked-for"],
    ),
    history(
        11,
        "an order that nobody asked for",
        |history, _| history.into_iter().filter(|line| line["key"] != "card").collect(),
        &["orders-were-asked-for"],
    ),
    history(
        11,
        "one request, told of two orders",
        |history, stage| {
            and(
                history,
                line(stage, "told", "declined", json!({ "key": "out-of-stock", "status": 200, "state": null })),
            )
        },
        &["one-order-per-key", "told-orders-exist"],
    ),
    history(
        11,
        "a cancellation that was promised and not kept",
        |history, stage| and(history, line(stage, "told-of-cancel", "card", json!({ "status": 202 }))),
        &["cancels-keep-their-word"],
    ),
    history(
        11,
        "a cancellation that was refused and happened",
        |history, stage| and(history, line(stage, "told-of-cancel", "declined", json!({ "status": 409 }))),
        &["cancels-keep-their-word"],
    ),
];
