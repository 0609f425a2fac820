//! The contract with Stripe, as it is published: what the client sends, and that it reads what may come back.
//!
//! The shapes in `stripe/` are written by hand after the schemas of <https://github.com/stripe/openapi>, version
//! `2026-09-30.endive`, which is also the version that the client asks for: `payment_intent`, `refund`, `error` with
//! `api_errors` inside. They have the fields that the client reads among enough others to show that those do not matter.

use crate::fake::{Asked, Fake, KEY, Mood};
use payment_svc::provider::{
    IntentId, IntentState, NewIntent, ProviderClient, ProviderError, ProviderLimits, Refund, RefundOutcome, RefundState,
};
use serde_json::{Value, json};
use uuid::Uuid;

const INTENT: &str = include_str!("stripe/payment_intent.json");
const CARD_ERROR: &str = include_str!("stripe/card_error.json");
const REFUND: &str = include_str!("stripe/refund.json");

fn published(shape: &str, field: &str, value: &str) -> Value {
    let mut shape: Value = serde_json::from_str(shape).expect("JSON");
    shape[field] = value.into();
    shape
}

fn id() -> IntentId {
    IntentId::new("pi_3MtwBwLkdIwHu7ix28a3tqPa").expect("an id")
}

async fn answering(status: u16, body: Value) -> (Fake, ProviderClient) {
    let provider = Fake::start(Mood::Says(status, body)).await;
    let client = provider.client(&ProviderLimits::default());
    (provider, client)
}

fn header<'a>(asked: &'a Asked, name: &str) -> Option<&'a str> {
    asked.headers.get(name).map(|value| value.to_str().expect("ASCII"))
}

#[tokio::test]
async fn every_published_status_of_an_intent_is_understood() {
    // The enumeration of `payment_intent.status`, all of it.
    for (status, state) in [
        ("canceled", IntentState::Canceled),
        ("processing", IntentState::Processing),
        ("requires_action", IntentState::RequiresAction),
        ("requires_confirmation", IntentState::Unconfirmed),
        ("requires_payment_method", IntentState::Declined { reason: "requires_payment_method".into() }),
        ("succeeded", IntentState::Succeeded),
    ] {
        let (_provider, client) = answering(200, published(INTENT, "status", status)).await;
        assert_eq!(client.retrieve(&id()).await, Ok(state.clone()), "{status}");
        assert_eq!(client.confirm(&id(), "k").await, Ok(state.clone()), "{status}");
        assert_eq!(client.cancel(&id()).await, Ok(state), "{status}");
    }
    // An intent of ours is captured by itself, so it never stands there: nothing is made up for it.
    let (_provider, client) = answering(200, published(INTENT, "status", "requires_capture")).await;
    assert!(matches!(client.retrieve(&id()).await, Err(ProviderError::Unknown { .. })));
}

#[tokio::test]
async fn a_declined_card_is_a_decline_with_the_banks_word_for_it() {
    let card_error: Value = serde_json::from_str(CARD_ERROR).expect("JSON");
    let declined = Ok(IntentState::Declined { reason: "insufficient_funds".into() });
    let (_provider, client) = answering(402, card_error.clone()).await;
    assert_eq!(client.confirm(&id(), "k").await, declined);
    // Asked for later, the intent tells the same.
    let mut intent = published(INTENT, "status", "requires_payment_method");
    intent["last_payment_error"] = card_error["error"]["payment_intent"]["last_payment_error"].clone();
    let (_provider, client) = answering(200, intent).await;
    assert_eq!(client.retrieve(&id()).await, declined);
}

#[tokio::test]
async fn the_published_kinds_of_errors_are_told_apart() {
    // `api_errors.type`: api_error, card_error, idempotency_error, invalid_request_error.
    let error = |kind: &str, code: &str| json!({"error": {"type": kind, "code": code, "message": "no"}});
    for (status, body) in [
        (500, error("api_error", "processing_error")),
        (409, error("idempotency_error", "idempotency_key_in_use")),
        (429, error("invalid_request_error", "rate_limit")),
        (424, json!("not Stripe")),
    ] {
        let (_provider, client) = answering(status, body).await;
        assert!(matches!(client.confirm(&id(), "k").await, Err(ProviderError::Unknown { .. })), "{status}");
    }
    let (_provider, client) = answering(401, error("invalid_request_error", "api_key_expired")).await;
    assert!(matches!(client.confirm(&id(), "k").await, Err(ProviderError::Unauthorized { status: 401, .. })));
    let (_provider, client) = answering(404, error("invalid_request_error", "resource_missing")).await;
    let refused = client.retrieve(&id()).await;
    assert!(matches!(&refused, Err(ProviderError::Refused { code, .. }) if code == "resource_missing"), "{refused:?}");
    // A cancel that came too late shows the intent, which is the answer.
    let mut late = error("invalid_request_error", "payment_intent_unexpected_state");
    late["error"]["payment_intent"] = serde_json::from_str(INTENT).expect("JSON");
    let (_provider, client) = answering(400, late).await;
    assert_eq!(client.cancel(&id()).await, Ok(IntentState::Succeeded));
}

#[tokio::test]
async fn every_published_status_of_a_refund_is_understood() {
    for (status, state) in [
        ("pending", RefundState::Pending),
        ("requires_action", RefundState::Pending),
        ("succeeded", RefundState::Succeeded),
        ("failed", RefundState::Failed),
        ("canceled", RefundState::Failed),
    ] {
        let wire = published(REFUND, "status", status);
        let refund = Refund { id: "re_1Nispe2eZvKYlo2Cd31jOCgZ".into(), amount_minor: 1_290, state };
        let (_provider, client) = answering(200, wire.clone()).await;
        assert_eq!(client.refund(&id(), "k").await, Ok(RefundOutcome::Refunded(refund.clone())), "{status}");
        let list = json!({"object": "list", "url": "/v1/refunds", "has_more": false, "data": [wire]});
        let (_provider, client) = answering(200, list).await;
        assert_eq!(client.list_refunds(&id()).await, Ok(vec![refund]), "{status}");
    }
    let already =
        json!({"error": {"type": "invalid_request_error", "code": "charge_already_refunded", "message": "no"}});
    let (_provider, client) = answering(400, already).await;
    assert_eq!(client.refund(&id(), "k").await, Ok(RefundOutcome::AlreadyRefunded));
}

#[tokio::test]
async fn requests_are_forms_with_key_version_and_idempotency_key() {
    let (provider, client) = answering(200, serde_json::from_str(INTENT).expect("JSON")).await;
    let order_id = Uuid::now_v7();
    let new = NewIntent { order_id, amount_minor: 1_290, currency: "EUR", payment_method: "pm_card_visa" };
    client.create_intent(new, "key-1").await.expect("created");
    client.confirm(&id(), "key-2").await.expect("confirmed");
    client.retrieve(&id()).await.expect("found");
    client.cancel(&id()).await.expect("answered");
    provider.is_now(Mood::Says(200, serde_json::from_str(REFUND).expect("JSON")));
    client.refund(&id(), "key-3").await.expect("refunded");
    provider.is_now(Mood::Says(200, json!({"object": "list", "data": []})));
    client.list_refunds(&id()).await.expect("a list");

    let asked = provider.asked();
    let intent = "/v1/payment_intents/pi_3MtwBwLkdIwHu7ix28a3tqPa";
    let lines: Vec<&str> = asked.iter().map(|asked| asked.line.as_str()).collect();
    let refunds = "GET /v1/refunds?payment_intent=pi_3MtwBwLkdIwHu7ix28a3tqPa&limit=100";
    assert_eq!(
        lines,
        [
            "POST /v1/payment_intents",
            &format!("POST {intent}/confirm"),
            &format!("GET {intent}"),
            &format!("POST {intent}/cancel"),
            "POST /v1/refunds",
            refunds,
        ]
    );
    for asked in &asked {
        assert_eq!(header(asked, "authorization"), Some(format!("Bearer {KEY}").as_str()), "{}", asked.line);
        assert_eq!(header(asked, "stripe-version"), Some("2026-09-30.endive"), "{}", asked.line);
        let form = asked.body.is_empty() || header(asked, "content-type") == Some("application/x-www-form-urlencoded");
        assert!(form, "{asked:?}");
    }
    let keys: Vec<Option<&str>> = asked.iter().map(|asked| header(asked, "idempotency-key")).collect();
    // What moves money has a key; a cancel can be repeated, and GET is one.
    assert_eq!(keys, [Some("key-1"), Some("key-2"), None, None, Some("key-3"), None]);
    let create = format!(
        "amount=1290&currency=eur&payment_method=pm_card_visa&payment_method_types%5B%5D=card&metadata%5Border_id%5D={order_id}"
    );
    assert_eq!(asked[0].body, create);
    assert_eq!(asked[4].body, "payment_intent=pi_3MtwBwLkdIwHu7ix28a3tqPa");
}
