//! Orders that come back.

use super::*;

const RETURN: Uuid = Uuid::from_u128(77);

/// By the order's status: on its way back, or there.
fn coming_back(status: &str, method: &str) -> Saga {
    let mut saga = confirmed(method);
    saga.order = Some(Order { status: status.to_owned(), return_id: Some(RETURN), ..order(End::Confirmed, method) });
    saga
}

fn returned(method: &str) -> Saga {
    let mut saga = coming_back("returned", method);
    refund(&mut saga);
    restock(&mut saga);
    saga
}

fn refund(saga: &mut Saga) {
    let payment = saga.payment.as_mut().expect("set");
    (payment.status, payment.return_id) = ("refunded".to_owned(), Some(RETURN));
    saga.movements.iter_mut().for_each(|moved| moved.refunded = 500);
    saga.intents.iter_mut().for_each(|intent| (intent.refunded_minor, intent.refunds) = (500, 1));
}

fn restock(saga: &mut Saga) {
    let found = saga.reservations.as_mut().expect("set");
    (found.sold, found.returned, found.returns) = (0, 1, vec![RETURN]);
}

/// The return's own saga.
fn of_the_return() -> Saga {
    Saga {
        guards: vec![
            guard(Orders, "begin-return", "done", 11, (11, "return.requested.v1")),
            guard(Inventory, "restock-return", "done", 11, (12, "return.restocked.v1")),
            guard(Database::Payment, "refund-return", "done", 11, (13, "return.refunded.v1")),
            guard(Orders, "note-restock", "done", 12, QUIET),
            guard(Orders, "note-refund", "done", 13, (14, "order.status-changed.v1")),
            guard(Notification, "notify:14", "done", 14, QUIET),
        ],
        ..Default::default()
    }
}

#[test]
fn an_order_that_is_back_is_worth_nothing_and_one_on_its_way_may_be_anywhere_between() {
    for method in ["wallet", "pm_card_visa"] {
        assert_eq!(objections(returned(method)), Vec::<String>::new());
        let between: [&[fn(&mut Saga)]; 4] = [&[], &[refund], &[restock], &[refund, restock]];
        for done in between {
            let mut saga = coming_back("returning", method);
            done.iter().for_each(|part| part(&mut saga));
            assert_eq!(objections(saga), Vec::<String>::new());
        }
    }
    assert_eq!(objections(of_the_return()), Vec::<String>::new());
}

#[test]
fn money_or_stock_of_a_returned_order_that_is_not_back_is_found() {
    let stock = &["returned-orders-are-restocked"][..];
    lie(returned("wallet"), |saga| saga.reservations.as_mut().expect("set").sold = 1, stock);
    lie(returned("wallet"), |saga| saga.reservations.as_mut().expect("set").returns = vec![Uuid::nil()], stock);
    let money = &["returned-orders-are-refunded"][..];
    lie(returned("wallet"), |saga| saga.payment.as_mut().expect("set").status = "refunding".to_owned(), money);
    lie(returned("wallet"), |saga| saga.payment.as_mut().expect("set").return_id = None, money);
    let kept = |saga: &mut Saga| saga.movements.as_mut().expect("set").refunded = 0;
    lie(returned("wallet"), kept, &["wallets-pay-confirmed-orders"]);
    let both = &["provider-pays-confirmed-orders", "payments-match-provider"];
    lie(returned("pm_card_visa"), |saga| saga.intents[0].refunded_minor = 0, both);
}

#[test]
fn what_comes_back_without_a_return_is_found() {
    lie(confirmed("wallet"), restock, &["confirmed-orders-have-their-stock"]);
    lie(confirmed("wallet"), refund, &["confirmed-orders-are-paid", "wallets-pay-confirmed-orders"]);
    lie(cancelled("wallet"), restock, &["cancelled-orders-keep-no-stock"]);
}

#[test]
fn a_part_of_a_return_that_somebody_has_not_done_is_found() {
    let needed = [
        (Inventory, "restock-return"),
        (Database::Payment, "refund-return"),
        (Orders, "note-restock"),
        (Orders, "note-refund"),
    ];
    for (at, step) in needed {
        let mut saga = of_the_return();
        without(&mut saga, at, step);
        assert!(objections(saga).contains(&"events-are-handled".to_owned()), "{step}");
    }
    let unasked = |saga: &mut Saga| without(saga, Orders, "begin-return");
    lie(of_the_return(), unasked, &["messages-were-said"]);
}
