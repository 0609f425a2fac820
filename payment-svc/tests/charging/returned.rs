//! Orders that come back after they were delivered: their money goes back once, whoever asks.

use crate::stage::{Order, Stage};
use sagactl::client::Service;
use sagactl::stack::Program;
use uuid::Uuid;

/// Waits until payment has said that the return is refunded.
async fn refunded(stage: &Stage, return_id: Uuid) {
    let said = format!(
        "select said_type from saga.idempotency_keys where saga_id = '{return_id}' and step = 'refund-return'
         and verdict = 'done'"
    );
    stage.until_sql(&said, "return.refunded.v1").await;
}

async fn refunds(stage: &Stage, order: &Order) -> i64 {
    let refunds = format!("select count(*) from wallet_movements where order_id = '{}' and kind = 'refund'", order.id);
    stage.number(&refunds).await
}

#[tokio::test]
async fn a_return_and_an_undo_give_the_money_back_once_whoever_comes_first() {
    let stage = Stage::up().await;
    for method in ["wallet", "pm_card_visa"] {
        for undone_first in [true, false] {
            let order = Order::by(method);
            stage.reserve(&order).await;
            stage.until(order.id, "charged").await;
            let return_id = Uuid::now_v7();
            if undone_first {
                stage.fail(order.id, 0).await;
                stage.take_back(&order, return_id, 0).await;
            } else {
                stage.take_back(&order, return_id, 0).await;
                stage.fail(order.id, 0).await;
            }
            assert_eq!(stage.answer(order.id).await, "undone");
            refunded(&stage, return_id).await;
            stage.until(order.id, "refunded").await;
            if method == "wallet" {
                assert_eq!(refunds(&stage, &order).await, 1);
            } else {
                assert_eq!(stage.intent(order.id).await.refunded_minor, 1_290);
            }
        }
    }
    stage.assert_at_rest().await;
}

#[tokio::test]
async fn a_return_asked_for_again_is_answered_again_and_refunds_nothing_more() {
    let stage = Stage::up().await;
    for method in ["wallet", "pm_card_visa"] {
        let order = Order::by(method);
        stage.reserve(&order).await;
        stage.until(order.id, "charged").await;
        let return_id = Uuid::now_v7();
        for repeats in 0..3 {
            stage.take_back(&order, return_id, repeats).await;
        }
        refunded(&stage, return_id).await;
        for repeats in 3..5 {
            stage.take_back(&order, return_id, repeats).await;
        }
        stage.until(order.id, "refunded").await;
        stage.assert_at_rest().await;
        let given_back =
            if method == "wallet" { refunds(&stage, &order).await } else { stage.intent(order.id).await.refunds };
        assert_eq!(given_back, 1);
        if method != "wallet" {
            assert_eq!(stage.intent(order.id).await.refunded_minor, 1_290);
        }
    }
}

#[tokio::test]
async fn a_refund_for_a_return_whose_answer_was_lost_is_not_made_twice() {
    let stage = Stage::with(|options| options.env(Service::Payment, "PROVIDER_TIMEOUT_MS", 400)).await;
    let order = Order::by("pm_card_visa");
    stage.reserve(&order).await;
    stage.until(order.id, "charged").await;
    // Nobody answers for a while, but what was asked is done: several attempts, each of which may have got through.
    stage.stack.pause(Program::SandboxProvider).expect("it runs");
    let return_id = Uuid::now_v7();
    stage.take_back(&order, return_id, 0).await;
    let tried = format!("select (attempts > 2)::text from saga.jobs where saga_id = '{return_id}'");
    stage.until_sql(&tried, "true").await;
    stage.stack.resume(Program::SandboxProvider).expect("it runs");
    refunded(&stage, return_id).await;
    assert_eq!(stage.intent(order.id).await.refunded_minor, 1_290);
    stage.assert_at_rest().await;
}

#[tokio::test]
async fn a_return_of_what_was_never_charged_waits_for_a_person() {
    let stage = Stage::up().await;
    let (unpaid, return_id) = (Order::by("wallet"), Uuid::now_v7());
    stage.take_back(&unpaid, return_id, 0).await;
    let waiting = format!("select reason from saga.waiting where saga_id = '{return_id}' and state = 'waiting'");
    stage.until_sql(&waiting, "the order has no charge that could be given back").await;
    assert_eq!(stage.verdict(return_id, "refund-return").await, "none");
    // Paid after all, the return is refunded by its next attempt.
    stage.reserve(&unpaid).await;
    stage.until(unpaid.id, "charged").await;
    stage.db.execute("update saga.waiting set due_at = now()", &[]).await.expect("an update");
    refunded(&stage, return_id).await;
    stage.assert_at_rest().await;
}
