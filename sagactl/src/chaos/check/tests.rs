use chrono::Utc;

use super::*;

const BODY: &str = r#"{"customer_id":"anna","currency":"EUR","payment_method":"wallet","items":[{"sku":"TEA","quantity":2},{"sku":"MUG","quantity":1}]}"#;
const CONTENT: &str = "anna EUR wallet 1 MUG, 2 TEA";

fn line(what: What) -> Line {
    Line { at: Utc::now(), what }
}

fn asked(key: &str) -> Line {
    line(What::Asked { key: key.into(), customer: "anna".into(), body: BODY.into() })
}

fn told(key: &str, order: Uuid, state: &str) -> Line {
    line(What::Told { key: key.into(), status: 202, order: Some(order), state: Some(state.into()) })
}

fn stored(key: &str, status: &str) -> Stored {
    Stored { status: status.into(), content: CONTENT.into(), keys: BTreeSet::from([key.to_owned()]) }
}

fn violated(history: &[Line], orders: Orders) -> Vec<String> {
    check(history, &orders).into_iter().filter(|it| !it.passed).map(|it| it.name).collect()
}

#[test]
fn what_agrees_passes() {
    let (a, b) = (Uuid::now_v7(), Uuid::now_v7());
    let history = [
        asked("1"),
        told("1", a, "pending"),
        told("1", a, "confirmed"),
        line(What::ToldOfCancel { order: a, status: 409 }),
        // Nobody was told of this one: the answer was lost.
        asked("2"),
        // And this one was never placed.
        asked("3"),
    ];
    let orders = Orders::from([(a, stored("1", "confirmed")), (b, stored("2", "cancelled"))]);
    assert_eq!(violated(&history, orders), Vec::<String>::new());
}

#[test]
fn every_lie_is_found() {
    let (a, b) = (Uuid::now_v7(), Uuid::now_v7());
    let one = |status: &str| Orders::from([(a, stored("1", status))]);
    let placed = [asked("1"), told("1", a, "pending")];
    assert_eq!(violated(&placed, Orders::new()), ["told-orders-exist"]);
    let other = Stored { content: "anna EUR wallet 9 MUG".into(), ..stored("1", "confirmed") };
    assert_eq!(violated(&placed, Orders::from([(a, other)])), ["told-orders-exist", "orders-were-asked-for"]);
    assert_eq!(violated(&placed, one("pending")), ["told-orders-end"]);
    let twice = [asked("1"), told("1", a, "pending"), told("1", b, "pending")];
    let both = Orders::from([(a, stored("1", "confirmed")), (b, stored("1", "confirmed"))]);
    assert_eq!(violated(&twice, both.clone()), ["one-order-per-key"]);
    assert_eq!(violated(&placed, both), ["one-order-per-key"], "also if nobody was told of the second");
    assert_eq!(violated(&[], one("confirmed")), ["orders-were-asked-for"]);
    let ended = [asked("1"), told("1", a, "cancelled")];
    assert_eq!(violated(&ended, one("confirmed")), ["told-orders-end"]);
    for (status, end) in [(202, "confirmed"), (409, "cancelled")] {
        let cancel = [asked("1"), told("1", a, "pending"), line(What::ToldOfCancel { order: a, status })];
        assert_eq!(violated(&cancel, one(end)), ["cancels-keep-their-word"]);
    }
}
