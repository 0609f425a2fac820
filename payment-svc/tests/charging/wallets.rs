//! Wallets: the ledger is in the service's own database.

use crate::stage::{Order, Stage};
use sagactl::client::{Service, Wallet};
use sagactl::stack::Program;
use uuid::Uuid;

fn euros(balance_minor: i64) -> Wallet {
    Wallet { balance_minor, currency: "EUR".into() }
}

#[tokio::test]
async fn a_wallet_pays_once_and_gets_its_money_back_once() {
    let stage = Stage::up().await;
    let order = Order::by("wallet");
    let message = Uuid::now_v7();
    for _ in 0..3 {
        stage.reserve_as(&order, message).await;
    }
    stage.until(order.id, "charged").await;
    assert_eq!(stage.client.wallet(&order.customer).await.expect("a wallet"), euros(98_710));
    let payment = stage.client.payment(order.id).await.expect("a payment");
    assert_eq!((payment.amount_minor, payment.currency.as_str(), payment.provider_reference), (1_290, "EUR", None));

    for repeats in 0..3 {
        stage.fail(order.id, repeats).await;
    }
    assert_eq!(stage.answer(order.id).await, "undone");
    stage.reserve_as(&order, message).await;
    stage.assert_at_rest().await;
    assert_eq!(stage.client.wallet(&order.customer).await.expect("a wallet"), euros(100_000));
    assert_eq!(stage.client.payment(order.id).await.expect("a payment").status, "refunded");
    let movements = stage.number("select count(*) from wallet_movements where order_id is not null").await;
    assert_eq!(movements, 2, "one charge, one refund");
}

#[tokio::test]
async fn a_wallet_that_cannot_pay_declines_and_has_nothing_to_undo() {
    let stage = Stage::up().await;
    let poor = Order::of("poor-paula", 1);
    let dear = Order::of("diana", 100_001);
    let foreign = Order { currency: "USD", ..Order::by("wallet") };
    for (order, reason) in [
        (&poor, "insufficient funds"),
        (&dear, "insufficient funds"),
        (&foreign, "the wallet holds EUR, the order is in USD"),
    ] {
        stage.reserve(order).await;
        stage.until(order.id, "declined").await;
        let story = stage.client.saga(Service::Payment, order.id).await.expect("a story");
        let said = story.steps[0].said.as_ref().expect("a refusal");
        let body = said.body.as_ref().expect("a body");
        assert_eq!((said.kind.as_str(), &body["reason"]), ("payment.declined.v1", &reason.into()));
        stage.fail(order.id, 0).await;
        assert_eq!(stage.answer(order.id).await, "nothing-to-undo");
    }
    assert_eq!(stage.client.wallet("diana").await.expect("a wallet"), euros(100_000));
    stage.assert_at_rest().await;
}

#[tokio::test]
async fn an_order_that_failed_first_is_never_charged() {
    let stage = Stage::up().await;
    for method in ["wallet", "pm_card_visa"] {
        let order = Order::by(method);
        stage.fail(order.id, 0).await;
        assert_eq!(stage.answer(order.id).await, "fenced");
        stage.reserve(&order).await;
        // What comes later has overtaken nothing: one queue, one consumer.
        let next = Order::by("wallet");
        stage.reserve(&next).await;
        stage.until(next.id, "charged").await;
        assert!(stage.client.payment(order.id).await.is_err(), "{method}");
        assert!(stage.intents(order.id).await.is_empty());
    }
    stage.assert_at_rest().await;
}

#[tokio::test]
async fn what_cannot_be_an_order_is_charged_to_nobody_and_holds_up_nobody() {
    let stage = Stage::up().await;
    let good = [Order::by("wallet"), Order::by("wallet")];
    let negative = Order { amount_minor: -1_290, ..good[0].clone() };
    let unspeakable = Order::of("nul\0", 1);
    let negative = Order { id: Uuid::now_v7(), ..negative };
    stage.reserve_all(&[good[0].clone(), negative.clone(), unspeakable.clone(), good[1].clone()]).await;
    for order in &good {
        stage.until(order.id, "charged").await;
        assert_eq!(stage.client.wallet(&order.customer).await.expect("a wallet"), euros(98_710));
    }
    let parked = format!(
        "select (state = 'parked' and reason like '%the amount is below zero%')::text
         from saga.waiting where saga_id = '{}'",
        negative.id
    );
    stage.until_sql(&parked, "true").await;
    let waits = format!("select (count(*) = 1)::text from saga.waiting where saga_id = '{}'", unspeakable.id);
    stage.until_sql(&waits, "true").await;
    for order in [negative, unspeakable] {
        assert!(stage.client.payment(order.id).await.is_err());
        stage.fail(order.id, 0).await;
        assert_eq!(stage.answer(order.id).await, "fenced");
    }
}

#[tokio::test]
async fn a_balance_can_be_set_and_is_booked_as_a_difference() {
    let stage = Stage::with(|options| options.env(Program::PaymentSvc, "OPENING_BALANCE_MINOR", 500)).await;
    let (client, name) = (&stage.client, "ärna/with a slash");
    assert_eq!(client.wallet(name).await.expect("what it would open with"), euros(500));
    assert_eq!(stage.number("select count(*) from wallets").await, 1, "reading opens none");
    for balance in [700, 0, 250, 250] {
        assert_eq!(client.put_wallet(name, &euros(balance)).await.expect("it is set"), euros(balance));
        assert_eq!(client.wallet(name).await.expect("a wallet"), euros(balance));
    }
    let dollars = Wallet { balance_minor: 9, currency: "USD".into() };
    client.put_wallet(name, &dollars).await.expect("it is set");
    assert_eq!(client.wallet(name).await.expect("a wallet"), dollars);
    for wrong in [euros(-1), euros(i64::MAX), Wallet { balance_minor: 1, currency: "euro".into() }] {
        let refused = client.put_wallet(name, &wrong).await.expect_err("no such wallet can be");
        assert!(refused.to_string().contains("422"), "{refused}");
    }
    stage.assert_at_rest().await;
    let kinds = "select string_agg(kind || ' ' || amount_minor, ', ' order by id) from wallet_movements
                 where customer_id <> 'poor-paula'";
    let booked = "opening 500, adjustment 200, adjustment -700, adjustment 250, adjustment -241";
    stage.until_sql(kinds, booked).await;
}

#[tokio::test]
async fn replicas_share_wallets_without_a_deadlock() {
    let stage =
        Stage::with(|options| options.replicas(Service::Payment, 2).env(Service::Payment, "BATCH_EVENTS", 16)).await;
    // Few customers, many orders, in ever other orders: new wallets and old ones, charges, undos and new balances.
    let customer = |n: usize| format!("c{:02}", n * 7 % 13);
    let orders: Vec<Order> = (0..640).map(|n| Order::of(&customer(n * n + n / 13), 100 + n as i64 % 7)).collect();
    let (first, rest) = orders.split_at(128);
    stage.reserve_all(first).await;
    tokio::join!(
        async {
            for half in rest.chunks(256) {
                stage.reserve_all(half).await
            }
        },
        async {
            for order in orders.iter().step_by(3) {
                stage.fail(order.id, 0).await
            }
        },
        async {
            for n in 0..100 {
                let set = stage.client.put_wallet(&customer(n), &euros(1_000_000)).await;
                set.expect("a balance can be set at any time");
            }
        },
    );
    let failed: i64 = orders.iter().step_by(3).count() as i64;
    stage
        .until_sql("select count(*)::text from saga.idempotency_keys where step = 'compensate'", &failed.to_string())
        .await;
    let paid = orders.len() as i64 - failed;
    stage.until_sql("select count(*)::text from payments where status = 'charged'", &paid.to_string()).await;
    stage.assert_at_rest().await;
    let twice = "select count(*) from (select 1 from wallet_movements where order_id is not null
                                       group by order_id, kind having count(*) > 1) d";
    assert_eq!(stage.number(twice).await, 0);
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(stage.number(deadlocks).await, 0);
}
