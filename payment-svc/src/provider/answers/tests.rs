use super::*;
use crate::provider::InvalidIntentId;
use serde_json::{Value, json};

fn bytes(body: &Value) -> Vec<u8> {
    body.to_string().into_bytes()
}

fn intent(status: &str) -> Value {
    json!({"id": "pi_1", "object": "payment_intent", "status": status, "amount": 1290})
}

fn error(kind: &str, code: &str) -> Value {
    json!({"error": {"type": kind, "code": code, "message": "no"}})
}

fn is_unknown<T>(result: &Result<T, ProviderError>) -> bool {
    matches!(result, Err(ProviderError::Unknown { .. }))
}

#[test]
fn a_200_says_where_the_intent_stands() {
    for (status, state) in [
        ("requires_confirmation", IntentState::Unconfirmed),
        ("processing", IntentState::Processing),
        ("succeeded", IntentState::Succeeded),
        ("requires_action", IntentState::RequiresAction),
        ("canceled", IntentState::Canceled),
        ("requires_payment_method", IntentState::Declined { reason: "requires_payment_method".into() }),
    ] {
        assert_eq!(intent_state(200, &bytes(&intent(status))), Ok(state), "{status}");
    }
}

#[test]
fn a_declined_intent_remembers_its_reason() {
    let mut declined = intent("requires_payment_method");
    declined["last_payment_error"] = json!({"code": "card_declined", "decline_code": "insufficient_funds"});
    assert_eq!(intent_state(200, &bytes(&declined)), Ok(IntentState::Declined { reason: "insufficient_funds".into() }));
}

#[test]
fn a_402_card_error_is_a_decline() {
    let mut body = error("card_error", "card_declined");
    assert_eq!(intent_state(402, &bytes(&body)), Ok(IntentState::Declined { reason: "card_declined".into() }));
    body["error"]["decline_code"] = json!("generic_decline");
    assert_eq!(intent_state(402, &bytes(&body)), Ok(IntentState::Declined { reason: "generic_decline".into() }));
}

#[test]
fn a_refusal_that_shows_the_intent_is_its_state() {
    for (status, state) in [("succeeded", IntentState::Succeeded), ("canceled", IntentState::Canceled)] {
        let mut body = error("invalid_request_error", "payment_intent_unexpected_state");
        body["error"]["payment_intent"] = intent(status);
        assert_eq!(intent_state(400, &bytes(&body)), Ok(state), "{status}");
    }
}

#[test]
fn answers_that_prove_nothing_are_unknown() {
    let api_error = error("api_error", "boom");
    for status in [100, 301, 307, 409, 429, 500, 502, 503, 504] {
        assert!(is_unknown(&intent_state(status, &bytes(&api_error))), "{status}");
        assert!(is_unknown(&created_intent(status, &bytes(&api_error))), "{status}");
        assert!(is_unknown(&refund_outcome(status, &bytes(&api_error))), "{status}");
        assert!(is_unknown(&refund_list(status, &bytes(&api_error))), "{status}");
    }
    for body in [&b""[..], b"<html>", b"{}", b"{\"id\":\"pi_1\",\"status\":\"brand_new\"}"] {
        assert!(is_unknown(&intent_state(200, body)), "{body:?}");
    }
    assert!(is_unknown(&intent_state(404, b"<html>nginx</html>")), "a 404 from a proxy in between");
    assert!(is_unknown(&created_intent(200, &bytes(&json!({"id": "../livez", "status": "succeeded"})))));
}

#[test]
fn a_500_that_shows_an_intent_is_still_unknown() {
    let mut body = error("api_error", "payment_intent_unexpected_state");
    body["error"]["payment_intent"] = intent("succeeded");
    assert!(is_unknown(&intent_state(500, &bytes(&body))));
}

#[test]
fn a_4xx_in_the_providers_words_is_definite() {
    for status in [400, 402, 404, 422] {
        let body = error("invalid_request_error", "resource_missing");
        let refused = ProviderError::Refused { status, code: "resource_missing".into(), message: "no".into() };
        assert_eq!(intent_state(status, &bytes(&body)), Err(refused.clone()));
        assert_eq!(created_intent(status, &bytes(&body)), Err(refused));
    }
    let without_code = json!({"error": {"type": "invalid_request_error"}});
    let refused = ProviderError::Refused { status: 400, code: "invalid_request_error".into(), message: String::new() };
    assert_eq!(intent_state(400, &bytes(&without_code)), Err(refused));
}

#[test]
fn a_wrong_key_is_no_decline() {
    for status in [401, 403] {
        let body = error("invalid_request_error", "api_key_expired");
        let unauthorized = ProviderError::Unauthorized { status, message: "no".into() };
        assert_eq!(intent_state(status, &bytes(&body)), Err(unauthorized));
    }
}

#[test]
fn refunds_are_read_with_their_state() {
    let refund = |status: &str| json!({"id": "re_1", "amount": 500, "status": status});
    let read = |state| Refund { id: "re_1".into(), amount_minor: 500, state };
    for (status, state) in [
        ("succeeded", RefundState::Succeeded),
        ("pending", RefundState::Pending),
        ("requires_action", RefundState::Pending),
        ("failed", RefundState::Failed),
        ("canceled", RefundState::Failed),
    ] {
        assert_eq!(refund_outcome(200, &bytes(&refund(status))), Ok(RefundOutcome::Refunded(read(state))), "{status}");
    }
    assert!(is_unknown(&refund_outcome(200, &bytes(&refund("brand_new")))));
    let list = json!({"object": "list", "data": [refund("succeeded"), refund("failed")]});
    assert_eq!(refund_list(200, &bytes(&list)), Ok(vec![read(RefundState::Succeeded), read(RefundState::Failed)]));
}

#[test]
fn a_second_refund_is_told_apart_from_other_refusals() {
    let already = error("invalid_request_error", "charge_already_refunded");
    assert_eq!(refund_outcome(400, &bytes(&already)), Ok(RefundOutcome::AlreadyRefunded));
    let other = error("invalid_request_error", "resource_missing");
    assert!(matches!(refund_outcome(400, &bytes(&other)), Err(ProviderError::Refused { .. })));
}

#[test]
fn an_intent_id_never_leaves_its_place_in_the_path() {
    for text in ["", "a/b", "..", "pi_1?x=1", "pi 1", "pi\u{e9}"] {
        assert_eq!(IntentId::new(text), Err(InvalidIntentId), "{text:?}");
    }
    assert!(IntentId::new("p".repeat(256)).is_err());
    assert_eq!(IntentId::new("pi_3Nx-1").map(|id| id.as_str().to_owned()), Ok("pi_3Nx-1".to_owned()));
}

#[test]
fn a_decline_is_one_that_can_be_recorded_however_it_is_worded() {
    let mut body = error("card_error", "card_declined");
    body["error"]["decline_code"] = json!("do\0not\0honor");
    let reason = "do\u{fffd}not\u{fffd}honor".to_owned();
    assert_eq!(intent_state(402, &bytes(&body)), Ok(IntentState::Declined { reason }));
    body["error"]["decline_code"] = json!("x".repeat(100_000));
    let long = intent_state(402, &bytes(&body));
    assert!(matches!(&long, Ok(IntentState::Declined { reason }) if reason.len() == 500), "{long:?}");
}

#[test]
fn refunds_that_cannot_be_are_unknown_rather_than_added_up() {
    let of = |amount: i64| json!({"id": "re_1", "amount": amount, "status": "succeeded"});
    for amounts in [vec![of(i64::MAX); 2], vec![of(-1)], vec![of(1); 101]] {
        assert!(is_unknown(&refund_list(200, &bytes(&json!({"data": amounts})))));
    }
}
