//! Orders: one end each, and everybody agrees with it.

use sagactl::audit::Database::{Inventory, Notification, Orders, Payment};

use super::{Corruption, sql};

pub(super) const ALL: &[Corruption] = &[
    sql(
        3,
        "a confirmed order that was cancelled later",
        (Orders, "update orders set status = 'cancelled', closed_at = null, answers = 3 where id = '{wallet}'"),
        &[
            "orders-end-once",
            "order-steps-agree",
            "cancelled-orders-keep-no-stock",
            "cancelled-orders-keep-no-money",
            "cancelled-orders-agree",
            "wallets-pay-confirmed-orders",
            "notifications-agree",
            "seen-ends-stay",
            "cancels-keep-their-word",
        ],
    ),
    sql(
        3,
        "a cancelled order that was confirmed later",
        (Orders, "update orders set status = 'confirmed', closed_at = now() where id = '{fenced}'"),
        &[
            "orders-end-once",
            "order-steps-agree",
            "confirmed-orders-have-their-stock",
            "confirmed-orders-are-paid",
            "confirmed-orders-agree",
            "wallets-pay-confirmed-orders",
            "notifications-agree",
            "seen-ends-stay",
            "cancels-keep-their-word",
        ],
    ),
    sql(
        3,
        "an order with both ends said",
        (
            Orders,
            "update saga.idempotency_keys set said_type = 'order.cancelled.v1', said_id = gen_random_uuid()
             where saga_id = '{wallet}' and step = 'close-order'",
        ),
        &["orders-end-once", "ends-are-said-once", "guards-have-their-words", "events-arrive?"],
    ),
    sql(
        3,
        "an end that was said twice",
        (
            Orders,
            "update saga.idempotency_keys set said_type = 'order.cancelled.v1', said_id = gen_random_uuid()
             where saga_id = '{refunded}' and step like 'answer:%' and said_id is null",
        ),
        &["ends-are-said-once", "guards-have-their-words", "events-arrive?"],
    ),
    sql(
        3,
        "an end that nobody has said",
        (
            Orders,
            "update saga.idempotency_keys set said_type = null, said_id = null
             where saga_id = '{refunded}' and said_type like 'order.cancelled%'",
        ),
        &["ends-are-said-once", "messages-were-said"],
    ),
    sql(
        4,
        "a decision without its guard row",
        (Orders, "delete from saga.idempotency_keys where saga_id = '{wallet}' and step = 'confirm-order'"),
        &["ends-are-said-once", "order-steps-agree", "messages-were-said", "events-arrive?"],
    ),
    sql(
        4,
        "a cancelled order whose placement stands",
        (
            Orders,
            "update saga.idempotency_keys set verdict = 'done' where saga_id = '{declined}' and step = 'place-order'",
        ),
        &["order-steps-agree"],
    ),
    sql(
        4,
        "a cancelled order that a participant has not answered",
        (Orders, "update orders set answers = 1 where id = '{declined}'"),
        &["order-steps-agree", "cancelled-orders-are-answered"],
    ),
    sql(
        4,
        "a participant that never answered",
        (Inventory, "delete from saga.idempotency_keys where saga_id = '{declined}' and step = 'compensate'"),
        &["cancelled-orders-agree", "messages-were-said", "events-are-handled"],
    ),
    sql(
        4,
        "a step that stands in a cancelled order",
        (
            Payment,
            "update saga.idempotency_keys set verdict = 'done' where saga_id = '{out-of-stock}' and step = 'charge-payment'",
        ),
        &["payments-match-guards", "cancelled-orders-agree", "messages-were-said"],
    ),
    sql(
        4,
        "a charge without its guard row",
        (Payment, "delete from saga.idempotency_keys where saga_id = '{card}'"),
        &["payments-match-guards", "confirmed-orders-agree", "messages-were-said", "events-arrive?"],
    ),
    sql(
        4,
        "a customer who was told the other end",
        (Notification, "update notifications set kind = 'cancelled' where order_id = '{wallet}'"),
        &["notifications-agree"],
    ),
    sql(
        6,
        "a customer who was told twice",
        (
            Notification,
            "insert into notifications (message_id, order_id, kind, text)
             select gen_random_uuid(), order_id, kind, text from notifications where order_id = '{wallet}'",
        ),
        &["notifications-match-guards", "customers-are-told-once"],
    ),
    sql(
        6,
        "a notification that was not written",
        (Notification, "delete from notifications where order_id = '{wallet}'"),
        &["notifications-match-guards"],
    ),
    sql(
        10,
        "a notification of an order that nobody placed",
        (
            Notification,
            "insert into notifications (message_id, order_id, kind, text)
             values (gen_random_uuid(), '019a0000-0000-7000-8000-000000000000', 'confirmed', 'never placed')",
        ),
        &["no-phantoms"],
    ),
    sql(
        11,
        "an order without lines",
        (Orders, "delete from order_lines where order_id = '{out-of-stock}'"),
        &["orders-have-lines", "told-orders-exist", "orders-were-asked-for"],
    ),
    sql(
        11,
        "an order at another price",
        (Orders, "update order_lines set unit_price_minor = 1 where order_id = '{out-of-stock}'"),
        &["orders-have-lines"],
    ),
    sql(
        11,
        "an order that is gone",
        (
            Orders,
            "delete from order_lines where order_id = '{out-of-stock}';
             delete from request_keys where order_id = '{out-of-stock}';
             delete from orders where id = '{out-of-stock}'",
        ),
        &["placed-orders-exist", "no-phantoms", "told-orders-exist", "seen-ends-stay"],
    ),
    sql(
        11,
        "a request key of somebody else",
        (Orders, "update request_keys set customer_id = 'eve' where order_id = '{wallet}'"),
        &["request-keys-have-orders"],
    ),
    sql(
        12,
        "an order undecided past its deadline",
        (Orders, "update orders set status = 'cancelling', deadline_at = now() - interval '1 s' where id = '{fenced}'"),
        &["orders-end-once", "orders-finish", "seen-ends-stay"],
    ),
    sql(
        12,
        "a confirmed order that is not closed",
        (Orders, "update orders set closed_at = null where id = '{card}'"),
        &["order-steps-agree", "confirmed-orders-close"],
    ),
    sql(
        12,
        "an order that was cancelled long after its deadline",
        (
            Orders,
            "update orders set updated_at = greatest(deadline_at, now()) + interval '31 s' where id = '{declined}'",
        ),
        &["orders-end-in-time"],
    ),
    sql(
        12,
        "an order that was confirmed long after its deadline",
        (
            Orders,
            "update saga.idempotency_keys set settled_at = now() + interval '62 s'
             where saga_id = '{card}' and step = 'confirm-order'",
        ),
        &["orders-end-in-time"],
    ),
];
