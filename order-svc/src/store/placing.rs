//! Placing: prices, request keys, orders and their lines.

use crate::domain::{Price, PriceList, PricedLine};
use crate::placement::{Placement, Priced, Times};
use order_contracts::{Money, OrderId, Sku};
use saga_common::{DbError, Row, Statement, Tx};
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};
use tokio_postgres::error::SqlState;
use uuid::Uuid;

/// An earlier request under the same key.
pub(crate) struct Earlier {
    pub(crate) order_id: OrderId,
    pub(crate) body_hash: Vec<u8>,
}

/// By customer and key.
pub(crate) type Earliers = HashMap<(String, String), Earlier>;

/// What placements ask before they can be priced and inserted: what their articles cost, and for their request keys, in key order.
/// Waits so long for another transaction that has one of the keys: see [`waited_in_vain`]. What it returns is for [`prices`] and
/// [`earlier`].
pub(crate) fn asking(placements: &[&Placement], patience: Duration) -> Vec<Statement<'static>> {
    let skus: BTreeSet<&str> = placements.iter().flat_map(|p| &p.lines).map(|line| line.sku.as_str()).collect();
    let skus: Vec<String> = skus.into_iter().map(str::to_owned).collect();
    let price_list = "select sku, unit_price_minor, currency from products where sku = any($1)";
    let mut asking = vec![Statement::new(price_list).with(skus)];
    let keyed = Keyed::of(placements);
    if !keyed.customers.is_empty() {
        let take = "insert into request_keys (customer_id, key, body_hash, order_id)
                    select * from unnest($1::text[], $2::text[], $3::bytea[], $4::uuid[]) where (select saga.in_unit())
                    on conflict do nothing returning order_id";
        let take = Statement::new(take).with(keyed.customers).with(keyed.keys).with(keyed.hashes).with(keyed.orders);
        asking.push(Statement::new(format!("set local lock_timeout = '{}ms'", patience.as_millis())));
        asking.push(take);
        // Back to the connection's own.
        asking.push(Statement::new("set local lock_timeout = default"));
    }
    asking
}

/// Where the answer to [`asking`] has the prices, and where the keys that were taken.
const PRICES: usize = 0;
const TAKEN: usize = 2;

/// What the articles cost.
pub(crate) fn prices(answers: &[Vec<Row>]) -> PriceList {
    let price = |row: &Row| {
        let unit_price = Money::from_minor(row.get(1)).ok()?;
        Some((row.get(0), Price { unit_price, currency: row.get(2) }))
    };
    answers.get(PRICES).into_iter().flatten().filter_map(price).collect()
}

/// What the keys were taken for that had been taken before.
pub(crate) async fn earlier(tx: &Tx, placements: &[&Placement], answers: &[Vec<Row>]) -> Result<Earliers, DbError> {
    let keyed = placements.iter().filter(|placement| placement.key.is_some()).count();
    if answers.get(TAKEN).map_or(0, Vec::len) == keyed {
        return Ok(Earliers::new());
    }
    let keyed = Keyed::of(placements);
    // A new statement: it sees what the insert waited for.
    let rows = tx
        .query(
            "select k.customer_id, k.key, k.order_id, k.body_hash
             from request_keys k join unnest($1::text[], $2::text[], $3::uuid[]) u(customer_id, key, order_id)
               on k.customer_id = u.customer_id and k.key = u.key and k.order_id <> u.order_id",
            &[&keyed.customers, &keyed.keys, &keyed.orders],
        )
        .await?;
    let earlier = |row: &Row| Earlier { order_id: OrderId(row.get(2)), body_hash: row.get(3) };
    Ok(rows.iter().map(|row| ((row.get(0), row.get(1)), earlier(row))).collect())
}

/// Gives back the keys of requests that are refused: whoever asks for something else under one of them is not told of it.
pub(crate) fn give_back_keys(tx: &Tx, refused: &[&Placement]) -> Result<(), DbError> {
    let keyed = Keyed::of(refused);
    if keyed.keys.is_empty() {
        return Ok(());
    }
    let sql = "with given_back as (
             delete from request_keys k using unnest($1::text[], $2::text[], $3::uuid[]) u(customer_id, key, order_id)
             where k.customer_id = u.customer_id and k.key = u.key and k.order_id = u.order_id returning 1)
         select saga.must_all_be_hit(count(*), cardinality($1)) from given_back";
    tx.run_later(Statement::new(sql).with(keyed.customers).with(keyed.keys).with(keyed.orders))
}

/// Placements that have request keys, in the order of these, by columns.
struct Keyed {
    customers: Vec<String>,
    keys: Vec<String>,
    hashes: Vec<Vec<u8>>,
    orders: Vec<Uuid>,
}

impl Keyed {
    fn of(placements: &[&Placement]) -> Self {
        let mut keyed: Vec<_> =
            placements.iter().filter_map(|p| Some((&p.customer_id.0, p.key.as_ref()?, *p))).collect();
        keyed.sort_unstable_by_key(|(customer, key, _)| (*customer, *key));
        Self {
            customers: keyed.iter().map(|k| k.0.clone()).collect(),
            keys: keyed.iter().map(|k| k.1.clone()).collect(),
            hashes: keyed.iter().map(|k| k.2.body_hash.clone()).collect(),
            orders: keyed.iter().map(|k| k.2.order_id.0).collect(),
        }
    }
}

/// Has a statement given up waiting for a lock?
pub(crate) fn waited_in_vain(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
}

/// What was placed under this id, if anything was. Asked when a commit's outcome was unknown.
pub(crate) async fn placed(tx: &Tx, order_id: OrderId) -> Result<Option<(Priced, Times)>, DbError> {
    let sql = "select o.created_at, o.deadline_at, o.amount_minor, l.sku, l.quantity, l.unit_price_minor
               from orders o join order_lines l on l.order_id = o.id where o.id = $1 order by l.line";
    let rows = tx.query(sql, &[&order_id.0]).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let money =
        |row: &Row, column: &str| Money::from_minor(row.get(column)).map_err(|e| DbError::Broken(e.to_string()));
    let line = |row: &Row| {
        let unit_price = money(row, "unit_price_minor")?;
        Ok(PricedLine { sku: Sku(row.get("sku")), quantity: row.get("quantity"), unit_price })
    };
    let lines = rows.iter().map(line).collect::<Result<_, DbError>>()?;
    Ok(Some((Priced { lines, amount: money(first, "amount_minor")? }, times(first))))
}

fn times(row: &Row) -> Times {
    let at = |column: &str| row.get::<_, SystemTime>(column).into();
    Times { created_at: at("created_at"), deadline_at: at("deadline_at") }
}

/// Inserts orders and their lines. What it returns is for [`times_of`].
pub(crate) fn inserting<'a>(
    placements: &'a [(&'a Placement, Priced)],
    deadline_ms: f64,
    required: &'a [String],
) -> Statement<'a> {
    let ids: Vec<Uuid> = placements.iter().map(|(p, _)| p.order_id.0).collect();
    let customers: Vec<&str> = placements.iter().map(|(p, _)| p.customer_id.as_str()).collect();
    let currencies: Vec<&str> = placements.iter().map(|(p, _)| p.currency.as_str()).collect();
    let amounts: Vec<i64> = placements.iter().map(|(_, priced)| priced.amount.minor()).collect();
    let methods: Vec<&str> = placements.iter().map(|(p, _)| p.payment_method.as_str()).collect();
    let numbered = |priced: &'a Priced| priced.lines.iter().zip(1i32..);
    let lines = placements.iter().flat_map(|(p, priced)| numbered(priced).map(|(line, n)| (p.order_id.0, n, line)));
    let lines: Vec<_> = lines.collect();
    let orders: Vec<Uuid> = lines.iter().map(|l| l.0).collect();
    let numbers: Vec<i32> = lines.iter().map(|l| l.1).collect();
    let skus: Vec<&str> = lines.iter().map(|l| l.2.sku.as_str()).collect();
    let quantities: Vec<i64> = lines.iter().map(|l| l.2.quantity).collect();
    let prices: Vec<i64> = lines.iter().map(|l| l.2.unit_price.minor()).collect();
    let traces: Vec<Option<String>> = placements.iter().map(|(p, _)| p.trace.traceparent()).collect();
    let sql = "with lines as (
             insert into order_lines (order_id, line, sku, quantity, unit_price_minor)
             select * from unnest($8::uuid[], $9::int4[], $10::text[], $11::int8[], $12::int8[]))
         insert into orders (id, customer_id, currency, amount_minor, payment_method, traceparent, required_answers,
                             deadline_at)
         select u.*, $6::text[], clock_timestamp() + $7::float8 * interval '1 ms'
         from unnest($1::uuid[], $2::text[], $3::text[], $4::int8[], $5::text[], $13::text[]) u
         returning id, created_at, deadline_at";
    let statement = Statement::new(sql).with(ids).with(customers).with(currencies).with(amounts).with(methods);
    let statement = statement.with(required).with(deadline_ms);
    statement.with(orders).with(numbers).with(skus).with(quantities).with(prices).with(traces)
}

/// When the orders were placed that [`inserting`] has inserted.
pub(crate) fn times_of(inserted: &[Row]) -> HashMap<OrderId, Times> {
    inserted.iter().map(|row| (OrderId(row.get("id")), times(row))).collect()
}
