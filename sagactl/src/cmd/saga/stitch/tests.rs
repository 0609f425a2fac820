//! Stories told in the wrong order, by clocks that disagree, with parts missing.

use chrono::TimeDelta;
use serde_json::json;

use super::*;
use crate::client::{MapStep, Said};

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// A step at `ms` that reacted to message `on` and said `said`.
fn step(step: &str, verdict: &str, ms: i64, on: u128, said: Option<(&str, u128)>) -> StoryStep {
    StoryStep {
        step: step.to_owned(),
        verdict: verdict.to_owned(),
        message_id: Some(id(on)),
        causation_id: None,
        said: said.map(|(kind, n)| Said { kind: kind.to_owned(), message_id: id(n), body: None }),
        detail: None,
        at: DateTime::UNIX_EPOCH + TimeDelta::milliseconds(ms),
    }
}

fn part(service: Service, steps: Vec<StoryStep>) -> (Service, Story) {
    (service, Story { service: service.name().to_owned(), saga_id: id(0), steps, waiting: Vec::new() })
}

fn map(service: Service, steps: &[(&str, &[&str], bool)]) -> (Service, Choreography) {
    let step = |(name, on, undo): &(&str, &[&str], bool)| MapStep {
        step: (*name).to_owned(),
        kind: "compensatable".to_owned(),
        reacts_to: on.iter().map(|kind| (*kind).to_owned()).collect(),
        undo: *undo,
        ..MapStep::default()
    };
    (service, Choreography { participant: service.name().to_owned(), steps: steps.iter().map(step).collect() })
}

fn maps() -> Vec<(Service, Choreography)> {
    vec![
        map(
            Service::Order,
            &[
                ("place-order", &[], true),
                ("confirm-order", &["payment.charged.v1"], false),
                ("collect-answers", &["saga.compensated.v1"], false),
            ],
        ),
        map(Service::Inventory, &[("reserve-stock", &["order.placed.v1"], true)]),
        map(Service::Payment, &[("charge-payment", &["stock.reserved.v1"], true)]),
        map(Service::Notification, &[("notify", &["order.confirmed.v1"], false)]),
    ]
}

fn steps(view: &SagaView) -> Vec<&str> {
    view.lines.iter().map(|line| line.step.as_str()).collect()
}

fn owed(view: &SagaView) -> Vec<(Service, &str)> {
    view.expected.iter().map(|expected| (expected.service, expected.step.as_str())).collect()
}

#[test]
fn causes_come_before_effects_even_when_clocks_disagree() {
    let stories = [
        // Payment's clock is two seconds behind, order's one second ahead of inventory's.
        part(Service::Payment, vec![step("charge-payment", "done", -2000, 2, Some(("payment.charged.v1", 3)))]),
        part(Service::Inventory, vec![step("reserve-stock", "done", 10, 1, Some(("stock.reserved.v1", 2)))]),
        part(
            Service::Order,
            vec![
                step("confirm-order", "done", 1050, 3, Some(("order.confirmed.v1", 4))),
                step("place-order", "done", 1000, 1, Some(("order.placed.v1", 1))),
            ],
        ),
    ];
    let view = stitch(id(0), &stories, &maps(), Vec::new());
    assert_eq!(view.lines[0].reacted_to, None, "it said that itself");
    assert_eq!(steps(&view), ["place-order", "reserve-stock", "charge-payment", "confirm-order"]);
    assert_eq!(view.lines[2].reacted_to.as_deref(), Some("stock.reserved.v1"));
    assert_eq!(owed(&view), [(Service::Notification, "notify")]);
}

#[test]
fn a_step_is_expected_until_its_service_has_a_line_or_has_set_the_message_aside() {
    let placed = part(Service::Order, vec![step("place-order", "done", 0, 1, Some(("order.placed.v1", 1)))]);
    let view = stitch(id(0), &[placed.clone(), part(Service::Inventory, Vec::new())], &maps(), Vec::new());
    assert_eq!(owed(&view), [(Service::Inventory, "reserve-stock")]);

    let mut inventory = part(Service::Inventory, Vec::new());
    let parked = json!({"message_id": id(1), "step": "reserve-stock", "state": "parked", "attempts": 9});
    inventory.1.waiting.push(serde_json::from_value(parked).expect("a waiting message"));
    let view = stitch(id(0), &[placed, inventory], &maps(), Vec::new());
    assert_eq!(owed(&view), []);
    assert_eq!(view.waiting.len(), 1);
}

#[test]
fn a_listener_and_a_collected_answer_are_known_by_their_message() {
    let stories = [
        part(
            Service::Order,
            vec![
                step("place-order", "done", 0, 1, Some(("order.placed.v1", 1))),
                step("answer:payment", "done", 5, 9, None),
            ],
        ),
        part(Service::Inventory, vec![step("reserve-stock", "rejected", 1, 1, Some(("stock.rejected.v1", 7)))]),
        part(Service::Payment, vec![step("compensate", "fenced", 2, 7, Some(("saga.compensated.v1", 9)))]),
    ];
    let view = stitch(id(0), &stories, &maps(), Vec::new());
    assert_eq!(owed(&view), [(Service::Inventory, "compensate")], "payment has answered, and order has heard it");
}

#[test]
fn nothing_is_expected_of_a_silent_service() {
    let placed = part(Service::Order, vec![step("place-order", "done", 0, 1, Some(("order.placed.v1", 1)))]);
    let silent = Silence { service: Service::Inventory, reason: "Connection refused".to_owned() };
    let maps: Vec<_> = maps().into_iter().filter(|(service, _)| *service != Service::Inventory).collect();
    let view = stitch(id(0), &[placed], &maps, vec![silent]);
    assert_eq!(owed(&view), []);
    assert_eq!(view.silent.len(), 1);
}
