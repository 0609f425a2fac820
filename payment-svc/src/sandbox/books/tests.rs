use super::*;
use std::collections::BTreeMap;

fn create(books: &mut Books, payment_method: &str) -> String {
    let (currency, payment_method) = ("eur".to_owned(), payment_method.to_owned());
    let command = Command::Create { amount: 1_000, currency, payment_method, metadata: BTreeMap::new() };
    let decision = books.execute(&command, 1_000, Uuid::now_v7());
    let Some(Change::IntentCreated { intent, .. }) = decision.change else { panic!("not created: {decision:?}") };
    intent
}

fn run(books: &mut Books, command: Command) -> Decision {
    books.execute(&command, 2_000, Uuid::now_v7())
}

fn confirm(books: &mut Books, intent: &str) -> Decision {
    run(books, Command::Confirm { intent: intent.to_owned() })
}

fn refund(books: &mut Books, intent: &str, amount: i64) -> Decision {
    run(books, Command::Refund { intent: intent.to_owned(), amount: Some(amount) })
}

fn ids(answer: Result<Answer, Refusal>) -> (Vec<String>, bool) {
    let list: Value = serde_json::from_str(answer.expect("a list").body.get()).expect("json");
    let ids = list["data"].as_array().expect("data").iter().map(|one| one["id"].as_str().expect("id").to_owned());
    (ids.collect(), list["has_more"] == true)
}

fn page(limit: usize, starting_after: Option<&str>) -> Page {
    Page { limit, starting_after: starting_after.map(str::to_owned) }
}

#[test]
fn a_misbehaving_method_charges_and_then_hides_it() {
    let mut books = Books::default();
    for (method, status, delivery) in [
        ("pm_card_visa", 200, Delivery::Normal),
        ("pm_card_sandboxErrorAfterCharge", 500, Delivery::Normal),
        ("pm_card_sandboxTimeout", 200, Delivery::Withheld),
    ] {
        let intent = create(&mut books, method);
        let decision = confirm(&mut books, &intent);
        assert!(matches!(decision.change, Some(Change::IntentSucceeded { .. })), "{method}");
        assert_eq!((decision.answer.status, decision.delivery), (status, delivery), "{method}");
        let again = confirm(&mut books, &intent);
        assert!(again.change.is_none(), "{method} is charged once");
        assert_eq!((again.answer.status, again.delivery), (400, Delivery::Normal), "{method}");
    }
}

#[test]
fn only_a_confirmable_slow_intent_is_slow() {
    let mut books = Books::default();
    let (slow, fast) = (create(&mut books, "pm_card_sandboxSlow"), create(&mut books, "pm_card_visa"));
    let confirm = |intent: &str| Command::Confirm { intent: intent.to_owned() };
    assert!(books.is_slow(&confirm(&slow)));
    assert!(!books.is_slow(&confirm(&fast)));
    assert!(!books.is_slow(&confirm("pi_unknown")));
    run(&mut books, Command::Cancel { intent: slow.clone() });
    assert!(!books.is_slow(&confirm(&slow)));
}

#[test]
fn an_unknown_method_or_intent_changes_nothing() {
    let mut books = Books::default();
    let (currency, payment_method) = ("eur".to_owned(), "pm_card_unheardOf".to_owned());
    let unknown = Command::Create { amount: 1, currency, payment_method, metadata: BTreeMap::new() };
    let decision = run(&mut books, unknown);
    assert!(decision.change.is_none() && decision.answer.body.get().contains("resource_missing"));
    assert_eq!((decision.answer.status, books.len()), (400, 0));
    assert_eq!(confirm(&mut books, "pi_unknown").answer.status, 404);
    assert_eq!(refund(&mut books, "pi_unknown", 1).answer.status, 400);
}

#[test]
fn lists_are_newest_first_and_can_be_walked_to_the_end() {
    let mut books = Books::default();
    let created: Vec<_> = (0..3).map(|_| create(&mut books, "pm_card_visa")).collect();
    let newest_first: Vec<_> = created.iter().rev().cloned().collect();
    assert_eq!(ids(books.list_intents(&page(3, None))), (newest_first.clone(), false));
    assert_eq!(ids(books.list_intents(&page(2, None))), (newest_first[..2].to_vec(), true));
    assert_eq!(ids(books.list_intents(&page(2, Some(&created[1])))), (newest_first[2..].to_vec(), false));
    assert!(books.list_intents(&page(2, Some("pi_unknown"))).is_err());
}

#[test]
fn refunds_are_listed_for_their_intent_only() {
    let mut books = Books::default();
    let (a, b) = (create(&mut books, "pm_card_visa"), create(&mut books, "pm_card_visa"));
    confirm(&mut books, &a);
    confirm(&mut books, &b);
    let mut made = Vec::new();
    for (intent, amount) in [(&a, 1), (&b, 2), (&a, 3)] {
        let Some(Change::RefundCreated { refund, .. }) = refund(&mut books, intent, amount).change else {
            panic!("refused")
        };
        made.push(refund);
    }
    assert_eq!(ids(books.list_refunds(None, &page(10, None))).0, [&*made[2], &made[1], &made[0]]);
    assert_eq!(ids(books.list_refunds(Some(&a), &page(10, None))), (vec![made[2].clone(), made[0].clone()], false));
    assert_eq!(ids(books.list_refunds(Some(&a), &page(1, None))), (vec![made[2].clone()], true));
    assert_eq!(ids(books.list_refunds(Some(&a), &page(1, Some(&made[2])))), (vec![made[0].clone()], false));
    assert!(books.list_refunds(Some("pi_unknown"), &page(1, None)).is_err());
}
