//! Whatever stands where an event should: it is that event, or it is refused with a reason.

use order_contracts::{
    OrderCancelled, OrderCancelling, OrderConfirmed, OrderPlaced, OrderStatusChanged, PaymentCharged, PaymentDeclined,
    ReturnRefunded, ReturnRequested, ReturnRestocked, StockCommitted, StockRejected, StockReserved,
};
use saga_fuzz::bytes::Bytes;
use saga_fuzz::{fuzz, json};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Debug;

fn golden(event_type: &str) -> Value {
    let path = format!("{}/../../tests/contracts/{event_type}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).expect("golden files are JSON")
}

/// Reads a body as this event. What is read is written and read again as the same.
fn read<E: Serialize + DeserializeOwned + PartialEq + Debug>(body: &Bytes) -> &'static str {
    match serde_json::from_slice::<E>(&body.0) {
        Ok(event) => {
            let again = serde_json::to_vec(&event).expect("an event is written");
            assert_eq!(serde_json::from_slice::<E>(&again).expect("what was written"), event);
            "event"
        }
        Err(refused) => {
            assert!(!refused.to_string().is_empty());
            "refused"
        }
    }
}

#[test]
fn fuzz_events() {
    type Read = fn(&Bytes) -> &'static str;
    let all: [(&str, Read); 13] = [
        ("order.placed.v1", read::<OrderPlaced>),
        ("stock.reserved.v1", read::<StockReserved>),
        ("stock.rejected.v1", read::<StockRejected>),
        ("payment.charged.v1", read::<PaymentCharged>),
        ("payment.declined.v1", read::<PaymentDeclined>),
        ("order.confirmed.v1", read::<OrderConfirmed>),
        ("stock.committed.v1", read::<StockCommitted>),
        ("order.cancelling.v1", read::<OrderCancelling>),
        ("order.cancelled.v1", read::<OrderCancelled>),
        ("order.status-changed.v1", read::<OrderStatusChanged>),
        ("return.requested.v1", read::<ReturnRequested>),
        ("return.refunded.v1", read::<ReturnRefunded>),
        ("return.restocked.v1", read::<ReturnRestocked>),
    ];
    let valid = all.map(|(event_type, read)| (golden(event_type), read));
    let outcomes = fuzz(
        "events",
        20_000,
        |dice| {
            let which = dice.below(valid.len());
            // Once in a while another event's body.
            let read = if dice.one_in(20) { dice.below(valid.len()) } else { which };
            (json::spoiled(dice, &valid[which].0), read)
        },
        |(body, which)| valid[*which].1(body),
    );
    assert_eq!(outcomes.len(), 2, "both were met: {outcomes:?}");
}
