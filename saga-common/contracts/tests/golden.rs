//! What has once been published stays readable, and is still written that way: the files in `tests/contracts` are never
//! edited, only joined by those of new versions.

use order_contracts::{
    OrderCancelled, OrderCancelling, OrderConfirmed, OrderPlaced, OrderStatusChanged, PaymentCharged, PaymentDeclined,
    ReturnRefunded, ReturnRequested, ReturnRestocked, StockCommitted, StockRejected, StockReserved,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn golden(event_type: &str) -> Value {
    let path = format!("{}/../../tests/contracts/{event_type}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).expect("golden files are JSON")
}

fn is_still_spoken<E: Serialize + DeserializeOwned>(event_type: &str) {
    let published = golden(event_type);
    let read: E = serde_json::from_value(published.clone()).expect(event_type);
    assert_eq!(serde_json::to_value(&read).expect(event_type), published, "{event_type} is written as it was");
    let mut later = published;
    later["a_field_of_the_future"] = json!({"n": 1});
    serde_json::from_value::<E>(later).unwrap_or_else(|error| panic!("{event_type} with a new field: {error}"));
}

#[test]
fn every_published_event_is_still_read_and_written() {
    is_still_spoken::<OrderPlaced>("order.placed.v1");
    is_still_spoken::<StockReserved>("stock.reserved.v1");
    is_still_spoken::<StockRejected>("stock.rejected.v1");
    is_still_spoken::<PaymentCharged>("payment.charged.v1");
    is_still_spoken::<PaymentDeclined>("payment.declined.v1");
    is_still_spoken::<OrderConfirmed>("order.confirmed.v1");
    is_still_spoken::<StockCommitted>("stock.committed.v1");
    is_still_spoken::<OrderCancelling>("order.cancelling.v1");
    is_still_spoken::<OrderCancelled>("order.cancelled.v1");
    is_still_spoken::<OrderStatusChanged>("order.status-changed.v1");
    is_still_spoken::<ReturnRequested>("return.requested.v1");
    is_still_spoken::<ReturnRefunded>("return.refunded.v1");
    is_still_spoken::<ReturnRestocked>("return.restocked.v1");
}
