//! Whatever comes back instead of an answer: what is, what was definitely not done, or unknown; never a guess about money.

use super::*;
use saga_fuzz::bytes::Bytes;
use saga_fuzz::{Dice, fuzz, json};
use serde_json::{Value, json};

const STATUSES: [u16; 20] =
    [100, 200, 200, 200, 201, 204, 301, 307, 400, 400, 401, 402, 402, 403, 404, 409, 422, 429, 500, 504];

fn answer(dice: &mut Dice) -> (u16, Bytes) {
    let states = [
        "requires_confirmation",
        "processing",
        "succeeded",
        "requires_action",
        "canceled",
        "requires_payment_method",
        "brand_new",
    ];
    let intent = json!({
        "id": "pi_1", "object": "payment_intent", "status": dice.pick(&states), "amount": 1290,
        "last_payment_error": {"code": "card_declined", "decline_code": "insufficient_funds"},
    });
    let kind = dice.pick(&["card_error", "invalid_request_error", "api_error"]);
    let code = dice.pick(&["card_declined", "payment_intent_unexpected_state", "charge_already_refunded"]);
    let refund = |status: &str, amount: i64| json!({"id": "re_1", "amount": amount, "status": status});
    let valid: Value = match dice.below(4) {
        0 => intent,
        1 => json!({"error": {"type": kind, "code": code, "message": "no", "decline_code": "generic_decline",
                              "payment_intent": intent}}),
        2 => refund(dice.pick(&["succeeded", "pending", "failed"]), 1290),
        _ => json!({"object": "list", "data": [refund("succeeded", 700), refund("failed", 590)]}),
    };
    (STATUSES[dice.below(STATUSES.len())], json::spoiled(dice, &valid))
}

fn is_storable(text: &str) -> bool {
    !text.contains('\0') && text.chars().count() <= 500
}

/// The kind of error; its texts can be stored.
fn refused(status: u16, error: &ProviderError) -> &'static str {
    let (kind, texts) = match error {
        ProviderError::Unknown { why } => ("unknown", vec![why]),
        ProviderError::Refused { code, message, .. } => ("refused", vec![code, message]),
        ProviderError::NotAsked(held) => ("not asked", vec![&held.why]),
        ProviderError::Unauthorized { message, .. } => ("unauthorized", vec![message]),
    };
    assert!(texts.into_iter().all(|text| is_storable(text)));
    let may_be_definite = (400..=499).contains(&status) && ![409, 429].contains(&status);
    assert!(kind == "unknown" || may_be_definite, "{status} proves nothing");
    kind
}

#[test]
fn fuzz_intents() {
    let outcomes = fuzz("provider's intents", 10_000, answer, |(status, Bytes(body))| {
        if let Ok(id) = created_intent(*status, body) {
            assert!((200..=299).contains(status) && IntentId::new(id.as_str()) == Ok(id));
        }
        match intent_state(*status, body) {
            Ok(IntentState::Declined { reason }) => {
                assert!(is_storable(&reason));
                assert!([200, 201, 204].contains(status) || (400..=499).contains(status));
                "declined"
            }
            Ok(IntentState::Succeeded) => {
                // Only an intent that says so: in a 2xx, or shown with a refusal because of its state.
                assert!((200..=299).contains(status) || (400..=499).contains(status));
                assert!(String::from_utf8_lossy(body).contains("\"succeeded\""));
                "succeeded"
            }
            Ok(_) => "another state",
            Err(error) => refused(*status, &error),
        }
    });
    assert_eq!(outcomes.len(), 6, "all were met: {outcomes:?}");
}

#[test]
fn fuzz_refunds() {
    let outcomes = fuzz("provider's refunds", 10_000, answer, |(status, Bytes(body))| {
        if let Ok(refunds) = refund_list(*status, body) {
            let amounts = refunds.iter().map(|refund| refund.amount_minor);
            let sum = amounts.clone().try_fold(0_i64, i64::checked_add);
            assert!(sum.is_some() && amounts.min().is_none_or(|least| least >= 0));
            return "list";
        }
        match refund_outcome(*status, body) {
            Ok(RefundOutcome::Refunded(refund)) => {
                assert!((200..=299).contains(status) && is_storable(&refund.id) && refund.amount_minor >= 0);
                "refunded"
            }
            Ok(RefundOutcome::AlreadyRefunded) => "refunded before",
            Err(error) => refused(*status, &error),
        }
    });
    assert_eq!(outcomes.len(), 6, "all were met: {outcomes:?}");
}
