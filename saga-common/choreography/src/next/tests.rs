//! Stories of the order system, whole and cut off: what is waited for, and that nothing is when they are over.

use super::ExpectedState::{Expected, Late, Parked, Unknown, Waiting};
use super::*;
use crate::shop;

/// One line: service, step, verdict, the message it reacted to, what it said.
type Told = (&'static str, &'static str, &'static str, u128, Option<(&'static str, u128)>);

const PLACED: Told = ("order", "place-order", "done", 1, Some(("order.placed.v1", 1)));
const WITHDRAWN: Told = ("order", "place-order", "undone", 1, Some(("order.placed.v1", 1)));
const RESERVED: Told = ("inventory", "reserve-stock", "done", 1, Some(("stock.reserved.v1", 2)));
const RELEASED: Told = ("inventory", "reserve-stock", "undone", 1, Some(("stock.reserved.v1", 2)));
const CHARGED: Told = ("payment", "charge-payment", "done", 2, Some(("payment.charged.v1", 3)));
const CONFIRMED: Told = ("order", "confirm-order", "done", 3, Some(("order.confirmed.v1", 4)));
const COMMITTED: Told = ("inventory", "commit-stock", "done", 4, Some(("stock.committed.v1", 5)));
const CLOSED: Told = ("order", "close-order", "done", 5, None);
const NOTED: Told = ("notification", "notify:4", "done", 4, None);
/// What ends the order, said with the last answer.
const CANCELLED: u128 = 30;

fn at(ms: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::milliseconds(ms)
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// The story that these lines tell: one every ten milliseconds.
fn story<'a>(maps: &'a [Choreography], told: &[Told]) -> Story<'a> {
    let part = |map: &'a Choreography| {
        let lines = told.iter().enumerate().filter(|(_, line)| line.0 == map.participant);
        let line = |(n, (_, step, verdict, on, said)): (usize, &Told)| Line {
            step,
            verdict,
            message_id: Some(id(*on)),
            said: said.map(|(event, message)| Said::new(event, id(message), at(n as i64 * 10))),
            detail: None,
        };
        let service = map.participant.as_str();
        Part { service, map, silent: false, lines: lines.map(line).collect(), held: vec![], announced: vec![] }
    };
    Story { parts: maps.iter().map(part).collect(), maps_are_missing: false }
}

fn part<'s, 'a>(story: &'s mut Story<'a>, service: &str) -> &'s mut Part<'a> {
    story.parts.iter_mut().find(|part| part.service == service).expect("a part")
}

/// What is waited for a moment later: `service/step (event)`.
fn waits_for(told: &[Told]) -> Vec<String> {
    let maps = shop::maps();
    names(&story(&maps, told).expected(at(1_000)))
}

fn names(expected: &[Expectation]) -> Vec<String> {
    expected.iter().map(|it| format!("{}/{} ({})", it.service, it.step, it.reacts_to)).collect()
}

fn ends(told: &[Told]) -> Vec<String> {
    story(&shop::maps(), told).terminal()
}

/// How every cancelled order ends: who undid what, who answered, the end and its note.
fn undone(failure: u128, inventory: &'static str, payment: &'static str) -> Vec<Told> {
    vec![
        ("inventory", "compensate", inventory, failure, Some(("saga.compensated.v1", 20))),
        ("payment", "compensate", payment, failure, Some(("saga.compensated.v1", 21))),
        ("order", "answer:inventory", "done", 20, None),
        ("order", "answer:payment", "done", 21, Some(("order.cancelled.v1", CANCELLED))),
        ("notification", "notify:30", "done", CANCELLED, None),
    ]
}

/// All the ways an order can go, to their ends.
fn whole() -> Vec<(&'static str, Vec<Told>)> {
    let confirmed = vec![PLACED, RESERVED, CHARGED, CONFIRMED, COMMITTED, CLOSED, NOTED];
    let declined = ("payment", "charge-payment", "rejected", 2, Some(("payment.declined.v1", 10)));
    let rejected = ("inventory", "reserve-stock", "rejected", 1, Some(("stock.rejected.v1", 11)));
    let fenced = |service, step| (service, step, "fenced", 12, None);
    let with = |told: &[Told], more: Vec<Told>| [told, &more].concat();
    let mut handed_over = confirmed.clone();
    for (step, message, note) in [("ship", 40, "notify:40"), ("deliver", 41, "notify:41")] {
        handed_over.push(("order", step, "done", message, Some(("order.status-changed.v1", message))));
        handed_over.push(("notification", note, "done", message, None));
    }
    let refused = ("order", "confirm-order", "rejected", 3, Some(("order.cancelling.v1", 13)));
    let back_in_time = ("payment", "charge-payment", "undone", 2, Some(("payment.charged.v1", 3)));
    vec![
        ("confirmed", confirmed),
        ("shipped and delivered", handed_over),
        ("declined", with(&[WITHDRAWN, RELEASED, declined], undone(10, "undone", "nothing-to-undo"))),
        (
            "out of stock",
            with(&[WITHDRAWN, rejected, fenced("payment", "charge-payment")], undone(11, "nothing-to-undo", "fenced")),
        ),
        (
            "cancelled before anything was reserved",
            with(
                &[WITHDRAWN, fenced("inventory", "reserve-stock"), fenced("payment", "charge-payment")],
                undone(12, "fenced", "fenced"),
            ),
        ),
        (
            "cancelled before the charge",
            with(&[WITHDRAWN, RELEASED, fenced("payment", "charge-payment")], undone(12, "undone", "fenced")),
        ),
        (
            "cancelled after the charge",
            with(
                &[WITHDRAWN, RELEASED, back_in_time, ("order", "confirm-order", "superseded", 3, None)],
                undone(12, "undone", "undone"),
            ),
        ),
        (
            "expired, its charge lost on the way",
            with(&[WITHDRAWN, RELEASED, back_in_time], undone(12, "undone", "undone")),
        ),
        ("charged another amount", with(&[WITHDRAWN, RELEASED, back_in_time, refused], undone(13, "undone", "undone"))),
        ("returned", returned()),
    ]
}

fn returned() -> Vec<Told> {
    vec![
        ("order", "begin-return", "done", 50, Some(("return.requested.v1", 50))),
        ("payment", "refund-return", "done", 50, Some(("return.refunded.v1", 51))),
        ("inventory", "restock-return", "done", 50, Some(("return.restocked.v1", 52))),
        ("order", "note-refund", "done", 51, None),
        ("order", "note-restock", "done", 52, Some(("order.status-changed.v1", 53))),
        ("notification", "notify:53", "done", 53, None),
    ]
}

#[test]
fn nothing_is_expected_of_an_order_that_has_ended_however_it_went() {
    for (how, told) in whole() {
        assert_eq!(waits_for(&told), Vec::<String>::new(), "{how}");
        assert_eq!(ends(&told), Vec::<String>::new(), "{how}");
    }
}

#[test]
fn whatever_is_cut_off_is_expected_and_nothing_else() {
    for (how, told) in whole() {
        for (n, (service, step, verdict, ..)) in told.iter().enumerate() {
            let mut rest = told.clone();
            let (_, _, _, on, said) = rest.remove(n);
            let begins = said.is_some_and(|(_, message)| message == on);
            let expected = waits_for(&rest);
            let name = match *step {
                step if step.starts_with("notify") => "notify",
                step if step.starts_with("answer:") => "collect-answers",
                step => step,
            };
            let wanted = format!("{service}/{name} ");
            // Without the line that began it nothing was said; a failed saga does not wait for its first half; and without what
            // failed it, it has not failed as far as anybody can tell.
            let forward = matches!(name, "reserve-stock" | "charge-payment" | "confirm-order") && *verdict != "done";
            if begins || forward {
                continue;
            }
            // Everybody has answered: nobody waits for an undo that is not told.
            let over = name == "compensate";
            assert!(
                over || expected.iter().any(|it| it.starts_with(&wanted)),
                "{how}: without {service}/{step}, {wanted}is not among {expected:?}"
            );
            assert!(expected.iter().all(|it| it.starts_with(&wanted)), "{how}: without {service}/{step}, {expected:?}");
        }
    }
}

#[test]
fn step_by_step_the_next_one_is_expected() {
    assert_eq!(waits_for(&[PLACED]), ["inventory/reserve-stock (order.placed.v1)"]);
    assert_eq!(waits_for(&[PLACED, RESERVED]), ["payment/charge-payment (stock.reserved.v1)"]);
    assert_eq!(waits_for(&[PLACED, RESERVED, CHARGED]), ["order/confirm-order (payment.charged.v1)"]);
    assert_eq!(
        waits_for(&[PLACED, RESERVED, CHARGED, CONFIRMED]),
        ["inventory/commit-stock (order.confirmed.v1)", "notification/notify (order.confirmed.v1)"]
    );
    // A charge that is under way has a line: what it will say nobody knows.
    assert_eq!(waits_for(&[PLACED, RESERVED, ("payment", "charge-payment", "intent", 2, None)]), Vec::<String>::new());
}

#[test]
fn the_events_that_would_end_a_saga_are_those_that_can_still_come() {
    assert_eq!(ends(&[PLACED]), ["order.cancelled.v1", "stock.committed.v1"]);
    assert_eq!(ends(&[PLACED, RESERVED, CHARGED, CONFIRMED]), ["stock.committed.v1"]);
    assert_eq!(ends(&[PLACED, RESERVED, CHARGED, CONFIRMED, COMMITTED]), ["stock.committed.v1"]);
    assert_eq!(ends(&[WITHDRAWN, RESERVED]), ["order.cancelled.v1"]);
    assert_eq!(ends(&returned()[..1]), ["order.status-changed.v1"]);
    let maps = shop::maps();
    let mut story = story(&maps, &[PLACED]);
    story.maps_are_missing = true;
    assert_eq!(story.terminal(), Vec::<String>::new());
}

#[test]
fn a_failure_is_answered_by_everybody_who_undoes_and_its_owner_withdraws() {
    let declined = ("payment", "charge-payment", "rejected", 2, Some(("payment.declined.v1", 10)));
    assert_eq!(
        waits_for(&[PLACED, RESERVED, declined]),
        [
            "inventory/compensate (payment.declined.v1)",
            "order/place-order (payment.declined.v1)",
            "payment/compensate (payment.declined.v1)"
        ]
    );
}

#[test]
fn what_an_owner_ends_its_saga_with_is_known_while_it_is_announced() {
    let maps = shop::maps();
    let mut story = story(&maps, &[WITHDRAWN, RESERVED]);
    part(&mut story, "order").announced.push(Said::new("order.cancelling.v1", id(12), at(500)));
    let expected = story.expected(at(900));
    assert_eq!(
        names(&expected),
        ["inventory/compensate (order.cancelling.v1)", "payment/compensate (order.cancelling.v1)"]
    );
    assert_eq!((expected[0].message_id, expected[0].said_at), (id(12), at(500)));
}

#[test]
fn how_long_it_takes_and_why_it_does_not_come_are_told() {
    let maps = shop::maps();
    let mut story = story(&maps, &[PLACED]);
    let mut state = |change: &dyn Fn(&mut Part<'_>), ms: i64| {
        change(part(&mut story, "inventory"));
        story.expected(at(ms)).first().map(|it| it.state)
    };
    let held = |parked| move |part: &mut Part<'_>| part.held = vec![Held { message_id: id(1), parked }];
    assert_eq!(state(&|_| {}, 4_999), Some(Expected));
    assert_eq!(state(&|_| {}, 5_000), Some(Late));
    assert_eq!(state(&held(false), 5_000), Some(Waiting));
    assert_eq!(state(&held(true), 5_000), Some(Parked));
    assert_eq!(state(&|part| part.held = vec![Held { message_id: id(9), parked: true }], 5_000), Some(Late));
    assert_eq!(state(&|part| part.silent = true, 5_000), Some(Unknown));
}

#[test]
fn of_a_silent_service_only_that_is_unknown_which_nothing_else_tells() {
    let maps = shop::maps();
    let (_, confirmed) = whole().swap_remove(0);
    let silent = |name: &str| {
        let heard: Vec<Told> = confirmed.iter().copied().filter(|line| line.0 != name).collect();
        let mut story = story(&maps, &heard);
        part(&mut story, name).silent = true;
        names(&story.expected(at(1_000)))
    };
    // Its charge was confirmed, and its stock committed: both are done, and it shows.
    assert_eq!(silent("inventory"), Vec::<String>::new());
    assert_eq!(silent("payment"), Vec::<String>::new());
    assert_eq!(silent("notification"), ["notification/notify (order.confirmed.v1)"]);
}

#[test]
fn a_listener_that_has_not_heard_of_the_end_is_late_and_given_up_in_the_end() {
    let maps = shop::maps();
    let (_, mut told) = whole().swap_remove(0);
    told.pop();
    let story = story(&maps, &told);
    assert_eq!(story.expected(at(60_000)).first().map(|it| it.state), Some(Late));
    assert_eq!(story.expected(at(0) + GIVEN_UP_AFTER + LATE_AFTER), []);
}

#[test]
fn the_type_of_a_message_is_told_by_whoever_said_it() {
    let maps = shop::maps();
    let fenced = ("payment", "compensate", "fenced", 12, Some(("saga.compensated.v1", 21)));
    let mut story = story(&maps, &[WITHDRAWN, RESERVED, fenced]);
    part(&mut story, "order").lines[0].detail = Some("said order.cancelling.v1");
    let told = |service: &str| {
        let part = story.parts.iter().find(|part| part.service == service).expect("a part");
        story.reacted_to(&part.lines[0])
    };
    assert_eq!(told("order"), None, "it said that itself");
    assert_eq!(told("inventory"), Some("order.placed.v1"));
    assert_eq!(told("payment"), Some("order.cancelling.v1"), "nobody's line has it, but what its owner ended it with");
}
