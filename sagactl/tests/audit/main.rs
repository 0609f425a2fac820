//! The auditor against real databases: it is content with a clean system, and finds every lie.

use std::time::Duration;

use sagactl::audit::Database::{Inventory, Notification, Orders, Payment};
use sagactl::audit::{self, AuditError, Database, ExpectedParked};

mod ledger;
mod system;

use system::{CANCELLED_BY_CARD, CONFIRMED_BY_CARD, CONFIRMED_BY_WALLET, System, clean_ledger};

/// A change that no correct system makes, and the checks that must notice it: these and no others.
struct Lie {
    told: Database,
    sql: &'static str,
    noticed_by: &'static [&'static str],
}

const fn lie(told: Database, sql: &'static str, noticed_by: &'static [&'static str]) -> Lie {
    Lie { told, sql, noticed_by }
}

const LIES: &[Lie] = &[
    // Stock.
    lie(Inventory, "update stock set available = available + 1 where sku = 'MUG-STONE'", &["stock-balances"]),
    lie(Inventory, "insert into stock_adjustments (sku, delta) values ('MUG-STONE', 5)", &["stock-balances"]),
    lie(Inventory, "update stock set reserved = 1 where sku = 'MUG-STONE'", &["stock-totals"]),
    lie(
        Inventory,
        "update reservations set state = 'held' where order_id::text like '%a1';
         update stock set reserved = 2, sold = 0 where sku = 'TEA-SENCHA-100'",
        &["reservations-match-guards", "confirmed-orders-have-their-stock"],
    ),
    lie(
        Inventory,
        "update reservations set state = 'held' where order_id::text like '%b2';
         update stock set reserved = 1, available = available - 1 where sku = 'TEA-SENCHA-100'",
        &["reservations-match-guards", "cancelled-orders-keep-no-stock"],
    ),
    lie(
        Inventory,
        "update reservations set quantity = 1 where order_id::text like '%a1';
         update stock set sold = 1, available = available + 1 where sku = 'TEA-SENCHA-100'",
        &["confirmed-orders-have-their-stock"],
    ),
    // Money.
    lie(Payment, "update wallets set balance_minor = balance_minor + 1 where customer_id = 'anna'", &["wallets-balance"]),
    lie(
        Payment,
        "insert into wallet_movements (customer_id, order_id, kind, amount_minor)
         select customer_id, order_id, kind, amount_minor from wallet_movements where kind = 'charge' and customer_id = 'anna';
         update wallets set balance_minor = balance_minor - 2580 where customer_id = 'anna'",
        &["orders-are-charged-once", "payments-match-movements", "wallets-pay-confirmed-orders"],
    ),
    lie(
        Payment,
        "delete from wallet_movements where kind = 'refund';
         update wallets set balance_minor = balance_minor - 1290 where customer_id = 'fay'",
        &["payments-match-movements", "wallets-pay-confirmed-orders"],
    ),
    lie(
        Payment,
        "update payments set status = 'charged' where order_id::text like '%f6'",
        &["payments-match-movements", "payments-match-guards", "cancelled-orders-keep-no-money"],
    ),
    lie(Payment, "update payments set customer_id = 'eve' where order_id::text like '%c3'", &["confirmed-orders-are-paid"]),
    lie(Payment, "update payments set provider_reference = 'pi_d4' where order_id::text like '%c3'", &["payments-match-provider"]),
    // Agreement.
    lie(
        Orders,
        "update orders set status = 'cancelled', closed_at = null, answers = 3 where id::text like '%a1'",
        &[
            "orders-end-once",
            "order-steps-agree",
            "cancelled-orders-keep-no-stock",
            "cancelled-orders-keep-no-money",
            "cancelled-orders-agree",
            "wallets-pay-confirmed-orders",
            "notifications-agree",
        ],
    ),
    lie(
        Orders,
        "delete from saga.idempotency_keys where saga_id::text like '%a1' and step = 'confirm-order'",
        &["order-steps-agree"],
    ),
    lie(
        Orders,
        "update saga.idempotency_keys set verdict = 'done' where saga_id::text like '%b2' and step = 'place-order'",
        &["order-steps-agree"],
    ),
    lie(Orders, "update orders set answers = 1 where id::text like '%b2'", &["order-steps-agree", "cancelled-orders-are-answered"]),
    lie(
        Orders,
        "update saga.idempotency_keys set said_type = 'order.cancelled.v1' where saga_id::text like '%a1' and step = 'close-order'",
        &["orders-end-once"],
    ),
    lie(
        Inventory,
        "delete from saga.idempotency_keys where saga_id::text like '%b2' and step = 'compensate'",
        &["cancelled-orders-agree"],
    ),
    lie(
        Payment,
        "update saga.idempotency_keys set verdict = 'done' where saga_id::text like '%e5' and step = 'charge-payment'",
        &["payments-match-guards", "cancelled-orders-agree"],
    ),
    lie(
        Payment,
        "delete from saga.idempotency_keys where saga_id::text like '%c3'",
        &["payments-match-guards", "confirmed-orders-agree"],
    ),
    lie(Notification, "update notifications set kind = 'cancelled' where order_id::text like '%a1'", &["notifications-agree"]),
    // Nothing is stuck.
    lie(Orders, "update orders set status = 'cancelling' where id::text like '%e5'", &["orders-end-once", "orders-finish"]),
    lie(Orders, "update orders set closed_at = null where id::text like '%c3'", &["order-steps-agree", "confirmed-orders-close"]),
    lie(
        Payment,
        "update saga.idempotency_keys set verdict = 'undoing' where saga_id::text like '%e5' and step = 'compensate'",
        &["guards-settle", "cancelled-orders-agree"],
    ),
    lie(
        Notification,
        "insert into saga.outbox (id, saga_id, exchange, routing_key, type, body, owner, leased_until)
         values (gen_random_uuid(), gen_random_uuid(), 'saga.events', 'x', 'x.v1', '', gen_random_uuid(), now())",
        &["outbox-drains"],
    ),
    lie(
        Payment,
        "insert into saga.jobs (saga_id, step, phase, message_id, data)
         values (gen_random_uuid(), 'charge-payment', 'call', gen_random_uuid(), '{}')",
        &["jobs-finish"],
    ),
    lie(
        Orders,
        "insert into saga.announcements (saga_id, message_id, exchange, routing_key, type, body, due_at)
         values (gen_random_uuid(), gen_random_uuid(), 'saga.failures', '', 'order.cancelling.v1', '', now())",
        &["announcements-close"],
    ),
    lie(
        Inventory,
        "insert into saga.waiting (message_id, step, queue, type, source, announcement, body, state)
         values (gen_random_uuid(), 'reserve-stock', 'events', 'order.placed.v1', 'order-svc', 0, '', 'waiting')",
        &["waiting-empties"],
    ),
    lie(
        Inventory,
        "insert into saga.waiting (message_id, step, queue, type, source, announcement, body, state)
         values (gen_random_uuid(), 'reserve-stock', 'events', 'order.placed.v1', 'order-svc', 0, '', 'parked')",
        &["parked-as-expected"],
    ),
    // Effects.
    lie(Orders, "delete from order_lines where order_id::text like '%e5'", &["orders-have-lines"]),
    lie(Orders, "update order_lines set unit_price_minor = 1 where order_id::text like '%e5'", &["orders-have-lines"]),
    lie(
        Notification,
        "insert into notifications (message_id, order_id, kind, text)
         values (gen_random_uuid(), gen_random_uuid(), 'confirmed', 'never placed')",
        &["no-phantoms"],
    ),
    lie(
        Payment,
        "insert into payments (order_id, customer_id, amount_minor, currency, method, status)
         values ('019a0000-0000-7000-8000-000000000000', 'anna', 1, 'EUR', 'wallet', 'declined');
         insert into saga.idempotency_keys (saga_id, step, verdict, message_id)
         values ('019a0000-0000-7000-8000-000000000000', 'charge-payment', 'rejected', gen_random_uuid())",
        &["no-phantoms"],
    ),
    lie(
        Inventory,
        "insert into reservations (order_id, sku, quantity, state)
         values ('019a0000-0000-7000-8000-000000000000', 'MUG-STONE', 1, 'released')",
        &["reservations-match-guards", "no-phantoms"],
    ),
    lie(Orders, "update request_keys set customer_id = 'eve'", &["request-keys-have-orders"]),
];

#[tokio::test]
async fn a_clean_system_passes_and_every_lie_is_found() {
    let system = System::new().await;
    system.restore().await;
    let report = system.audit().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.counts["orders"], report.counts["provider intents"]), (6, 2));

    for Lie { told, sql, noticed_by } in LIES {
        system.sql(*told, sql).await;
        let report = system.audit().await;
        system.restore_database(*told).await;
        let noticed: Vec<&str> = report.failed().map(|check| check.name.as_str()).collect();
        assert_eq!(noticed, *noticed_by, "{told}: {sql}\n{report}");
    }

    let lied_about: Vec<&str> = LIES.iter().flat_map(|lie| lie.noticed_by).copied().collect();
    let ledger_only = ["provider-charges-once", "provider-pays-confirmed-orders"];
    let untested = report.checks.iter().map(|check| check.name.as_str());
    let untested: Vec<&str> =
        untested.filter(|name| !lied_about.contains(name) && !ledger_only.contains(name)).collect();
    // The tables themselves forbid this one.
    assert_eq!(untested, ["stock-not-oversold"]);
}

#[tokio::test]
async fn what_the_provider_did_behind_the_databases_is_found() {
    let system = System::new().await;
    system.restore().await;
    let failed = async |ledger: ledger::Ledger| {
        system.provider_shows(ledger);
        let report = system.audit().await;
        report.failed().map(|check| check.name.clone()).collect::<Vec<String>>()
    };
    let again = clean_ledger().intent("pi_c3b", CONFIRMED_BY_CARD, 3250, "succeeded");
    assert_eq!(failed(again).await, ["provider-charges-once", "provider-pays-confirmed-orders"]);

    let unrefunded = clean_ledger().intent("pi_d4b", CANCELLED_BY_CARD, 990, "succeeded");
    assert_eq!(failed(unrefunded).await, ["provider-charges-once", "provider-pays-confirmed-orders"]);

    let by_wallet = clean_ledger().intent("pi_a1", CONFIRMED_BY_WALLET, 2580, "succeeded");
    assert_eq!(failed(by_wallet).await, ["provider-pays-confirmed-orders", "payments-match-provider"]);

    let phantom = clean_ledger().intent("pi_x", "019a0000-0000-7000-8000-000000000000", 5, "succeeded");
    assert_eq!(failed(phantom).await, ["no-phantoms"]);
}

#[tokio::test]
async fn a_ledger_of_many_pages_is_read_to_its_end() {
    let system = System::new().await;
    system.restore().await;
    let mut ledger = ledger::Ledger::default();
    for n in 0..250 {
        ledger = ledger.intent(&format!("pi_{n}"), CANCELLED_BY_CARD, 990, "requires_payment_method");
    }
    let clean = clean_ledger();
    ledger.intents.extend(clean.intents);
    ledger.refunds.extend(clean.refunds);
    system.provider_shows(ledger);
    let report = system.audit().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.counts["provider intents"], 252);
}

#[tokio::test]
async fn what_is_younger_than_the_grace_is_under_way() {
    let mut system = System::new().await;
    system.restore().await;
    let fresh = "insert into saga.outbox (id, saga_id, exchange, routing_key, type, body, owner, leased_until)
        values (gen_random_uuid(), gen_random_uuid(), 'saga.events', 'x', 'x.v1', '', gen_random_uuid(), now())";
    system.sql(Orders, fresh).await;
    assert!(!system.audit().await.is_clean());
    system.config.grace = Duration::from_secs(60);
    assert!(system.audit().await.is_clean());
    system.sql(Orders, "update saga.outbox set created_at = created_at - interval '2 minutes'").await;
    assert!(!system.audit().await.is_clean());
}

#[tokio::test]
async fn a_system_with_work_in_flight_is_waited_for_and_then_said_to_be_restless() {
    let mut system = System::new().await;
    system.restore().await;
    system.config.parked = ExpectedParked::Nothing;
    let report = audit::until_quiescent(&system.config, Duration::from_secs(20)).await.expect("an audit");
    assert!(report.is_clean(), "{report}");
    assert!(report.check("quiescent").is_some_and(|check| check.passed));

    system
        .sql(
            Orders,
            "update orders set status = 'pending', deadline_at = now() + interval '1 hour' where id::text like '%e5'",
        )
        .await;
    let report = audit::until_quiescent(&system.config, Duration::from_millis(600)).await.expect("an audit");
    let restless = report.check("quiescent").expect("made");
    assert_eq!(restless.findings[0].id, "orders: orders pending");
}

#[tokio::test]
async fn a_database_without_tables_is_an_error_in_one_sentence() {
    let system = System::new().await;
    system.sql(Inventory, "drop table reservations").await;
    let error = audit::run(&system.config).await.expect_err("nothing to read");
    assert!(matches!(error, AuditError::MissingTable { database: Inventory, .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "the inventory database lacks what the audit reads (relation \"reservations\" does not exist): \
         has inventory's service been started on it?"
    );
}

#[tokio::test]
async fn guard_rows_past_retention_are_not_missed() {
    let system = System::new().await;
    system.restore().await;
    for database in Database::ALL {
        let retention = "alter table saga.idempotency_keys detach partition saga.every_key;
            drop table saga.every_key;
            create table saga.latest_keys partition of saga.idempotency_keys
                for values from ('019a0000-0000-7000-8000-0000000000ff') to (maxvalue)";
        system.sql(database, retention).await;
    }
    let report = system.audit().await;
    assert!(report.is_clean(), "{report}");
}
