//! Cards of orders that fail: before, while and after they are charged.

use crate::stage::{Order, Stage};
use sagactl::client::Service;
use sagactl::stack::Program;

#[tokio::test]
async fn a_charge_is_refunded_once() {
    let stage = Stage::up().await;
    for method in ["pm_card_visa", "pm_card_sandboxErrorAfterCharge", "pm_card_sandboxTimeout"] {
        let order = Order::by(method);
        stage.reserve(&order).await;
        stage.until(order.id, "charged").await;
        for repeats in 0..3 {
            stage.fail(order.id, repeats).await;
        }
        assert_eq!(stage.answer(order.id).await, "undone");
        stage.until(order.id, "refunded").await;
        let intent = stage.intent(order.id).await;
        assert_eq!((intent.status.as_str(), intent.refunded_minor), ("succeeded", 1_290), "{method}");
    }
    stage.assert_at_rest().await;
}

#[tokio::test]
async fn a_charge_under_way_is_cancelled() {
    let stage = Stage::up().await;
    let order = Order::by("pm_card_sandboxSlow");
    stage.reserve(&order).await;
    stage.until_stored(order.id).await;
    assert_eq!(stage.verdict(order.id, "charge-payment").await, "intent");
    stage.fail(order.id, 0).await;
    assert_eq!(stage.answer(order.id).await, "undone");
    stage.until(order.id, "voided").await;
    assert_eq!(stage.intent(order.id).await.status, "canceled");
    assert_eq!(stage.verdict(order.id, "charge-payment").await, "undone");
    stage.assert_at_rest().await;
}

#[tokio::test]
async fn a_charge_whose_answer_never_came_is_refunded() {
    // The first worker is still waiting for the provider's answer when the order fails.
    let stage = Stage::with(|options| options.env(Service::Payment, "PROVIDER_TIMEOUT_MS", 20_000)).await;
    let order = Order::by("pm_card_sandboxTimeout");
    stage.reserve(&order).await;
    stage.until_stored(order.id).await;
    while stage.intent(order.id).await.status != "succeeded" {}
    assert_eq!(stage.client.payment(order.id).await.expect("a payment").status, "charging");
    stage.fail(order.id, 0).await;
    assert_eq!(stage.answer(order.id).await, "undone");
    stage.until(order.id, "refunded").await;
    assert_eq!(stage.intent(order.id).await.refunded_minor, 1_290);
    stage.assert_at_rest().await;
}

#[tokio::test]
async fn a_failure_while_the_intent_is_being_created_leaves_it_unconfirmed() {
    let stage = Stage::with(|options| options.env(Service::Payment, "PROVIDER_TIMEOUT_MS", 20_000)).await;
    // Frozen, the provider has the request to create, and answers when the order has long been undone.
    stage.stack.pause(Program::SandboxProvider).expect("it runs");
    let order = Order::by("pm_card_visa");
    stage.reserve(&order).await;
    let called = format!("select (attempts > 0)::text from saga.jobs where saga_id = '{}'", order.id);
    stage.until_sql(&called, "true").await;
    stage.fail(order.id, 0).await;
    assert_eq!(stage.answer(order.id).await, "undone");
    stage.until(order.id, "voided").await;
    stage.stack.resume(Program::SandboxProvider).expect("it runs");
    let next = Order::by("pm_card_visa");
    stage.reserve(&next).await;
    stage.until(next.id, "charged").await;
    assert_eq!(stage.intent(order.id).await.status, "requires_confirmation");
    stage.assert_at_rest().await;
}

#[tokio::test]
async fn a_refund_whose_answer_was_lost_is_not_made_twice() {
    let stage = Stage::up().await;
    let order = Order::by("pm_card_visa");
    stage.reserve(&order).await;
    stage.until(order.id, "charged").await;
    // Nobody answers for a while, but what was asked is done: several attempts, each of which may have got through.
    stage.stack.pause(Program::SandboxProvider).expect("it runs");
    stage.fail(order.id, 0).await;
    let tried = format!("select (attempts > 2)::text from saga.jobs where saga_id = '{}'", order.id);
    stage.until_sql(&tried, "true").await;
    assert_eq!(stage.verdict(order.id, "compensate").await, "undoing");
    stage.stack.resume(Program::SandboxProvider).expect("it runs");
    assert_eq!(stage.answer(order.id).await, "undone");
    stage.until(order.id, "refunded").await;
    assert_eq!(stage.intent(order.id).await.refunded_minor, 1_290);
    stage.assert_at_rest().await;
}

#[tokio::test]
async fn a_refund_that_somebody_else_made_is_taken_for_ours() {
    let stage = Stage::up().await;
    let order = Order::by("pm_card_visa");
    stage.reserve(&order).await;
    stage.until(order.id, "charged").await;
    let id = payment_svc::provider::IntentId::new(stage.intent(order.id).await.id).expect("an id");
    stage.provider.refund(&id, "by hand").await.expect("a refund");
    stage.fail(order.id, 0).await;
    assert_eq!(stage.answer(order.id).await, "undone");
    stage.until(order.id, "refunded").await;
    assert_eq!(stage.intent(order.id).await.refunded_minor, 1_290);
    stage.assert_at_rest().await;
}
