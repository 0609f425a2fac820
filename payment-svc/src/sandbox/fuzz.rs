//! Whatever a client sends: a command or a refusal, and books that add up after any commands.

use super::answer::Answer;
use super::books::Books;
use super::refusal::Refusal;
use super::request::{Command, Page, Params};
use saga_fuzz::bytes::Bytes;
use saga_fuzz::{Dice, bytes, fuzz};
use serde_json::Value;
use uuid::Uuid;

const FORMS: [&str; 7] = [
    "amount=1290&currency=eur&payment_method=pm_card_visa&metadata[order_id]=a%26b&payment_method_types[]=card",
    "amount=9223372036854775807&currency=USD&payment_method=pm_card_chargeDeclined&confirm=false",
    "amount=1&currency=eur&payment_method=pm_card_authenticationRequired",
    "amount=700&payment_intent=pi_1",
    "payment_intent=pi_1&reason=requested_by_customer",
    "limit=100&starting_after=pi_1",
    "",
];

fn form(dice: &mut Dice) -> Bytes {
    let valid = dice.pick(&FORMS).as_bytes();
    if dice.one_in(2) { Bytes(valid.to_vec()) } else { bytes::spoiled(dice, valid) }
}

#[test]
fn fuzz_forms() {
    let outcomes = fuzz("provider's forms", 10_000, form, |Bytes(form)| {
        let params = Params::parse(form);
        assert_eq!(Params::parse(params.canonical().as_bytes()), params);
        if let Ok(page) = params.clone().page() {
            assert!((1..=100).contains(&page.limit));
        }
        let amount = match (params.clone().create(), params.clone().refund()) {
            (Ok(Command::Create { amount, currency, .. }), _) => {
                assert!(currency.len() == 3);
                Some(amount)
            }
            (_, Ok(Command::Refund { amount, .. })) => amount,
            _ => return if params.confirm("pi_1".into()).is_ok() { "nothing" } else { "refused" },
        };
        assert!(amount.is_none_or(|amount| amount > 0));
        "command"
    });
    assert_eq!(outcomes.len(), 3, "all were met: {outcomes:?}");
}

#[test]
fn fuzz_books() {
    let session =
        |dice: &mut Dice| -> Vec<(usize, Bytes)> { (0..dice.below(20)).map(|_| (dice.below(4), form(dice))).collect() };
    let outcomes = fuzz("provider's books", 1_000, session, |calls| {
        let (mut books, mut id, mut refused) = (Books::default(), "pi_1".to_owned(), false);
        for (n, (verb, Bytes(form))) in calls.iter().enumerate() {
            let params = Params::parse(form);
            let command = match verb {
                0 => params.create(),
                1 => params.confirm(id.clone()),
                2 => params.cancel(id.clone()),
                _ => params.refund().map(|command| match command {
                    Command::Refund { amount, .. } => Command::Refund { intent: id.clone(), amount },
                    other => other,
                }),
            };
            let Ok(command) = command else { continue };
            let answer = books.execute(&command, 1, Uuid::from_u128(n as u128)).answer;
            let body: Value = serde_json::from_str(answer.body.get()).expect("JSON");
            assert!((200..500).contains(&answer.status), "{body}");
            refused |= answer.status >= 400;
            if *verb == 0 && answer.status == 200 {
                id = body["id"].as_str().expect("an id").to_owned();
            }
        }
        let read = |answer: Result<Answer, Refusal>| -> Value {
            let answer = answer.unwrap_or_else(Answer::from);
            serde_json::from_str(answer.body.get()).expect("JSON")
        };
        let list = read(books.list_refunds(Some(&id), &Page { limit: 100, starting_after: None }));
        let refunds = list["data"].as_array().into_iter().flatten().filter_map(|refund| refund["amount"].as_i64());
        let refunded: i128 = refunds.map(i128::from).sum();
        let received = read(books.retrieve(&id))["amount_received"].as_i64().unwrap_or(0);
        assert!(refunded <= i128::from(received), "{refunded} given back of {received}");
        if refused { "with refusals" } else { "all carried out" }
    });
    assert_eq!(outcomes.len(), 2, "{outcomes:?}");
}
