//! The engine's own rows, queues and connections: nothing is lost, stuck, leaked or made up.

use sagactl::audit::Database::{Inventory, Notification, Orders, Payment};

use super::{Corruption, Lie, sql, with_poison};

const fn lie(invariant: u8, name: &'static str, lie: Lie, found_by: &'static [&'static str]) -> Corruption {
    Corruption { invariant, name, lie, found_by }
}

pub(super) const ALL: &[Corruption] = &[
    // 5: no lost event.
    sql(
        5,
        "a confirmation that inventory did not handle",
        (Inventory, "delete from saga.idempotency_keys where saga_id = '{wallet}' and step = 'commit-stock'"),
        &["reservations-match-guards", "messages-were-said", "events-are-handled"],
    ),
    sql(
        5,
        "a commit that the order did not handle",
        (Orders, "delete from saga.idempotency_keys where saga_id = '{wallet}' and step = 'close-order'"),
        &["order-steps-agree", "events-are-handled"],
    ),
    sql(
        5,
        "an answer that the order did not handle",
        (Orders, "delete from saga.idempotency_keys where saga_id = '{refunded}' and step like 'answer:%' and said_id is null"),
        &["order-steps-agree", "events-are-handled"],
    ),
    sql(
        5,
        "a refusal that payment did not hear",
        (Payment, "delete from saga.idempotency_keys where saga_id = '{out-of-stock}'"),
        &["cancelled-orders-agree", "messages-were-said", "events-are-handled"],
    ),
    sql(
        5,
        "an end that no customer was told",
        (
            Notification,
            "delete from notifications where order_id = '{wallet}'; delete from saga.idempotency_keys where saga_id = '{wallet}'",
        ),
        &["events-arrive?"],
    ),
    sql(
        5,
        "a late charge that the order did not handle",
        (Orders, "delete from saga.idempotency_keys where saga_id = '{refunded}' and step = 'confirm-order'"),
        &["events-arrive?"],
    ),
    sql(
        5,
        "a word that is not on record",
        (
            Inventory,
            "delete from saga.said s using saga.idempotency_keys k
             where k.saga_id = '{wallet}' and k.step = 'reserve-stock' and s.unit = k.said_unit",
        ),
        &["guards-have-their-words"],
    ),
    lie(5, "a message that nobody has taken", Lie::Queue("inventory.events"), &["queues-drain"]),
    // 7: nothing half-way.
    sql(
        7,
        "an undo that nobody finishes",
        (
            Payment,
            "update saga.idempotency_keys set verdict = 'undoing' where saga_id = '{card-refunded}' and step = 'charge-payment';
             update payments set status = 'refunding' where order_id = '{card-refunded}'",
        ),
        &["guards-settle", "cancelled-orders-keep-no-money", "cancelled-orders-agree", "payments-match-provider"],
    ),
    sql(
        7,
        "a guard row of a transaction that never ended",
        (
            Inventory,
            "update saga.idempotency_keys set verdict = 'doing' where saga_id = '{out-of-stock}' and step = 'reserve-stock'",
        ),
        &["guards-settle", "cancelled-orders-agree"],
    ),
    sql(
        7,
        "a job that is left",
        (
            Payment,
            "insert into saga.jobs (saga_id, step, phase, message_id, data)
             values ('{card}', 'charge-payment', 'call', gen_random_uuid(), '{}')",
        ),
        &["jobs-finish"],
    ),
    // 8: the outbox is drained.
    sql(
        8,
        "a message that was not sent",
        (
            Notification,
            "insert into saga.outbox (unit, ids, sagas, types, fanned_out, causations, traceparents, announcements, bodies,
                                      owner, leased_until)
             values (gen_random_uuid(), array[gen_random_uuid()], array['{wallet}'::uuid], array['x.v1'], array[false],
                     array[null::uuid], array[null::text], array[0], array[''::bytea], gen_random_uuid(), now())",
        ),
        &["outbox-drains"],
    ),
    sql(
        8,
        "an announcement without end",
        (
            Orders,
            "insert into saga.announcements (saga_id, message_id, exchange, routing_key, type, body, due_at)
             values ('{declined}', gen_random_uuid(), 'saga.failures', '', 'order.cancelling.v1', '', now())",
        ),
        &["announcements-close"],
    ),
    // 9: exactly the poison is parked.
    sql(
        9,
        "a message that waits for ever",
        (
            Inventory,
            "insert into saga.waiting (message_id, step, queue, type, source, announcement, body, state)
             values (gen_random_uuid(), 'reserve-stock', 'events', 'order.placed.v1', 'order-svc', 0, '', 'waiting')",
        ),
        &["waiting-empties"],
    ),
    sql(
        9,
        "a good message that is parked",
        (
            Inventory,
            "insert into saga.waiting (message_id, step, queue, type, source, announcement, body, state)
             values (gen_random_uuid(), 'reserve-stock', 'events', 'order.placed.v1', 'order-svc', 0, '', 'parked')",
        ),
        &["parked-as-expected"],
    ),
    lie(9, "poison that is not parked", Lie::Expected(with_poison), &["parked-as-expected"]),
    lie(9, "poison that the broker has set aside and nobody has parked", Lie::Queue("payment.parked"), &["queues-drain"]),
    // 10: no phantom.
    sql(
        10,
        "stock committed because of a message that nobody said",
        (
            Inventory,
            "update saga.idempotency_keys set message_id = gen_random_uuid() where saga_id = '{wallet}' and step = 'commit-stock'",
        ),
        &["messages-were-said"],
    ),
    sql(
        10,
        "a charge because of another order's reservation",
        (
            Payment,
            "update saga.idempotency_keys k set message_id = o.message_id from saga.idempotency_keys o
             where k.saga_id = '{card}' and k.step = 'charge-payment' and o.saga_id = '{wallet}' and o.step = 'charge-payment'",
        ),
        &["messages-were-said"],
    ),
    sql(
        10,
        "an answer that no participant gave",
        (
            Orders,
            "update saga.idempotency_keys set message_id = gen_random_uuid() where saga_id = '{declined}' and step = 'answer:payment'",
        ),
        &["messages-were-said"],
    ),
    sql(
        10,
        "a failure under another id for each who heard it",
        (
            Inventory,
            "update saga.idempotency_keys set message_id = gen_random_uuid() where saga_id = '{refunded}' and step = 'compensate'",
        ),
        &["no-strangers?"],
    ),
    // 13: connections.
    lie(13, "a transaction that is idle", Lie::Connections(1, "begin; select 1"), &["transactions-move-on"]),
    lie(13, "connections that leak", Lie::Connections(3, "select 1"), &["connections-are-bounded"]),
];
