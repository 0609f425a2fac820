//! What was heard and what was said.

use super::*;

#[test]
fn a_message_that_nobody_said_is_a_phantom_if_it_took_effect_and_a_stranger_if_not() {
    let phantom = &["messages-were-said"][..];
    for (at, step) in
        [(Inventory, "reserve-stock"), (Inventory, "commit-stock"), (Notification, "notify:4"), (Orders, "place-order")]
    {
        let lied = |saga: &mut Saga| of(saga, at, step).message_id = Uuid::from_u128(99);
        let lost = if at == Notification { &["messages-were-said", "events-arrive"][..] } else { phantom };
        lie(confirmed("wallet"), lied, lost);
    }
    let refused = |saga: &mut Saga| of(saga, Orders, "confirm-order").message_id = Uuid::from_u128(99);
    lie(cancelled("wallet"), refused, &["no-strangers"]);
}

#[test]
fn the_event_must_be_the_one_that_the_step_reacts_to() {
    let other = |saga: &mut Saga| of(saga, Orders, "confirm-order").message_id = Uuid::from_u128(2);
    lie(confirmed("wallet"), other, &["messages-were-said"]);
    let renamed = |saga: &mut Saga| {
        of(saga, Inventory, "reserve-stock").said =
            Some(Said { id: Uuid::from_u128(2), event_type: "stock.counted.v1".to_owned() });
    };
    lie(confirmed("wallet"), renamed, &["messages-were-said"]);
}

#[test]
fn a_failure_that_is_on_nobodys_record_is_the_owners_if_the_order_failed_and_there_is_one() {
    let two = |saga: &mut Saga| of(saga, Inventory, "compensate").message_id = Uuid::from_u128(99);
    lie(cancelled("wallet"), two, &["no-strangers"]);
    let not_failed = |saga: &mut Saga| of(saga, Orders, "place-order").verdict = "done".to_owned();
    lie(cancelled("wallet"), not_failed, &["messages-were-said"]);
}

#[test]
fn an_end_that_the_undoing_of_the_order_has_said_is_on_record_as_said_only() {
    let mut saga = cancelled("wallet");
    of(&mut saga, Orders, "answer:payment").said = None;
    assert_eq!(objections(saga.clone()), ["messages-were-said"]);
    of(&mut saga, Orders, "place-order").said_end = true;
    assert_eq!(objections(saga), Vec::<String>::new());
}

#[test]
fn an_event_that_is_needed_and_was_not_handled_is_lost() {
    let uncommitted = |saga: &mut Saga| {
        without(saga, Inventory, "commit-stock");
        without(saga, Orders, "close-order");
    };
    lie(confirmed("wallet"), uncommitted, &["events-are-handled"]);
    lie(confirmed("wallet"), |saga| without(saga, Orders, "close-order"), &["events-are-handled"]);
    lie(cancelled("wallet"), |saga| without(saga, Orders, "answer:inventory"), &["events-are-handled"]);
}

#[test]
fn a_refusal_must_be_answered_by_everybody() {
    let mut declined = cancelled("wallet");
    declined.payment = Some(payment("declined", "wallet"));
    declined.movements = None;
    let charge = of(&mut declined, Database::Payment, "charge-payment");
    charge.verdict = "rejected".to_owned();
    charge.said = Some(Said { id: Uuid::from_u128(4), event_type: "payment.declined.v1".to_owned() });
    without(&mut declined, Orders, "confirm-order");
    assert_eq!(objections(declined.clone()), Vec::<String>::new());
    without(&mut declined, Inventory, "compensate");
    without(&mut declined, Orders, "answer:inventory");
    assert_eq!(objections(declined), ["cancelled-orders-agree", "events-are-handled"]);
}

#[test]
fn an_event_whose_loss_is_healed_is_worth_a_warning() {
    lie(cancelled("wallet"), |saga| without(saga, Orders, "confirm-order"), &["events-arrive"]);
    lie(confirmed("wallet"), |saga| without(saga, Notification, "notify:4"), &["events-arrive"]);
}

#[test]
fn what_is_young_may_be_under_way_and_what_is_old_forgotten() {
    let mut young = confirmed("wallet");
    without(&mut young, Orders, "close-order");
    of(&mut young, Inventory, "commit-stock").young = true;
    assert_eq!(objections(young.clone()), Vec::<String>::new());
    of(&mut young, Inventory, "commit-stock").message_id = Uuid::from_u128(99);
    assert_eq!(objections(young.clone()), Vec::<String>::new());
    of(&mut young, Inventory, "commit-stock").young = false;
    young.guards_forgotten = true;
    assert_eq!(objections(young), Vec::<String>::new());
}
