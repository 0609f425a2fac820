//! Cards: intent, call, settle (R3), whatever becomes of the calls.

use crate::stage::{Order, Stage};
use sagactl::client::Service;
use sagactl::stack::Program;

#[tokio::test]
async fn every_card_ends_as_it_should_and_is_charged_at_most_once() {
    let stage = Stage::up().await;
    let declined = |why: &str| Some(format!("card declined: {why}"));
    let cards = [
        ("pm_card_visa", "succeeded", None),
        ("pm_card_sandboxErrorAfterCharge", "succeeded", None),
        ("pm_card_sandboxTimeout", "succeeded", None),
        ("pm_card_sandboxSlow", "succeeded", None),
        ("pm_card_chargeDeclined", "requires_payment_method", declined("generic decline")),
        ("pm_card_chargeDeclinedInsufficientFunds", "requires_payment_method", declined("insufficient funds")),
        ("pm_card_authenticationRequired", "canceled", declined("authentication required")),
    ];
    let orders = cards.clone().map(|(method, ..)| Order::by(method));
    stage.reserve_all(&orders).await;
    for (order, (method, at_provider, reason)) in orders.iter().zip(cards) {
        stage.until(order.id, if reason.is_none() { "charged" } else { "declined" }).await;
        let intent = stage.intent(order.id).await;
        assert_eq!((intent.status.as_str(), intent.refunded_minor), (at_provider, 0), "{method}");
        let payment = stage.client.payment(order.id).await.expect("a payment");
        assert_eq!(payment.provider_reference.as_deref(), Some(intent.id.as_str()), "{method}");

        let story = stage.client.saga(Service::Payment, order.id).await.expect("a story");
        let said = story.steps[0].said.as_ref().expect("it says what came of it");
        let body = said.body.as_ref().expect("a body");
        match reason {
            None => {
                assert_eq!((story.steps[0].verdict.as_str(), said.kind.as_str()), ("done", "payment.charged.v1"));
                assert_eq!((&body["amount_minor"], &body["provider_reference"]), (&1_290.into(), &intent.id.into()));
            }
            Some(reason) => {
                assert_eq!((story.steps[0].verdict.as_str(), said.kind.as_str()), ("rejected", "payment.declined.v1"));
                assert_eq!(body["reason"], reason);
            }
        }
    }
    assert_eq!(stage.number("select count(*) from wallets").await, 1, "cards need no wallet");
    stage.assert_at_rest().await;
}

#[tokio::test]
async fn what_the_provider_does_not_take_is_declined_with_its_words() {
    let stage = Stage::up().await;
    let bogus = Order::by("pm_card_bogus");
    let nothing = Order { amount_minor: 0, ..Order::by("pm_card_visa") };
    for (order, words) in [(bogus, "card refused: No such PaymentMethod"), (nothing, "card refused: Invalid integer")] {
        stage.reserve(&order).await;
        stage.until(order.id, "declined").await;
        let reason = format!("select (reason like '{words}%')::text from payments where order_id = '{}'", order.id);
        stage.until_sql(&reason, "true").await;
        assert!(stage.intents(order.id).await.is_empty());
        stage.fail(order.id, 0).await;
        assert_eq!(stage.answer(order.id).await, "nothing-to-undo");
    }
    stage.assert_at_rest().await;
}

#[tokio::test]
async fn a_crash_between_storing_and_settling_charges_once() {
    let stage = Stage::up().await;
    let order = Order::by("pm_card_sandboxSlow");
    stage.reserve(&order).await;
    stage.until_stored(order.id).await;
    stage.stack.kill9(Service::Payment).await.expect("it runs");
    // The confirm that was under way goes on at the provider; whether it was sent at all, nobody knows here.
    stage.stack.start(Service::Payment).await.expect("it starts again");
    stage.until(order.id, "charged").await;
    assert_eq!(stage.intent(order.id).await.status, "succeeded");
    stage.assert_at_rest().await;
}

#[tokio::test]
async fn two_workers_with_one_job_charge_once() {
    let stage = Stage::with(|options| options.replicas(Service::Payment, 2)).await;
    let orders: Vec<Order> = (0..20).map(|_| Order::by("pm_card_sandboxSlow")).collect();
    stage.reserve_all(&orders).await;
    for _ in 0..20 {
        // Leases end while their holders are still at it: others take the jobs, again and again. Time itself is tested
        // here: the slow charge runs meanwhile, and no event tells when to end the next lease.
        stage.end_leases().await;
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    }
    for order in &orders {
        stage.until(order.id, "charged").await;
        let succeeded = stage.intents(order.id).await.into_iter().filter(|intent| intent.status == "succeeded");
        assert_eq!(succeeded.count(), 1);
    }
    stage.assert_at_rest().await;
}

#[tokio::test]
async fn cards_wait_for_a_provider_that_is_away() {
    let stage = Stage::up().await;
    stage.stack.kill9(Program::SandboxProvider).await.expect("it runs");
    let (paid, failed) = (Order::by("pm_card_visa"), Order::by("pm_card_visa"));
    stage.reserve_all(&[paid.clone(), failed.clone()]).await;
    stage.until_sql("select (count(*) = 2 and min(attempts) > 1)::text from saga.jobs", "true").await;

    // Nothing was confirmed for it, so there is nobody to ask.
    stage.fail(failed.id, 0).await;
    assert_eq!(stage.answer(failed.id).await, "undone");
    stage.until(failed.id, "voided").await;

    stage.stack.start(Program::SandboxProvider).await.expect("it starts again");
    stage.until(paid.id, "charged").await;
    assert_eq!(stage.intent(paid.id).await.status, "succeeded");
    assert!(stage.intents(failed.id).await.is_empty());
    stage.assert_at_rest().await;
}

#[tokio::test]
async fn a_wrong_key_declines_nothing() {
    let stage = Stage::with(|options| options.env(Service::Payment, "PROVIDER_KEY", "sk_wrong")).await;
    let order = Order::by("pm_card_visa");
    stage.reserve(&order).await;
    let tried = format!("select (attempts > 2)::text from saga.jobs where saga_id = '{}'", order.id);
    stage.until_sql(&tried, "true").await;
    stage.stack.set_env(Service::Payment, "PROVIDER_KEY", Some(stage.stack.provider_key())).expect("there is one");
    assert!(stage.stack.terminate(Service::Payment).await.expect("it runs").success());
    stage.stack.start(Service::Payment).await.expect("it starts again");
    stage.until(order.id, "charged").await;
    stage.assert_at_rest().await;
}
