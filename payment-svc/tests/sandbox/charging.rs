//! The ordinary life of an intent.

use payment_svc::provider::{IntentState, NewIntent, ProviderError, RefundOutcome, RefundState};
use uuid::Uuid;

use crate::process::{Ledger, Sandbox, create, key};

fn declined(reason: &str) -> IntentState {
    IntentState::Declined { reason: reason.to_owned() }
}

#[tokio::test]
async fn a_confirmed_intent_is_charged_and_stays_so() {
    let ledger = Ledger::new();
    let sandbox = Sandbox::start(&ledger);
    let client = sandbox.client();
    let id = create(&client, "pm_card_visa").await;
    assert_eq!(client.retrieve(&id).await, Ok(IntentState::Unconfirmed));
    assert_eq!(client.confirm(&id, &key(&id, "confirm")).await, Ok(IntentState::Succeeded));
    assert_eq!(client.retrieve(&id).await, Ok(IntentState::Succeeded));
    assert_eq!(client.confirm(&id, &key(&id, "again")).await, Ok(IntentState::Succeeded));
    assert_eq!(client.cancel(&id).await, Ok(IntentState::Succeeded));
    assert_eq!(ledger.text().matches("intent_succeeded").count(), 1);
}

#[tokio::test]
async fn creating_twice_with_one_key_is_one_intent() {
    let ledger = Ledger::new();
    let sandbox = Sandbox::start(&ledger);
    let client = sandbox.client();
    let order_id = Uuid::now_v7();
    let new = NewIntent { order_id, amount_minor: 500, currency: "EUR", payment_method: "pm_card_visa" };
    let first = client.create_intent(new, "k").await.expect("created");
    assert_eq!(client.create_intent(new, "k").await, Ok(first));
    let other = NewIntent { amount_minor: 501, ..new };
    let refused = client.create_intent(other, "k").await;
    assert!(matches!(&refused, Err(ProviderError::Refused { status: 400, code, .. }) if code == "idempotency_error"));
    assert_eq!(ledger.text().matches("intent_created").count(), 1);
}

#[tokio::test]
async fn a_decline_moves_no_money_and_says_why() {
    let ledger = Ledger::new();
    let sandbox = Sandbox::start(&ledger);
    let client = sandbox.client();
    for (method, reason) in [
        ("pm_card_chargeDeclined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
    ] {
        let id = create(&client, method).await;
        assert_eq!(client.confirm(&id, &key(&id, "confirm")).await, Ok(declined(reason)));
        assert_eq!(client.confirm(&id, &key(&id, "confirm")).await, Ok(declined(reason)), "replayed");
        assert_eq!(client.retrieve(&id).await, Ok(declined(reason)));
        assert_eq!(client.cancel(&id).await, Ok(IntentState::Canceled));
    }
    assert!(!ledger.text().contains("intent_succeeded"));
}

#[tokio::test]
async fn an_intent_that_needs_an_action_is_not_charged() {
    let ledger = Ledger::new();
    let sandbox = Sandbox::start(&ledger);
    let client = sandbox.client();
    let id = create(&client, "pm_card_authenticationRequired").await;
    assert_eq!(client.confirm(&id, &key(&id, "confirm")).await, Ok(IntentState::RequiresAction));
    assert_eq!(client.cancel(&id).await, Ok(IntentState::Canceled));
    assert_eq!(client.confirm(&id, &key(&id, "late")).await, Ok(IntentState::Canceled));
}

#[tokio::test]
async fn a_cancelled_intent_can_never_be_charged() {
    let ledger = Ledger::new();
    let sandbox = Sandbox::start(&ledger);
    let client = sandbox.client();
    let id = create(&client, "pm_card_visa").await;
    assert_eq!(client.cancel(&id).await, Ok(IntentState::Canceled));
    assert_eq!(client.cancel(&id).await, Ok(IntentState::Canceled));
    assert_eq!(client.confirm(&id, &key(&id, "confirm")).await, Ok(IntentState::Canceled));
    assert_eq!(client.retrieve(&id).await, Ok(IntentState::Canceled));
}

#[tokio::test]
async fn an_unknown_payment_method_is_refused() {
    let ledger = Ledger::new();
    let sandbox = Sandbox::start(&ledger);
    let (order_id, payment_method) = (Uuid::now_v7(), "pm_card_unheardOf");
    let new = NewIntent { order_id, amount_minor: 500, currency: "EUR", payment_method };
    let refused = sandbox.client().create_intent(new, "k").await;
    assert!(matches!(&refused, Err(ProviderError::Refused { status: 400, code, .. }) if code == "resource_missing"));
}

#[tokio::test]
async fn a_refund_happens_once_whatever_the_key() {
    let ledger = Ledger::new();
    let sandbox = Sandbox::start(&ledger);
    let client = sandbox.client();
    let id = create(&client, "pm_card_visa").await;
    client.confirm(&id, &key(&id, "confirm")).await.expect("charged");
    assert_eq!(client.list_refunds(&id).await, Ok(vec![]));

    let RefundOutcome::Refunded(refund) = client.refund(&id, "k").await.expect("refunded") else { panic!("no refund") };
    assert_eq!((refund.amount_minor, refund.state), (1_290, RefundState::Succeeded));
    assert_eq!(client.refund(&id, "k").await, Ok(RefundOutcome::Refunded(refund.clone())), "replayed");
    assert_eq!(client.refund(&id, "other").await, Ok(RefundOutcome::AlreadyRefunded));
    assert_eq!(client.list_refunds(&id).await, Ok(vec![refund]));
    assert_eq!(ledger.text().matches("refund_created").count(), 1);
}

#[tokio::test]
async fn what_was_never_charged_cannot_be_refunded() {
    let ledger = Ledger::new();
    let sandbox = Sandbox::start(&ledger);
    let client = sandbox.client();
    let id = create(&client, "pm_card_visa").await;
    assert!(matches!(client.refund(&id, "k").await, Err(ProviderError::Refused { status: 400, .. })));
}
