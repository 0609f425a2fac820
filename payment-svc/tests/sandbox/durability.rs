//! What was answered survives `kill -9`, and a damaged ledger is never guessed at.

use std::{fs, io::Write};

use payment_svc::provider::{IntentId, IntentState, NewIntent, ProviderError, RefundOutcome};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::process::{Ledger, Sandbox, create, key, refusal};

#[tokio::test]
async fn kill_and_restart_keeps_intents_refunds_and_stored_answers() {
    let ledger = Ledger::new();
    let mut sandbox = Sandbox::start(&ledger);
    let client = sandbox.client();
    let mut intents = Vec::new();
    for method in
        ["pm_card_visa", "pm_card_chargeDeclined", "pm_card_visa", "pm_card_sandboxErrorAfterCharge", "pm_card_visa"]
    {
        intents.push(create(&client, method).await);
    }
    let [unconfirmed, declined, canceled, erring, refunded] = &intents[..] else { unreachable!() };
    client.confirm(declined, &key(declined, "confirm")).await.expect("declined");
    client.cancel(canceled).await.expect("cancelled");
    client.confirm(erring, &key(erring, "confirm")).await.expect_err("500");
    client.confirm(refunded, &key(refunded, "confirm")).await.expect("charged");
    let refund = client.refund(refunded, "refund").await.expect("refunded");
    sandbox.kill();

    let sandbox = Sandbox::start(&ledger);
    let client = sandbox.client();
    assert_eq!(client.retrieve(unconfirmed).await, Ok(IntentState::Unconfirmed));
    assert_eq!(client.retrieve(declined).await, Ok(IntentState::Declined { reason: "generic_decline".into() }));
    assert_eq!(client.retrieve(canceled).await, Ok(IntentState::Canceled));
    assert_eq!(client.retrieve(erring).await, Ok(IntentState::Succeeded));
    let replayed = client.confirm(erring, &key(erring, "confirm")).await;
    assert_eq!(replayed, Err(ProviderError::Unknown { why: "status 500".into() }), "the stored 500");
    assert_eq!(client.refund(refunded, "refund").await, Ok(refund.clone()));
    let RefundOutcome::Refunded(refund) = refund else { panic!("no refund") };
    assert_eq!(client.list_refunds(refunded).await, Ok(vec![refund]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answered_charge_survives_a_kill_in_full_flight() {
    let ledger = Ledger::new();
    let mut sandbox = Sandbox::start(&ledger);
    let (answered, mut charged) = mpsc::unbounded_channel::<(Uuid, IntentId)>();
    for _ in 0..16 {
        let (client, answered) = (sandbox.client(), answered.clone());
        tokio::spawn(async move {
            loop {
                let order_id = Uuid::now_v7();
                let new = NewIntent { order_id, amount_minor: 700, currency: "EUR", payment_method: "pm_card_visa" };
                let Ok(id) = client.create_intent(new, &order_id.to_string()).await else {
                    return;
                };
                let Ok(IntentState::Succeeded) = client.confirm(&id, &key(&id, "confirm")).await else {
                    return;
                };
                answered.send((order_id, id)).ok();
            }
        });
    }
    drop(answered);
    let mut known = Vec::new();
    while known.len() < 200 {
        known.push(charged.recv().await.expect("all writers ended early"));
    }
    sandbox.kill();
    while let Some(charge) = charged.recv().await {
        known.push(charge);
    }

    let sandbox = Sandbox::start(&ledger);
    let client = sandbox.client();
    for (order_id, id) in known {
        assert_eq!(client.retrieve(&id).await, Ok(IntentState::Succeeded), "{order_id}");
        let new = NewIntent { order_id, amount_minor: 700, currency: "EUR", payment_method: "pm_card_visa" };
        assert_eq!(client.create_intent(new, &order_id.to_string()).await, Ok(id), "the key is remembered");
    }
}

#[tokio::test]
async fn a_torn_last_line_is_dropped_and_the_ledger_goes_on() {
    let ledger = Ledger::new();
    let mut sandbox = Sandbox::start(&ledger);
    let id = create(&sandbox.client(), "pm_card_visa").await;
    sandbox.kill();
    let good = ledger.text();
    let torn = format!("{{\"at_ms\":1,\"change\":{{\"kind\":\"intent_succeeded\",\"intent\":\"{}\",", id.as_str());
    let mut file = fs::OpenOptions::new().append(true).open(ledger.path()).expect("open");
    file.write_all(torn.as_bytes()).expect("write");

    let mut sandbox = Sandbox::start(&ledger);
    assert_eq!(ledger.text(), good);
    assert_eq!(sandbox.client().retrieve(&id).await, Ok(IntentState::Unconfirmed));
    assert_eq!(sandbox.client().confirm(&id, &key(&id, "confirm")).await, Ok(IntentState::Succeeded));
    sandbox.kill();
    let sandbox = Sandbox::start(&ledger);
    assert_eq!(sandbox.client().retrieve(&id).await, Ok(IntentState::Succeeded));
}

#[tokio::test]
async fn a_corrupt_line_in_the_middle_is_a_refusal_to_start() {
    let ledger = Ledger::new();
    let mut sandbox = Sandbox::start(&ledger);
    for _ in 0..3 {
        create(&sandbox.client(), "pm_card_visa").await;
    }
    sandbox.kill();
    let mut lines: Vec<_> = ledger.text().lines().map(str::to_owned).collect();
    lines[1].truncate(20);
    let damaged = lines.join("\n") + "\n";
    fs::write(ledger.path(), &damaged).expect("write");
    let (status, said) = refusal(&ledger);
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("is corrupt at line 2"), "{said}");
    assert_eq!(ledger.text(), damaged, "nothing was repaired");
}

#[tokio::test]
async fn two_processes_never_share_a_ledger() {
    let ledger = Ledger::new();
    let _sandbox = Sandbox::start(&ledger);
    let (status, said) = refusal(&ledger);
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("is in use by another process"), "{said}");
}
