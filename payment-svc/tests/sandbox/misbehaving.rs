//! The payment methods that lie about what they did, and the provider that is not there.

use std::time::Duration;

use payment_svc::provider::{IntentId, IntentState, ProviderClient, ProviderError, ProviderKey, ProviderTimeouts};
use tokio::{task::JoinHandle, time::timeout};

use crate::process::{Ledger, Sandbox, create, key};

type Confirm = JoinHandle<Result<IntentState, ProviderError>>;

fn start_confirm(client: &ProviderClient, id: &IntentId) -> Confirm {
    let (client, id) = (client.clone(), id.clone());
    tokio::spawn(async move { client.confirm(&id, &key(&id, "confirm")).await })
}

/// Of two confirms with one key, one is told at once that the other is under way: that other one is returned.
async fn slow_confirm_under_way(client: &ProviderClient, id: &IntentId) -> Confirm {
    let (mut one, mut other) = (start_confirm(client, id), start_confirm(client, id));
    let (told, under_way) = tokio::select! {
        told = &mut one => (told, other),
        told = &mut other => (told, one),
    };
    let told = told.expect("no panic");
    assert!(matches!(&told, Err(ProviderError::Unknown { why }) if why.starts_with("409")), "{told:?}");
    under_way
}

async fn until_charged(client: &ProviderClient, id: &IntentId) {
    let charged = async { while client.retrieve(id).await != Ok(IntentState::Succeeded) {} };
    timeout(Duration::from_secs(20), charged).await.expect("the charge lands");
}

fn is_unknown<T>(result: &Result<T, ProviderError>) -> bool {
    matches!(result, Err(ProviderError::Unknown { .. }))
}

#[tokio::test]
async fn an_error_after_the_charge_is_replayed_and_only_a_get_tells_the_truth() {
    let ledger = Ledger::new();
    let sandbox = Sandbox::start(&ledger);
    let client = sandbox.client();
    let id = create(&client, "pm_card_sandboxErrorAfterCharge").await;
    for _ in 0..2 {
        let answer = client.confirm(&id, &key(&id, "confirm")).await;
        assert_eq!(answer, Err(ProviderError::Unknown { why: "status 500".into() }));
    }
    assert_eq!(client.retrieve(&id).await, Ok(IntentState::Succeeded));
    assert_eq!(ledger.text().matches("intent_succeeded").count(), 1);
}

#[tokio::test]
async fn a_timeout_may_hide_a_charge() {
    let ledger = Ledger::new();
    let sandbox = Sandbox::start(&ledger);
    let client = sandbox.client();
    let id = create(&client, "pm_card_sandboxTimeout").await;
    let confirm = start_confirm(&sandbox.impatient_client(1_500), &id);
    until_charged(&client, &id).await;
    assert!(is_unknown(&confirm.await.expect("no panic")));
    assert_eq!(client.retrieve(&id).await, Ok(IntentState::Succeeded));
    let replayed = client.confirm(&id, &key(&id, "confirm")).await;
    assert_eq!(replayed, Ok(IntentState::Succeeded), "the answer that was made and never sent");
}

#[tokio::test]
async fn a_withheld_answer_does_not_hold_up_a_stop() {
    let ledger = Ledger::new();
    let sandbox = Sandbox::start(&ledger);
    let client = sandbox.client();
    let id = create(&client, "pm_card_sandboxTimeout").await;
    let confirm = start_confirm(&client, &id);
    until_charged(&client, &id).await;
    assert!(sandbox.terminate().success());
    // An answer, not a connection cut at the end of the drain.
    let answer = confirm.await.expect("no panic");
    assert_eq!(answer, Err(ProviderError::Unknown { why: "status 504".into() }));
}

#[tokio::test]
async fn a_cancel_wins_over_a_slow_confirm() {
    let ledger = Ledger::new();
    let sandbox = Sandbox::start_slow(&ledger, 3_000);
    let client = sandbox.client();
    let id = create(&client, "pm_card_sandboxSlow").await;
    let under_way = slow_confirm_under_way(&client, &id).await;
    assert_eq!(client.cancel(&id).await, Ok(IntentState::Canceled));
    assert_eq!(under_way.await.expect("no panic"), Ok(IntentState::Canceled));
    assert_eq!(client.retrieve(&id).await, Ok(IntentState::Canceled));
    assert!(!ledger.text().contains("intent_succeeded"));
}

#[tokio::test]
async fn a_slow_charge_lands_after_its_client_has_left() {
    let ledger = Ledger::new();
    let sandbox = Sandbox::start_slow(&ledger, 1_000);
    let client = sandbox.client();
    let id = create(&client, "pm_card_sandboxSlow").await;
    slow_confirm_under_way(&client, &id).await.abort();
    until_charged(&client, &id).await;
}

#[tokio::test]
async fn a_stop_waits_for_a_slow_charge_under_way() {
    let ledger = Ledger::new();
    let sandbox = Sandbox::start_slow(&ledger, 1_000);
    let client = sandbox.client();
    let id = create(&client, "pm_card_sandboxSlow").await;
    let under_way = slow_confirm_under_way(&client, &id).await;
    assert!(sandbox.terminate().success());
    assert_eq!(under_way.await.expect("no panic"), Ok(IntentState::Succeeded));
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_unknown() {
    let ledger = Ledger::new();
    let mut sandbox = Sandbox::start(&ledger);
    let client = sandbox.client();
    let id = create(&client, "pm_card_visa").await;
    sandbox.kill();
    assert!(is_unknown(&client.confirm(&id, "k").await));
    assert!(is_unknown(&client.retrieve(&id).await));
    assert!(is_unknown(&client.cancel(&id).await));
    assert!(is_unknown(&client.refund(&id, "k").await));
    assert!(is_unknown(&client.list_refunds(&id).await));
}

#[tokio::test]
async fn a_wrong_key_is_neither_unknown_nor_a_decline() {
    let ledger = Ledger::new();
    let sandbox = Sandbox::start(&ledger);
    let id = create(&sandbox.client(), "pm_card_visa").await;
    let wrong = ProviderKey::new("sk_wrong");
    let client = ProviderClient::new(&sandbox.url, &wrong, ProviderTimeouts::default()).expect("good settings");
    assert!(matches!(client.confirm(&id, "k").await, Err(ProviderError::Unauthorized { status: 401, .. })));
    assert_eq!(sandbox.client().retrieve(&id).await, Ok(IntentState::Unconfirmed));
}
