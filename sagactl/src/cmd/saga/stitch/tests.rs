//! Stories told in the wrong order, by clocks that disagree, with parts missing.

use chrono::TimeDelta;
use serde_json::json;

use super::*;
use saga_choreography::ExpectedState;

use crate::client::{Said, built_in_maps};

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
        begun_at: None,
        at: DateTime::UNIX_EPOCH + TimeDelta::milliseconds(ms),
    }
}

fn part(service: Service, steps: Vec<StoryStep>) -> (Service, Story) {
    (
        service,
        Story { service: service.name().to_owned(), saga_id: id(0), steps, waiting: Vec::new(), announced: Vec::new() },
    )
}

fn maps() -> Vec<(Service, Choreography)> {
    Service::ALL.into_iter().zip(built_in_maps()).collect()
}

/// When the stories below are looked at.
fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(2)
}

fn steps(view: &SagaView) -> Vec<&str> {
    view.lines.iter().map(|line| line.step.as_str()).collect()
}

fn owed(view: &SagaView) -> Vec<(&str, &str)> {
    view.expected.iter().map(|expected| (expected.service.as_str(), expected.step.as_str())).collect()
}

#[test]
fn causes_come_before_effects_even_when_clocks_disagree() {
    let stories = [
        part(Service::Notification, Vec::new()),
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
    let view = stitch(id(0), &stories, &maps(), Vec::new(), now());
    assert_eq!(view.lines[0].reacted_to, None, "it said that itself");
    assert_eq!(steps(&view), ["place-order", "reserve-stock", "charge-payment", "confirm-order"]);
    assert_eq!(view.lines[2].reacted_to.as_deref(), Some("stock.reserved.v1"));
    assert_eq!(owed(&view), [("inventory-svc", "commit-stock"), ("notification-svc", "notify")]);
}

#[test]
fn a_step_that_was_undone_stays_where_it_was_done() {
    let undone = |name: &str, ms: i64, on: u128, said| StoryStep {
        begun_at: Some(DateTime::UNIX_EPOCH + TimeDelta::milliseconds(ms)),
        ..step(name, "undone", 2_000, on, said)
    };
    let stories = [
        part(Service::Order, vec![undone("place-order", 0, 1, Some(("order.placed.v1", 1)))]),
        part(Service::Inventory, vec![undone("reserve-stock", 20, 1, Some(("stock.reserved.v1", 2)))]),
        part(Service::Payment, vec![step("charge-payment", "rejected", 40, 2, Some(("payment.declined.v1", 3)))]),
    ];
    let view = stitch(id(0), &stories, &maps(), Vec::new(), now());
    assert_eq!(steps(&view), ["place-order", "reserve-stock", "charge-payment"]);
    let begun = view.lines.iter().map(|line| line.begun_at).min();
    let told: Vec<String> = view.lines.iter().map(|line| super::super::verdict(line, begun)).collect();
    assert_eq!(told, ["undone at +2000", "undone at +2000", "rejected"]);
}

#[test]
fn a_step_is_expected_until_its_service_has_a_line_and_is_parked_with_its_message() {
    let placed = part(Service::Order, vec![step("place-order", "done", 0, 1, Some(("order.placed.v1", 1)))]);
    let view = stitch(id(0), &[placed.clone(), part(Service::Inventory, Vec::new())], &maps(), Vec::new(), now());
    assert_eq!(owed(&view), [("inventory-svc", "reserve-stock")]);
    assert_eq!(view.expected[0].state, ExpectedState::Expected);

    let mut inventory = part(Service::Inventory, Vec::new());
    let parked = json!({"message_id": id(1), "step": "reserve-stock", "state": "parked", "attempts": 9});
    inventory.1.waiting.push(serde_json::from_value(parked).expect("a waiting message"));
    let view = stitch(id(0), &[placed, inventory], &maps(), Vec::new(), now());
    assert_eq!(view.expected.first().map(|it| it.state), Some(ExpectedState::Parked));
    assert_eq!(view.waiting.len(), 1);
}

#[test]
fn of_a_silent_service_it_is_unknown_whether_it_has_reacted() {
    let placed = part(Service::Order, vec![step("place-order", "done", 0, 1, Some(("order.placed.v1", 1)))]);
    let silent = Silence { service: Service::Inventory, reason: "Connection refused".to_owned() };
    let view = stitch(id(0), &[placed], &maps(), vec![silent], now());
    assert_eq!(owed(&view), [("inventory-svc", "reserve-stock")]);
    assert_eq!(view.expected[0].state, ExpectedState::Unknown);
    assert_eq!(view.silent.len(), 1);
}
