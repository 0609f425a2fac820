//! What became of confirmed orders: shipped, delivered, taken back.

use sagactl::audit::Database::{Inventory, Notification, Orders, Payment};

use super::{Corruption, Lie, sql};
use crate::ledger::Ledger;

pub(super) const ALL: &[Corruption] = &[
    sql(
        3,
        "an order that was delivered without having been shipped",
        (Orders, "update orders set status = 'delivered' where id = '{wallet}'"),
        &["orders-move-on-in-order"],
    ),
    sql(
        3,
        "a returned order that is delivered again",
        (Orders, "update orders set status = 'delivered' where id = '{returned}'"),
        &[
            "orders-move-on-in-order",
            "confirmed-orders-have-their-stock",
            "confirmed-orders-are-paid",
            "wallets-pay-confirmed-orders",
            "seen-ends-stay",
        ],
    ),
    sql(
        4,
        "an order that was shipped, which is on nobody's record",
        (Orders, "delete from saga.idempotency_keys where saga_id = '{returned}' and step = 'ship'"),
        &["orders-move-on-in-order", "messages-were-said"],
    ),
    sql(
        4,
        "a return that nobody began",
        (
            Orders,
            "delete from saga.idempotency_keys using returns r
             where saga_id = r.id and r.order_id = '{returned}' and step = 'begin-return'",
        ),
        &["return-steps-agree", "messages-were-said"],
    ),
    sql(
        5,
        "the last answer to a return, which nobody heard",
        (
            Orders,
            "delete from saga.idempotency_keys using returns r
             where saga_id = r.id and r.order_id = '{returned}' and step like 'note-%' and said_id is not null",
        ),
        &["return-steps-agree", "messages-were-said", "events-are-handled"],
    ),
    sql(
        12,
        "a return that is open for ever",
        (
            Orders,
            "update returns set closed_at = null, refunded_at = null where order_id = '{returned}';
             update orders set status = 'returning' where id = '{returned}'",
        ),
        &["return-steps-agree", "returns-close", "seen-ends-stay"],
    ),
    sql(
        2,
        "a returned order whose money stays",
        (
            Payment,
            "delete from wallet_movements where order_id = '{returned}' and kind = 'refund';
             update wallets set balance_minor = balance_minor - 4380 where customer_id = 'rita';
             update payments set status = 'charged', return_id = null where order_id = '{returned}'",
        ),
        &["refunds-match-guards", "returned-orders-are-refunded", "wallets-pay-confirmed-orders"],
    ),
    sql(
        6,
        "a returned order that was refunded twice",
        (
            Payment,
            "insert into wallet_movements (customer_id, order_id, kind, amount_minor)
             select customer_id, order_id, kind, amount_minor from wallet_movements
             where order_id = '{returned}' and kind = 'refund';
             update wallets set balance_minor = balance_minor + 4380 where customer_id = 'rita'",
        ),
        &["orders-are-charged-once", "payments-match-movements", "wallets-pay-confirmed-orders"],
    ),
    sql(
        6,
        "a returned order that was refunded in part",
        (
            Payment,
            "update wallet_movements set amount_minor = 4000 where order_id = '{returned}' and kind = 'refund';
             update wallets set balance_minor = balance_minor - 380 where customer_id = 'rita'",
        ),
        &["payments-match-movements", "wallets-pay-confirmed-orders"],
    ),
    sql(
        6,
        "a refund for a return, without its step",
        (
            Payment,
            "delete from saga.idempotency_keys using payments p
             where saga_id = p.return_id and p.order_id = '{returned-card}' and step = 'refund-return'",
        ),
        &["refunds-match-guards", "messages-were-said", "events-are-handled"],
    ),
    sql(
        2,
        "an order that was given back, and never came back",
        (
            Payment,
            "update payments set status = 'refunded', return_id = 'ffff0000-0000-7000-8000-000000000001'
             where order_id = '{card}'",
        ),
        &["refunds-match-guards", "confirmed-orders-are-paid", "payments-match-provider"],
    ),
    Corruption {
        invariant: 2,
        name: "a refund for a return that the provider does not know",
        lie: Lie::Ledger(|mut ledger, stage| {
            let of_order = |intent: &&serde_json::Value| {
                intent["metadata"]["order_id"] == serde_json::json!(stage.id("returned-card"))
            };
            let intent = ledger.intents.iter().find(of_order).map(|intent| intent["id"].clone());
            ledger.refunds.retain(|refund| Some(&refund["payment_intent"]) != intent.as_ref());
            Ledger { ..ledger }
        }),
        found_by: &["provider-pays-confirmed-orders", "payments-match-provider"],
    },
    sql(
        1,
        "what came back and is not on the shelf",
        (
            Inventory,
            "update stock s set available = s.available - r.quantity from reservations r
             where r.order_id = '{returned}' and r.sku = s.sku",
        ),
        &["stock-balances"],
    ),
    sql(
        6,
        "a returned order that was not restocked",
        (
            Inventory,
            "update stock s set available = s.available - r.quantity, sold = s.sold + r.quantity from reservations r
             where r.order_id = '{returned}' and r.sku = s.sku;
             update reservations set state = 'sold', return_id = null where order_id = '{returned}'",
        ),
        &["restocks-match-guards", "returned-orders-are-restocked"],
    ),
    sql(
        6,
        "a returned order of which one article stays sold",
        (
            Inventory,
            "update stock s set available = s.available - r.quantity, sold = s.sold + r.quantity from reservations r
             where r.order_id = '{returned}' and r.sku = s.sku and s.sku = 'MUG-STONE';
             update reservations set state = 'sold', return_id = null where order_id = '{returned}' and sku = 'MUG-STONE'",
        ),
        &["restocks-match-guards", "returned-orders-are-restocked"],
    ),
    sql(
        6,
        "articles that came back with no return",
        (
            Inventory,
            "update stock s set available = s.available + r.quantity, sold = s.sold - r.quantity from reservations r
             where r.order_id = '{card}' and r.sku = s.sku;
             update reservations set state = 'returned' where order_id = '{card}'",
        ),
        &["restocks-match-guards", "confirmed-orders-have-their-stock"],
    ),
    sql(
        6,
        "a customer who was told twice that an order is on its way",
        (
            Notification,
            "update notifications set kind = 'shipped' where order_id = '{returned}' and kind = 'returned'",
        ),
        &["notifications-match-guards", "customers-are-told-once"],
    ),
];
