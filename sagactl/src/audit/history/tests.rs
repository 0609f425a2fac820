use uuid::Uuid;

use super::*;
use crate::audit::facts::{End, Facts, Order, RequestKey, Saga};
use crate::audit::report::AuditReport;

const BODY: &str = r#"{"customer_id":"anna","currency":"EUR","payment_method":"wallet",
    "items":[{"sku":"TEA","quantity":2},{"sku":"MUG","quantity":1},{"sku":"TEA","quantity":1}]}"#;

fn asked(key: &str) -> Line {
    Line::Asked { key: key.to_owned(), body: BODY.to_owned() }
}

fn told(key: &str, order: Uuid, state: &str) -> Line {
    Line::Told { key: key.to_owned(), status: 202, order: Some(order), state: Some(state.to_owned()) }
}

/// What there is: order, status and key of each.
fn facts(orders: &[(Uuid, &str, &str)]) -> Facts {
    let mut facts = Facts::default();
    for (id, status, key) in orders {
        let order = Order {
            status: (*status).to_owned(),
            end: End::Undecided,
            closed: false,
            customer_id: "anna".to_owned(),
            currency: "EUR".to_owned(),
            amount_minor: 500,
            method: "wallet".to_owned(),
            contents: "MUG=1,TEA=3".to_owned(),
            required: Vec::new(),
            return_id: None,
        };
        facts.sagas.insert(*id, Saga { order: Some(order), ..Default::default() });
        let (customer_id, key) = ("anna".to_owned(), (*key).to_owned());
        facts.request_keys.push(RequestKey { customer_id, key, order_id: *id });
    }
    facts
}

fn objections(lines: Vec<Line>, facts: &Facts) -> Vec<String> {
    let before = lines.len();
    let mut report = AuditReport::default();
    check(&History { lines, before }, facts, &mut report);
    assert_eq!(report.checks.len(), 5);
    report.failed().map(|check| check.name.clone()).collect()
}

#[test]
fn what_agrees_passes() {
    let (a, b) = (Uuid::now_v7(), Uuid::now_v7());
    let lines = vec![
        asked("1"),
        told("1", a, "pending"),
        told("1", a, "confirmed"),
        Line::Seen { order: a, state: "confirmed".to_owned() },
        Line::ToldOfCancel { order: a, status: 409 },
        // Nobody was told of this one: the answer was lost.
        asked("2"),
        Line::AskedToCancel { order: b },
        Line::ToldOfCancel { order: b, status: 202 },
        // And this one was never placed.
        asked("3"),
        Line::Told { key: "3".to_owned(), status: 503, order: None, state: None },
    ];
    assert_eq!(objections(lines, &facts(&[(a, "shipped", "1"), (b, "cancelled", "2")])), Vec::<String>::new());
}

#[test]
fn every_lie_about_placement_is_found() {
    let (a, b) = (Uuid::now_v7(), Uuid::now_v7());
    let placed = || vec![asked("1"), told("1", a, "pending")];
    assert_eq!(objections(placed(), &Facts::default()), ["told-orders-exist", "seen-ends-stay"]);
    let mut other = facts(&[(a, "confirmed", "1")]);
    other.sagas.get_mut(&a).and_then(|saga| saga.order.as_mut()).expect("placed").contents = "MUG=1,TEA=9".to_owned();
    assert_eq!(objections(placed(), &other), ["told-orders-exist", "orders-were-asked-for"]);
    let other_key = facts(&[(a, "confirmed", "7")]);
    assert_eq!(objections(placed(), &other_key), ["told-orders-exist", "orders-were-asked-for"]);
    let twice = vec![asked("1"), told("1", a, "pending"), told("1", b, "pending")];
    let both = facts(&[(a, "confirmed", "1"), (b, "confirmed", "1")]);
    assert_eq!(objections(twice, &both), ["one-order-per-key", "orders-were-asked-for"]);
    assert_eq!(objections(placed(), &both), ["orders-were-asked-for"], "also if nobody was told of the second");
    assert_eq!(objections(Vec::new(), &facts(&[(a, "confirmed", "1")])), ["orders-were-asked-for"]);
}

#[test]
fn every_lie_about_an_end_is_found() {
    let a = Uuid::now_v7();
    let seen = |state: &str| vec![asked("1"), told("1", a, state)];
    for (state, found) in
        [("cancelled", "confirmed"), ("confirmed", "cancelled"), ("cancelling", "confirmed"), ("shipped", "confirmed")]
    {
        assert_eq!(objections(seen(state), &facts(&[(a, found, "1")])), ["seen-ends-stay"], "{state}, then {found}");
    }
    for (status, end) in [(202, "confirmed"), (409, "cancelled"), (404, "confirmed")] {
        let mut lines = seen("pending");
        lines.push(Line::ToldOfCancel { order: a, status });
        assert_eq!(objections(lines, &facts(&[(a, end, "1")])), ["cancels-keep-their-word"], "{status}, then {end}");
    }
}

#[test]
fn an_order_whose_key_was_forgotten_is_explained_by_what_its_client_was_told() {
    let a = Uuid::now_v7();
    let mut old = facts(&[(a, "confirmed", "1")]);
    old.request_keys.clear();
    assert_eq!(objections(vec![asked("1"), told("1", a, "pending")], &old), Vec::<String>::new());
    assert_eq!(objections(vec![asked("1")], &old), ["orders-were-asked-for"]);
}

#[test]
fn what_was_told_after_the_databases_were_read_does_not_count_and_what_was_asked_does() {
    let a = Uuid::now_v7();
    let history = History { lines: vec![asked("1"), told("1", a, "pending")], before: 1 };
    let mut report = AuditReport::default();
    check(&history, &Facts::default(), &mut report);
    assert!(report.is_clean(), "{report}");
    let history = History { before: 0, ..history };
    check(&history, &facts(&[(a, "confirmed", "1")]), &mut report);
    assert!(report.is_clean(), "{report}");
}

#[test]
fn the_load_clients_lines_are_read_and_half_a_line_is_none() {
    let order = Uuid::now_v7();
    let text = format!(
        "{}\n{}\n{}\n{}\n{}",
        r#"{"at":"2026-11-21T10:00:00Z","what":"asked","key":"k","customer":"anna","body":"{}"}"#,
        format_args!(
            r#"{{"at":"2026-11-21T10:00:01Z","what":"told","key":"k","status":202,"order":"{order}","state":"pending"}}"#
        ),
        format_args!(r#"{{"at":"2026-11-21T10:00:02Z","what":"asked-to-cancel","order":"{order}"}}"#),
        format_args!(r#"{{"at":"2026-11-21T10:00:02Z","what":"told-of-cancel","order":"{order}","status":409}}"#),
        r#"{"at":"2026-11-21T10:0"#
    );
    let first = text.find('\n').expect("a line") + 1;
    let history = parse(&text, first + 5).expect("a history");
    let expected = [
        Line::Asked { key: "k".to_owned(), body: "{}".to_owned() },
        told("k", order, "pending"),
        Line::AskedToCancel { order },
        Line::ToldOfCancel { order, status: 409 },
    ];
    assert_eq!((history.lines.as_slice(), history.before), (&expected[..], 1));
    let wrong = parse("{\"what\":\"asked\"}\n", 0).expect_err("a field is missing");
    assert!(wrong.starts_with("line 1: "), "{wrong}");
}
