use super::*;

pub(in super::super) fn intent(method: Method) -> Intent {
    Intent {
        id: "pi_1".into(),
        amount: 1_000,
        currency: "eur".into(),
        method,
        metadata: BTreeMap::new(),
        status: Status::RequiresConfirmation,
        created_ms: 1_000,
        canceled_ms: None,
        charge: None,
        decline_code: None,
        refunded: 0,
    }
}

fn confirmed(method: Method) -> Intent {
    let mut intent = intent(method);
    let change = intent.confirm("ch_1".into()).expect("confirm is legal").expect("it changes something");
    intent.apply(&change, 2_000).expect("the change is legal");
    intent
}

fn unexpected<T: std::fmt::Debug>(result: Result<T, Refusal>) -> bool {
    matches!(result, Err(Refusal::UnexpectedState { .. }))
}

#[test]
fn confirming_goes_where_the_method_says() {
    for (method, status, decline_code) in [
        (Method::Visa, Status::Succeeded, None),
        (Method::Timeout, Status::Succeeded, None),
        (Method::ErrorAfterCharge, Status::Succeeded, None),
        (Method::Slow, Status::Succeeded, None),
        (Method::Declined, Status::RequiresPaymentMethod, Some("generic_decline")),
        (Method::InsufficientFunds, Status::RequiresPaymentMethod, Some("insufficient_funds")),
        (Method::AuthenticationRequired, Status::RequiresAction, None),
    ] {
        let intent = confirmed(method);
        assert_eq!(intent.status, status, "{method:?}");
        assert_eq!(intent.decline_code.as_deref(), decline_code, "{method:?}");
        assert_eq!(intent.charge.is_some(), status == Status::Succeeded, "{method:?}");
    }
}

#[test]
fn an_intent_succeeds_at_most_once() {
    let intent = confirmed(Method::Visa);
    assert!(unexpected(intent.confirm("ch_2".into())));
    let again = Change::IntentSucceeded { intent: "pi_1".into(), charge: "ch_2".into() };
    assert_eq!(intent.clone().apply(&again, 3_000), Err(Impossible));
}

#[test]
fn a_declined_intent_can_only_be_cancelled() {
    let intent = confirmed(Method::Declined);
    assert!(unexpected(intent.confirm("ch_2".into())));
    assert!(unexpected(intent.refund("re_1".into(), None)));
    assert!(intent.cancel().is_ok());
}

#[test]
fn an_intent_that_waits_for_an_action_stays_as_it_is() {
    assert_eq!(confirmed(Method::AuthenticationRequired).confirm("ch_2".into()).expect("legal"), None);
}

#[test]
fn a_cancelled_intent_is_never_charged_or_cancelled_again() {
    let mut intent = intent(Method::Visa);
    let change = intent.cancel().expect("cancel is legal");
    intent.apply(&change, 2_000).expect("the change is legal");
    assert_eq!((intent.status, intent.canceled_ms), (Status::Canceled, Some(2_000)));
    assert!(unexpected(intent.confirm("ch_1".into())));
    assert!(unexpected(intent.cancel()));
    assert!(unexpected(intent.refund("re_1".into(), None)));
}

#[test]
fn a_succeeded_intent_is_refunded_and_never_cancelled() {
    let intent = confirmed(Method::Visa);
    assert!(unexpected(intent.cancel()));
    assert!(matches!(intent.refund("re_1".into(), None), Ok(Change::RefundCreated { amount: 1_000, .. })));
}

#[test]
fn refunds_never_exceed_the_charge() {
    let mut intent = confirmed(Method::Visa);
    let part = intent.refund("re_1".into(), Some(600)).expect("600 of 1000");
    intent.apply(&part, 3_000).expect("legal");
    assert!(matches!(intent.refund("re_2".into(), Some(401)), Err(Refusal::AlreadyRefunded { left: 400 })));
    assert!(matches!(intent.refund("re_2".into(), Some(i64::MAX)), Err(Refusal::AlreadyRefunded { left: 400 })));
    assert_eq!(intent.apply(&part, 3_000), Err(Impossible), "600 + 600 in a ledger");
    let rest = intent.refund("re_2".into(), None).expect("the other 400");
    intent.apply(&rest, 3_000).expect("legal");
    assert!(matches!(intent.refund("re_3".into(), None), Err(Refusal::AlreadyRefunded { left: 0 })));
}

#[test]
fn methods_have_one_name_each() {
    let names = [
        "pm_card_visa",
        "pm_card_chargeDeclined",
        "pm_card_chargeDeclinedInsufficientFunds",
        "pm_card_authenticationRequired",
        "pm_card_sandboxTimeout",
        "pm_card_sandboxErrorAfterCharge",
        "pm_card_sandboxSlow",
    ];
    assert_eq!(Method::ALL.map(Method::name), names);
    for name in names {
        let method = Method::named(name).expect(name);
        assert_eq!(serde_json::to_value(method).expect("json"), name);
    }
    assert_eq!(Method::named("pm_card_mastercard"), None);
    assert_eq!(Method::named(""), None);
}
