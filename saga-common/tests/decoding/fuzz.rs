//! Whatever the broker or a caller hands over: an event or a typed refusal, in bounded time and memory.

use saga_common::envelope::{
    ANNOUNCEMENT, BUNDLE, BUNDLE_EVENTS, CAUSATION_ID, FAULT, JSON, Malformed, RawMessage, TRACEPARENT, open,
};
use saga_common::faults::Directives;
use saga_fuzz::{Dice, bytes, fuzz, json};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const DIRECTIVES: [&str; 6] = [
    "payment-svc/after-charge=crash",
    "*/before-ack=skip-ack%0.25",
    "inventory-svc/after-commit@payment.declined=delay(250)*3",
    "order/before-commit=duplicate,payment-svc/before-call=error*2%0.5",
    "a/b=delay*4294967295%1e-300",
    "payment-svc/before-begin@stock.reserved=hold(60000),order/after-ack=hold*2",
];

fn event(dice: &mut Dice) -> Value {
    json!({
        "id": dice.uuid(), "subject": dice.uuid(), "type": "order.placed.v1", "source": "order",
        "causationid": dice.uuid(), "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "announcement": dice.below(3), "sagafault": dice.pick(&DIRECTIVES),
        "data": {"order_id": dice.uuid(), "lines": [{"sku": "MUG", "quantity": 1}], "amount_minor": 1290},
    })
}

/// Its text, spoiled at times; none at times.
fn text(dice: &mut Dice, valid: &str) -> Option<String> {
    match dice.below(8) {
        0 => None,
        1 => Some(String::from_utf8_lossy(&bytes::spoiled(dice, valid.as_bytes()).0).into_owned()),
        _ => Some(valid.to_owned()),
    }
}

fn message(dice: &mut Dice) -> RawMessage {
    let bundle = dice.one_in(2);
    let body = if bundle {
        let most = if dice.one_in(50) { BUNDLE_EVENTS + 2 } else { 5 };
        let events: Vec<Value> = (0..dice.below(most)).map(|_| event(dice)).collect();
        json::spoiled(dice, &events.into())
    } else {
        let event = event(dice);
        json::spoiled(dice, &event["data"])
    };
    let (message_id, saga_id) = (dice.uuid(), dice.uuid());
    let cause = dice.uuid();
    let headers =
        [(CAUSATION_ID, cause.as_str()), (TRACEPARENT, "00-1-2-03"), (ANNOUNCEMENT, "2"), (FAULT, DIRECTIVES[0])];
    let headers = headers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), text(dice, value)?)));
    let headers: BTreeMap<_, _> = headers.collect();
    RawMessage {
        message_id: text(dice, &message_id),
        correlation_id: text(dice, &saga_id),
        event_type: text(dice, "order.placed.v1"),
        app_id: text(dice, "order"),
        content_type: text(dice, if bundle { BUNDLE } else { JSON }),
        headers,
        body: body.0,
    }
}

fn opened(raw: &RawMessage) -> &'static str {
    let envelopes = open(raw.clone());
    assert_eq!(envelopes, open(raw.clone()), "a redelivery is the same message");
    assert!((1..=BUNDLE_EVENTS).contains(&envelopes.len()));
    for envelope in &envelopes {
        let texts = [Some(&envelope.event_type), Some(&envelope.source), envelope.traceparent.as_ref()];
        assert!(texts.into_iter().flatten().all(|text| !text.contains('\0')));
        assert!(envelope.body.len() <= raw.body.len());
    }
    let mut bad: Vec<_> = envelopes.iter().filter(|e| e.saga_id.is_err()).map(|e| (e.message_id, &e.body)).collect();
    bad.sort();
    bad.dedup();
    assert!(bad.windows(2).all(|two| two[0].0 != two[1].0), "one id for two bodies");
    let bundled = raw.content_type.as_deref() == Some(BUNDLE);
    assert!(bundled || envelopes[0].body == raw.body);
    let is = |wanted: &Malformed| envelopes.iter().any(|envelope| envelope.saga_id.as_ref().err() == Some(wanted));
    let (lost, readable) = (is(&Malformed::BadElement), envelopes.iter().any(|envelope| envelope.saga_id.is_ok()));
    match (bundled, lost, readable) {
        (true, true, true) => "bundle with bad elements",
        (true, false, true) => "bundle",
        (true, ..) => "bad bundle",
        (false, _, true) => "event",
        _ if is(&Malformed::NoSaga) => "no saga",
        _ if is(&Malformed::BadSaga) => "bad saga",
        _ => panic!("{:?}", envelopes[0].saga_id),
    }
}

#[test]
fn fuzz_messages() {
    let outcomes = fuzz("messages", 2_000, message, opened);
    assert_eq!(outcomes.len(), 6, "all were met: {outcomes:?}");
}

#[test]
fn fuzz_directives() {
    let outcomes = fuzz(
        "directives",
        20_000,
        |dice| {
            let valid = dice.pick(&DIRECTIVES);
            String::from_utf8_lossy(&bytes::spoiled(dice, valid.as_bytes()).0).into_owned()
        },
        |text| match text.parse::<Directives>() {
            Ok(read) => {
                assert_eq!(read.to_string().parse(), Ok(read));
                "directives"
            }
            Err(refused) => {
                assert!(refused.to_string().len() < 1_000);
                "refused"
            }
        },
    );
    assert_eq!(outcomes.len(), 2, "{outcomes:?}");
}
