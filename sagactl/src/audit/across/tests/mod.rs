//! Each judge, on a clean saga and on the smallest lie.

mod messages;
mod returns;

use uuid::Uuid;

use super::*;
use crate::audit::Database;
use crate::audit::Database::{Inventory, Notification, Orders};
use crate::audit::facts::{Guard, Movements, Payment, Reservations, Said};
use crate::audit::provider::Intent;

fn order(end: End, method: &str) -> Order {
    let status = if end == End::Confirmed { "confirmed" } else { "cancelled" };
    Order {
        status: status.to_owned(),
        end,
        closed: end == End::Confirmed,
        customer_id: "anna".to_owned(),
        currency: "EUR".to_owned(),
        amount_minor: 500,
        method: method.to_owned(),
        contents: "TEA=2".to_owned(),
        required: vec!["inventory".to_owned(), "payment".to_owned()],
        return_id: None,
    }
}

fn payment(status: &str, method: &str) -> Payment {
    Payment {
        status: status.to_owned(),
        customer_id: "anna".to_owned(),
        currency: "EUR".to_owned(),
        amount_minor: 500,
        method: method.to_owned(),
        reference: (method != "wallet").then(|| "pi_1".to_owned()),
        return_id: None,
    }
}

fn intent(id: &str, status: &str, refunded_minor: i64) -> Intent {
    let (status, currency) = (status.to_owned(), "eur".to_owned());
    let refunds = usize::from(refunded_minor > 0);
    Intent { id: id.to_owned(), status, currency, amount_minor: 500, refunded_minor, refunds }
}

/// A guard row that reacted to message `heard` and said message `said`, if that is not 0.
fn guard(at: Database, step: &str, verdict: &str, heard: u128, said: (u128, &str)) -> Guard {
    Guard {
        at,
        step: step.to_owned(),
        verdict: verdict.to_owned(),
        message_id: Uuid::from_u128(heard),
        said: (said.0 > 0).then(|| Said { id: Uuid::from_u128(said.0), event_type: said.1.to_owned() }),
        said_end: false,
        young: false,
    }
}

const QUIET: (u128, &str) = (0, "");

fn confirmed(method: &str) -> Saga {
    let wallet = method == "wallet";
    Saga {
        order: Some(order(End::Confirmed, method)),
        reservations: Some(Reservations { sold: 1, contents: "TEA=2".to_owned(), ..Default::default() }),
        payment: Some(payment("charged", method)),
        movements: wallet.then_some(Movements { charged: 500, refunded: 0 }),
        guards: vec![
            guard(Orders, "place-order", "done", 1, (1, "order.placed.v1")),
            guard(Inventory, "reserve-stock", "done", 1, (2, "stock.reserved.v1")),
            guard(Database::Payment, "charge-payment", "done", 2, (3, "payment.charged.v1")),
            guard(Orders, "confirm-order", "done", 3, (4, "order.confirmed.v1")),
            guard(Inventory, "commit-stock", "done", 4, (5, "stock.committed.v1")),
            guard(Notification, "notify:4", "done", 4, QUIET),
            guard(Orders, "close-order", "done", 5, QUIET),
        ],
        guards_forgotten: false,
        notified: vec!["confirmed".to_owned()],
        intents: if wallet { Vec::new() } else { vec![intent("pi_1", "succeeded", 0)] },
    }
}

/// By the customer, after the charge: message 4 is on nobody's record.
fn cancelled(method: &str) -> Saga {
    let wallet = method == "wallet";
    Saga {
        order: Some(order(End::Cancelled, method)),
        reservations: Some(Reservations { released: 1, contents: "TEA=2".to_owned(), ..Default::default() }),
        payment: Some(payment("refunded", method)),
        movements: wallet.then_some(Movements { charged: 500, refunded: 500 }),
        guards: vec![
            guard(Orders, "place-order", "undone", 1, (1, "order.placed.v1")),
            guard(Inventory, "reserve-stock", "undone", 1, (2, "stock.reserved.v1")),
            guard(Database::Payment, "charge-payment", "undone", 2, (3, "payment.charged.v1")),
            guard(Orders, "confirm-order", "superseded", 3, QUIET),
            guard(Inventory, "compensate", "undone", 4, (5, "saga.compensated.v1")),
            guard(Database::Payment, "compensate", "undone", 4, (6, "saga.compensated.v1")),
            guard(Orders, "answer:inventory", "done", 5, QUIET),
            guard(Orders, "answer:payment", "done", 6, (7, "order.cancelled.v1")),
            guard(Notification, "notify:7", "done", 7, QUIET),
        ],
        guards_forgotten: false,
        notified: vec!["cancelled".to_owned()],
        intents: if wallet { Vec::new() } else { vec![intent("pi_1", "succeeded", 500)] },
    }
}

/// The one guard row of this step.
fn of<'a>(saga: &'a mut Saga, at: Database, step: &str) -> &'a mut Guard {
    saga.guards.iter_mut().find(|guard| guard.at == at && guard.step == step).expect("one of its steps")
}

fn without(saga: &mut Saga, at: Database, step: &str) {
    saga.guards.retain(|guard| guard.at != at || guard.step != step);
}

/// The names of the checks that object.
fn objections(saga: Saga) -> Vec<String> {
    let sagas = std::collections::BTreeMap::from([(Uuid::now_v7(), saga)]);
    let facts = Facts { sagas, has_ledger: true, ..Default::default() };
    let mut report = AuditReport::default();
    check(&facts, &ExpectedParked::Nothing, &mut report);
    report.failed().chain(report.warned()).map(|check| check.name.clone()).collect()
}

/// What a saga looks like after one lie, and who must notice.
#[track_caller]
fn lie(mut saga: Saga, lie: impl FnOnce(&mut Saga), noticed_by: &[&str]) {
    lie(&mut saga);
    assert_eq!(objections(saga), noticed_by);
}

#[test]
fn clean_sagas_of_every_kind_pass() {
    for method in ["wallet", "pm_card_visa"] {
        assert_eq!(objections(confirmed(method)), Vec::<String>::new());
        assert_eq!(objections(cancelled(method)), Vec::<String>::new());
    }
}

#[test]
fn an_undecided_order_is_not_judged() {
    let mut saga = confirmed("wallet");
    saga.order = Some(Order { end: End::Undecided, ..order(End::Confirmed, "wallet") });
    saga.reservations = None;
    saga.movements = None;
    assert_eq!(objections(saga), Vec::<String>::new());
}

#[test]
fn stock_of_a_confirmed_order_may_be_held_until_it_is_closed_and_not_longer() {
    let hold = |saga: &mut Saga| {
        let held = Reservations { held: 1, contents: "TEA=2".to_owned(), ..Default::default() };
        saga.reservations = Some(held);
    };
    lie(confirmed("wallet"), hold, &["confirmed-orders-have-their-stock"]);
    let mut open = confirmed("wallet");
    open.order = Some(Order { closed: false, ..order(End::Confirmed, "wallet") });
    lie(open, hold, &[]);
}

#[test]
fn a_confirmed_order_without_its_articles_or_its_money_is_found() {
    let stock = &["confirmed-orders-have-their-stock", "reservations-match-orders"][..];
    lie(confirmed("wallet"), |saga| saga.reservations = None, &stock[..1]);
    lie(confirmed("wallet"), |saga| saga.reservations.as_mut().expect("set").contents = "TEA=1".to_owned(), stock);
    lie(confirmed("wallet"), |saga| saga.payment = None, &["confirmed-orders-are-paid"]);
    let other = |saga: &mut Saga| saga.payment.as_mut().expect("set").amount_minor = 499;
    lie(confirmed("wallet"), other, &["payments-match-orders"]);
    lie(confirmed("wallet"), |saga| saga.movements = None, &["wallets-pay-confirmed-orders"]);
    let unpaid = |saga: &mut Saga| without(saga, Database::Payment, "charge-payment");
    lie(confirmed("wallet"), unpaid, &["confirmed-orders-agree", "messages-were-said", "events-arrive"]);
}

#[test]
fn a_cancelled_order_that_keeps_anything_is_found() {
    lie(
        cancelled("wallet"),
        |saga| saga.reservations.as_mut().expect("set").held = 1,
        &["cancelled-orders-keep-no-stock"],
    );
    lie(
        cancelled("wallet"),
        |saga| saga.movements.as_mut().expect("set").refunded = 0,
        &["wallets-pay-confirmed-orders"],
    );
    let charged = |saga: &mut Saga| saga.payment = Some(payment("charged", "wallet"));
    lie(cancelled("wallet"), charged, &["cancelled-orders-keep-no-money"]);
}

#[test]
fn a_participant_that_did_not_answer_a_failure_is_found() {
    let silent = |saga: &mut Saga| without(saga, Inventory, "compensate");
    lie(cancelled("wallet"), silent, &["cancelled-orders-agree", "messages-were-said"]);
    let kept = |saga: &mut Saga| of(saga, Database::Payment, "charge-payment").verdict = "done".to_owned();
    lie(cancelled("wallet"), kept, &["cancelled-orders-agree"]);
}

#[test]
fn being_told_of_the_other_end_is_found() {
    let both = &["notifications-agree", "customers-are-told-once"][..];
    lie(cancelled("wallet"), |saga| saga.notified.push("order.confirmed".to_owned()), both);
    lie(confirmed("wallet"), |saga| saga.notified = vec!["cancelled".to_owned()], &both[..1]);
    lie(confirmed("wallet"), |saga| saga.notified.push("confirmed".to_owned()), &both[1..]);
}

#[test]
fn traces_without_an_order_are_phantoms_and_fences_are_not() {
    lie(confirmed("wallet"), |saga| saga.order = None, &["no-phantoms"]);
    let fenced = Saga { guards: vec![guard(Inventory, "reserve-stock", "fenced", 9, QUIET)], ..Default::default() };
    assert_eq!(objections(fenced), ["messages-were-said"], "but who said that failure?");
    let kept = Saga { intents: vec![intent("pi_1", "succeeded", 0)], ..Default::default() };
    assert_eq!(objections(kept), ["no-phantoms"]);
}

#[test]
fn a_second_charge_at_the_provider_is_found() {
    let twice = |saga: &mut Saga| saga.intents.push(intent("pi_2", "succeeded", 0));
    lie(confirmed("pm_card_visa"), twice, &["provider-charges-once", "provider-pays-confirmed-orders"]);
    let halves = |saga: &mut Saga| saga.intents[0].refunds = 2;
    lie(cancelled("pm_card_visa"), halves, &["provider-charges-once"]);
    let unconfirmed = |saga: &mut Saga| saga.intents.push(intent("pi_2", "requires_confirmation", 0));
    lie(confirmed("pm_card_visa"), unconfirmed, &[]);
}

#[test]
fn money_that_the_provider_kept_or_lost_is_found() {
    let both = &["provider-pays-confirmed-orders", "payments-match-provider"][..];
    lie(cancelled("pm_card_visa"), |saga| saga.intents[0].refunded_minor = 0, both);
    lie(confirmed("pm_card_visa"), |saga| saga.intents[0].refunded_minor = 500, both);
    lie(confirmed("pm_card_visa"), |saga| saga.intents.clear(), both);
    lie(confirmed("pm_card_visa"), |saga| saga.intents[0].currency = "usd".to_owned(), &both[..1]);
}

#[test]
fn a_payment_that_names_the_wrong_intent_is_found() {
    let other = |saga: &mut Saga| saga.payment.as_mut().expect("set").reference = Some("pi_9".to_owned());
    lie(confirmed("pm_card_visa"), other, &["payments-match-provider"]);
    let voided = |saga: &mut Saga| {
        saga.payment = Some(payment("voided", "pm_card_visa"));
        saga.intents = vec![intent("pi_1", "requires_confirmation", 0)];
    };
    lie(cancelled("pm_card_visa"), voided, &["payments-match-provider"]);
}

#[test]
fn exactly_the_expected_messages_are_parked() {
    let (poison, other) = (Uuid::now_v7(), Uuid::now_v7());
    let row = Parked {
        database: Database::Payment,
        message_id: poison,
        step: "charge-payment".to_owned(),
        reason: "no such type".to_owned(),
    };
    let found = [row];
    let count = |expected| parked(&found, &expected).len();
    assert_eq!(count(ExpectedParked::Nothing), 1);
    assert_eq!(count(ExpectedParked::Count(1)), 0);
    assert_eq!(count(ExpectedParked::Count(2)), 1);
    assert_eq!(count(ExpectedParked::Messages(vec![poison])), 0);
    assert_eq!(count(ExpectedParked::Messages(vec![poison, other])), 1);
    assert_eq!(count(ExpectedParked::Messages(vec![other])), 2, "one missing, one unexpected");
}

#[test]
fn guard_rows_past_retention_are_not_missed() {
    let mut old = cancelled("wallet");
    (old.guards, old.guards_forgotten) = (Vec::new(), true);
    assert_eq!(objections(old), Vec::<String>::new());
}
