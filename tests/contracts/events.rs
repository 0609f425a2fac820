//! All events: the types, their schemas, and how a payload is read and written again.

use order_contracts::{
    OrderCancelled, OrderCancelling, OrderConfirmed, OrderPlaced, OrderStatusChanged, PaymentCharged, PaymentDeclined,
    ReturnRefunded, ReturnRequested, ReturnRestocked, StockCommitted, StockRejected, StockReserved,
};
use saga_common::SagaCompensated;
use saga_common::event::{Event, EventType};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// An event.
pub(crate) struct Known {
    /// Its type on the wire.
    pub(crate) event_type: &'static str,
    /// What its type is called in code, and in documents.
    pub(crate) name: String,
    /// Its schema; refers to `#/components/schemas/`.
    pub(crate) schema: Value,
    /// What the schema refers to.
    pub(crate) components: BTreeMap<String, Value>,
    /// Reads a payload and writes it again.
    pub(crate) again: fn(Value) -> Result<Value, serde_json::Error>,
}

impl Known {
    fn of<E: Event + ToSchema>() -> Self {
        let event_type = EventType::of::<E>().expect("an event has a wire type").as_str();
        let mut components = Vec::new();
        E::schemas(&mut components);
        let components = components.iter().map(|(name, schema)| (name.clone(), value(schema))).collect();
        Self { event_type, name: E::name().into_owned(), schema: value(&E::schema()), components, again: again::<E> }
    }
}

fn value(schema: &impl serde::Serialize) -> Value {
    let text = serde_json::to_string(schema).expect("a schema is JSON");
    // Links of Rust's documentation lead nowhere here.
    serde_json::from_str(&text.replace("[`", "`").replace("`]", "`")).expect("a schema is JSON")
}

fn again<E: Event>(payload: Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(serde_json::from_value::<E>(payload)?)
}

/// Every event of the order system, in the order of their sagas, and the engine's own.
pub(crate) fn all() -> Vec<Known> {
    vec![
        Known::of::<OrderPlaced>(),
        Known::of::<StockReserved>(),
        Known::of::<StockRejected>(),
        Known::of::<PaymentCharged>(),
        Known::of::<PaymentDeclined>(),
        Known::of::<OrderConfirmed>(),
        Known::of::<StockCommitted>(),
        Known::of::<OrderCancelling>(),
        Known::of::<SagaCompensated>(),
        Known::of::<OrderCancelled>(),
        Known::of::<OrderStatusChanged>(),
        Known::of::<ReturnRequested>(),
        Known::of::<ReturnRefunded>(),
        Known::of::<ReturnRestocked>(),
    ]
}

#[test]
fn every_event_of_the_choreography_is_known_and_no_other() {
    let known: BTreeSet<String> = all().iter().map(|event| event.event_type.to_owned()).collect();
    let maps = crate::choreography::maps();
    let steps = maps.iter().flat_map(|map| &map.steps);
    let of_steps = steps.flat_map(|step| step.reacts_to.iter().chain(&step.says).chain(&step.refuses));
    let travelling: BTreeSet<String> =
        of_steps.chain(maps.iter().filter_map(|map| map.answers.as_ref())).cloned().collect();
    assert_eq!(known, travelling, "the events of tests/contracts/events.rs, and those of the participants' maps");
}
