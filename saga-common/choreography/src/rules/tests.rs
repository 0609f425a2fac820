//! Each rule fires on a choreography that breaks it, and only there.

use super::*;
use crate::shop;

/// The order system with one change.
fn broken(change: impl Fn(&mut Choreography)) -> Vec<String> {
    let mut maps = shop::maps();
    maps.iter_mut().for_each(change);
    findings(&maps).iter().map(ToString::to_string).collect()
}

fn step<'a>(map: &'a mut Choreography, name: &str) -> Option<&'a mut StepMap> {
    map.steps.iter_mut().find(|step| step.step == name)
}

#[test]
fn the_order_system_keeps_every_rule() {
    assert_eq!(findings(&shop::maps()), []);
}

#[test]
fn an_event_that_nobody_reacts_to_is_found() {
    let found = broken(|map| {
        if let Some(step) = step(map, "commit-stock") {
            step.says = Some("stock.gone.v1".to_owned());
        }
    });
    assert_eq!(
        found,
        [
            "inventory/commit-stock says `stock.gone.v1`, and nobody reacts to it",
            "order/close-order reacts to `stock.committed.v1`, and nobody says it"
        ]
    );
}

#[test]
fn an_answer_that_nobody_collects_is_found() {
    let found = broken(|map| map.steps.retain(|step| step.step != "collect-answers"));
    assert!(found.contains(&"inventory says `saga.compensated.v1`, and nobody reacts to it".to_owned()), "{found:?}");
    assert!(found.contains(&"notification/notify reacts to `order.cancelled.v1`, and nobody says it".to_owned()));
}

#[test]
fn a_step_that_cannot_be_undone_while_the_saga_can_fail_is_found() {
    let found = broken(|map| {
        if let Some(step) = step(map, "reserve-stock") {
            (step.kind, step.undo) = (StepKind::Retriable, false);
        }
    });
    let said = |failure: &str, by: &str| {
        format!(
            "inventory/reserve-stock may be done when {by} fails the saga with `{failure}`, and it has no undo: give it one, or let \
             it come after the point of no return"
        )
    };
    // The owner's own end, the charge's refusal, and the pivot's.
    assert_eq!(
        found,
        [
            said("order.cancelling.v1", "order/confirm-order"),
            said("order.cancelling.v1", "order/place-order"),
            said("payment.declined.v1", "payment/charge-payment")
        ]
    );
}

#[test]
fn a_step_beside_one_that_refuses_needs_an_undo_too() {
    // A discount is booked when the order is placed, at the same time as stock is reserved, which may fail.
    let found = broken(|map| {
        if map.participant == "payment" {
            map.steps.push(StepMap {
                step: "book-discount".to_owned(),
                kind: StepKind::Retriable,
                reacts_to: Some("order.placed.v1".to_owned()),
                says: None,
                refuses: None,
                undo: false,
            });
        }
    });
    let by_reservation =
        "payment/book-discount may be done when inventory/reserve-stock fails the saga with `stock.rejected.v1`";
    assert!(found.iter().any(|it| it.starts_with(by_reservation)), "{found:?}");
}

#[test]
fn what_the_point_of_no_return_leads_to_must_not_refuse() {
    let found = broken(|map| {
        if let Some(step) = step(map, "commit-stock") {
            step.refuses = Some("stock.lost.v1".to_owned());
        }
    });
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("order/confirm-order may be done when inventory/commit-stock fails the saga"),
        "{found:?}"
    );
}

#[test]
fn a_compensatable_step_without_an_undo_is_found() {
    let found = broken(|map| {
        if let Some(step) = step(map, "charge-payment") {
            step.undo = false;
        }
    });
    assert!(found.iter().any(|it| it.contains("when somebody fails the saga with `any failure`")), "{found:?}");
}

#[test]
fn who_would_not_hear_of_a_failure_is_found() {
    let found = broken(|map| {
        if map.participant == "inventory" {
            (map.undoes, map.answers) = (false, None);
        }
    });
    let deaf = "inventory/reserve-stock may be done when payment/charge-payment fails the saga with `payment.declined.v1`, and its \
                participant does not listen to failures";
    assert!(found.contains(&deaf.to_owned()), "{found:?}");
}

#[test]
fn a_saga_that_can_fail_has_an_owner() {
    let found = broken(|map| {
        if map.participant == "order" {
            map.answers = Some("saga.compensated.v1".to_owned());
        }
    });
    assert!(found.iter().all(|it| it.ends_with("and nobody starts it and collects the answers")), "{found:?}");
    assert_eq!(found.len(), 3);
}

#[test]
fn two_participants_of_one_name_are_found() {
    let maps: Vec<_> = shop::maps().into_iter().chain(shop::maps().into_iter().take(1)).collect();
    assert!(findings(&maps).contains(&Finding::SameName { participant: "order".to_owned() }));
}
