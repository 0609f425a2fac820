//! The queries behind the facts, and what their rows mean.

use tokio_postgres::Row;
use uuid::Uuid;

use super::Database;
use super::facts::{End, Guard, Movements, Order, Payment, RequestKey, Reservations, Said};

/// What is asked for, in words, and how.
pub(super) type Query = (&'static str, &'static str);

pub(super) const ORDERS: Query = (
    "orders",
    "SELECT o.id, o.status, o.closed_at IS NOT NULL, o.customer_id, o.currency, o.amount_minor, o.payment_method,
            coalesce(l.contents, ''), o.required_answers, r.id
     FROM orders o
     LEFT JOIN returns r ON r.order_id = o.id
     LEFT JOIN (
         SELECT order_id, string_agg(sku || '=' || quantity, ',' ORDER BY sku COLLATE \"C\") AS contents
         FROM (SELECT order_id, sku, sum(quantity) AS quantity FROM order_lines GROUP BY order_id, sku) per_article
         GROUP BY order_id
     ) l ON l.order_id = o.id",
);

pub(super) fn order(row: &Row) -> Order {
    let status: String = row.get(1);
    let end = match status.as_str() {
        "confirmed" | "shipped" | "delivered" | "returning" | "returned" => End::Confirmed,
        "cancelled" => End::Cancelled,
        _ => End::Undecided,
    };
    Order {
        status,
        end,
        closed: row.get(2),
        customer_id: row.get(3),
        currency: row.get(4),
        amount_minor: row.get(5),
        method: row.get(6),
        contents: row.get(7),
        required: row.get(8),
        return_id: row.get(9),
    }
}

pub(super) const RESERVATIONS: Query = (
    "reservations",
    "SELECT order_id, count(*) FILTER (WHERE state = 'held'), count(*) FILTER (WHERE state = 'released'),
            count(*) FILTER (WHERE state = 'sold'), string_agg(sku || '=' || quantity, ',' ORDER BY sku COLLATE \"C\"),
            count(*) FILTER (WHERE state = 'returned'), array_agg(DISTINCT return_id) FILTER (WHERE return_id IS NOT NULL)
     FROM reservations GROUP BY order_id",
);

pub(super) fn reservations(row: &Row) -> Reservations {
    let (held, released, sold, returned) = (row.get(1), row.get(2), row.get(3), row.get(5));
    let returns = row.get::<_, Option<_>>(6).unwrap_or_default();
    Reservations { held, released, sold, returned, contents: row.get(4), returns }
}

pub(super) const PAYMENTS: Query = (
    "payments",
    "SELECT order_id, status, customer_id, currency, amount_minor, method, provider_reference, return_id FROM payments",
);

pub(super) fn payment(row: &Row) -> Payment {
    Payment {
        status: row.get(1),
        customer_id: row.get(2),
        currency: row.get(3),
        amount_minor: row.get(4),
        method: row.get(5),
        reference: row.get(6),
        return_id: row.get(7),
    }
}

pub(super) const MOVEMENTS: Query = (
    "wallet movements",
    "SELECT order_id, coalesce(-sum(amount_minor) FILTER (WHERE kind = 'charge'), 0)::bigint,
            coalesce(sum(amount_minor) FILTER (WHERE kind = 'refund'), 0)::bigint
     FROM wallet_movements WHERE order_id IS NOT NULL GROUP BY order_id",
);

pub(super) fn movements(row: &Row) -> Movements {
    Movements { charged: row.get(1), refunded: row.get(2) }
}

/// `$1`: the grace in seconds.
pub(super) const GUARDS: Query = (
    "guard rows",
    "SELECT saga_id, step, verdict, message_id, said_id, said_type, coalesce(detail LIKE '%said order.cancelled.%', false),
            $1::float8 > 0 AND coalesce(settled_at, created_at) > now() - make_interval(secs => $1::float8)
     FROM saga.idempotency_keys ORDER BY created_at, step",
);

pub(super) fn guard(at: Database, row: &Row) -> Guard {
    let said = row.get::<_, Option<Uuid>>(4).map(|id| {
        let event_type = row.get::<_, Option<String>>(5).unwrap_or_default();
        Said { id, event_type }
    });
    let (step, verdict, message_id) = (row.get(1), row.get(2), row.get(3));
    Guard { at, step, verdict, message_id, said, said_end: row.get(6), young: row.get(7) }
}

pub(super) const REQUEST_KEYS: Query = ("request keys", "SELECT customer_id, key, order_id FROM request_keys");

pub(super) fn request_key(row: &Row) -> RequestKey {
    RequestKey { customer_id: row.get(0), key: row.get(1), order_id: row.get(2) }
}

pub(super) const NOTIFICATIONS: Query =
    ("notifications", "SELECT order_id, array_agg(kind ORDER BY created_at) FROM notifications GROUP BY order_id");

pub(super) const PARKED: Query = (
    "parked messages",
    "SELECT message_id, step, coalesce(reason, 'no reason') FROM saga.waiting WHERE state = 'parked' ORDER BY first_seen_at",
);
