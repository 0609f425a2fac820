//! Placing: request keys, orders and their lines.

use crate::placement::{Placement, Times};
use order_contracts::OrderId;
use saga_common::{DbError, Tx};
use std::collections::HashMap;
use std::time::{Duration, SystemTime};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

/// An earlier request under the same key.
pub(crate) struct Earlier {
    pub(crate) order_id: OrderId,
    pub(crate) body_hash: Vec<u8>,
}

/// Takes request keys, in key order. Those that were taken before come back with what they were taken for. Waits so long
/// for another transaction that has one of them: see [`waited_in_vain`].
pub(crate) async fn take_keys(
    tx: &Tx,
    placements: &[&Placement],
    patience: Duration,
) -> Result<HashMap<(String, String), Earlier>, DbError> {
    let mut keyed: Vec<(&str, &str, &[u8], Uuid)> = placements
        .iter()
        .filter_map(|p| Some((p.customer_id.as_str(), p.key.as_deref()?, p.body_hash.as_slice(), p.order_id.0)))
        .collect();
    if keyed.is_empty() {
        return Ok(HashMap::new());
    }
    keyed.sort_unstable();
    let customers: Vec<&str> = keyed.iter().map(|k| k.0).collect();
    let keys: Vec<&str> = keyed.iter().map(|k| k.1).collect();
    let hashes: Vec<&[u8]> = keyed.iter().map(|k| k.2).collect();
    let orders: Vec<Uuid> = keyed.iter().map(|k| k.3).collect();
    tx.query_one("select set_config('lock_timeout', $1, true)", &[&format!("{}ms", patience.as_millis())]).await?;
    let taken = tx
        .execute(
            "insert into request_keys (customer_id, key, body_hash, order_id)
             select * from unnest($1::text[], $2::text[], $3::bytea[], $4::uuid[]) on conflict do nothing",
            &[&customers, &keys, &hashes, &orders],
        )
        .await?;
    // Back to the connection's own.
    tx.execute("set local lock_timeout = default", &[]).await?;
    if taken == keyed.len() as u64 {
        return Ok(HashMap::new());
    }
    // A new statement: it sees what the insert waited for.
    let rows = tx
        .query(
            "select k.customer_id, k.key, k.order_id, k.body_hash
             from request_keys k join unnest($1::text[], $2::text[], $3::uuid[]) u(customer_id, key, order_id)
               on k.customer_id = u.customer_id and k.key = u.key and k.order_id <> u.order_id",
            &[&customers, &keys, &orders],
        )
        .await?;
    let earlier = |row: &Row| Earlier { order_id: OrderId(row.get(2)), body_hash: row.get(3) };
    Ok(rows.iter().map(|row| ((row.get(0), row.get(1)), earlier(row))).collect())
}

/// Has a statement given up waiting for a lock?
pub(crate) fn waited_in_vain(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
}

/// The times of an order, if it is there: asked when a commit's outcome was unknown.
pub(crate) async fn placed(tx: &Tx, order_id: OrderId) -> Result<Option<Times>, DbError> {
    let row = tx.query_opt("select id, created_at, deadline_at from orders where id = $1", &[&order_id.0]).await?;
    Ok(row.as_ref().map(times))
}

fn times(row: &Row) -> Times {
    let at = |column: &str| row.get::<_, SystemTime>(column).into();
    Times { created_at: at("created_at"), deadline_at: at("deadline_at") }
}

/// Inserts orders and their lines; returns the times of each.
pub(crate) async fn insert_orders(
    tx: &Tx,
    placements: &[&Placement],
    deadline_ms: f64,
    required: &[String],
) -> Result<HashMap<Uuid, Times>, DbError> {
    let ids: Vec<Uuid> = placements.iter().map(|p| p.order_id.0).collect();
    let customers: Vec<&str> = placements.iter().map(|p| p.customer_id.as_str()).collect();
    let currencies: Vec<&str> = placements.iter().map(|p| p.currency.as_str()).collect();
    let amounts: Vec<i64> = placements.iter().map(|p| p.amount.minor()).collect();
    let methods: Vec<&str> = placements.iter().map(|p| p.payment_method.as_str()).collect();
    let lines = placements.iter().flat_map(|p| p.lines.iter().zip(1i32..).map(|(line, n)| (p.order_id.0, n, line)));
    let lines: Vec<_> = lines.collect();
    let orders: Vec<Uuid> = lines.iter().map(|l| l.0).collect();
    let numbers: Vec<i32> = lines.iter().map(|l| l.1).collect();
    let skus: Vec<&str> = lines.iter().map(|l| l.2.sku.as_str()).collect();
    let quantities: Vec<i64> = lines.iter().map(|l| l.2.quantity).collect();
    let prices: Vec<i64> = lines.iter().map(|l| l.2.unit_price.minor()).collect();
    let traces: Vec<Option<String>> = placements.iter().map(|p| p.trace.traceparent()).collect();
    let inserted = tx
        .query(
            "with lines as (
                 insert into order_lines (order_id, line, sku, quantity, unit_price_minor)
                 select * from unnest($8::uuid[], $9::int4[], $10::text[], $11::int8[], $12::int8[]))
             insert into orders (id, customer_id, currency, amount_minor, payment_method, traceparent, required_answers,
                                 deadline_at)
             select u.*, $6::text[], clock_timestamp() + $7::float8 * interval '1 ms'
             from unnest($1::uuid[], $2::text[], $3::text[], $4::int8[], $5::text[], $13::text[]) u
             returning id, created_at, deadline_at",
            &[
                &ids,
                &customers,
                &currencies,
                &amounts,
                &methods,
                &required,
                &deadline_ms,
                &orders,
                &numbers,
                &skus,
                &quantities,
                &prices,
                &traces,
            ],
        )
        .await?;
    Ok(inserted.iter().map(|row| (row.get("id"), times(row))).collect())
}
