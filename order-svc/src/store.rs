//! All SQL that writes, and what has to be read to write.
//!
//! A statement that is given ids names them wherever it names orders (`id = any(..)`, also of what it joins), and asks for the
//! status in a form that no index is for (`is not distinct from`, `is true`). Its plan is made once, perhaps while there are few orders or few that
//! are pending: finding all of those, and among them the ones meant, looks cheap then.

use crate::catalogue::{Product, Products};
use crate::deadline::OVERDUE;
use crate::placement::{Placement, Times};
use crate::status::Status;
use order_contracts::{CustomerId, OrderId, PaymentCharged, ReturnId};
use saga_common::{DbError, Tx};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

/// What a cancellation came to.
pub(crate) enum Cancelled {
    /// Everybody had answered already.
    Now { customer_id: CustomerId, reason: String },
    /// The order is cancelling.
    Soon,
    /// It is not pending any more.
    TooLate,
}

/// `pending -> cancelling`, or `cancelled` if all answers are in: the compare-and-set that races with [`confirm`].
pub(crate) async fn cancel(tx: &Tx, order_id: OrderId, reason: &str) -> Result<Cancelled, DbError> {
    let row = tx
        .query_opt(
            "update orders
             set status = case when answers = (1 << cardinality(required_answers)) - 1 then 'cancelled' else 'cancelling' end,
                 reason = $2, updated_at = clock_timestamp()
             where id = $1 and status is not distinct from 'pending' returning status, customer_id",
            &[&order_id.0, &reason],
        )
        .await?;
    Ok(match row {
        None => Cancelled::TooLate,
        Some(row) if row.get::<_, &str>(0) == "cancelled" => {
            Cancelled::Now { customer_id: CustomerId(row.get(1)), reason: reason.to_owned() }
        }
        Some(_) => Cancelled::Soon,
    })
}

/// What a charge came to, if there is such an order.
pub(crate) enum Confirmed {
    Yes {
        customer_id: CustomerId,
    },
    /// The order is still pending: whoever undoes place-order cancels it.
    OtherAmount,
    Decided,
}

/// `pending -> confirmed` for each charge that is the one asked for: the compare-and-set that races with [`cancel`]. One
/// charge an order; the rows are locked.
pub(crate) async fn confirm(tx: &Tx, charges: &[&PaymentCharged]) -> Result<HashMap<OrderId, Confirmed>, DbError> {
    let ids: Vec<Uuid> = charges.iter().map(|charged| charged.order_id.0).collect();
    let amounts: Vec<i64> = charges.iter().map(|charged| charged.amount_minor.minor()).collect();
    let currencies: Vec<&str> = charges.iter().map(|charged| charged.currency.as_str()).collect();
    let rows = tx
        .query(
            "update orders set status = 'confirmed', updated_at = clock_timestamp()
             where id = any($1) and status is not distinct from 'pending'
                   and amount_minor = ($2::int8[])[array_position($1, id)] and currency = ($3::text[])[array_position($1, id)]
             returning id, customer_id",
            &[&ids, &amounts, &currencies],
        )
        .await?;
    let yes = |row: &Row| (OrderId(row.get(0)), Confirmed::Yes { customer_id: CustomerId(row.get(1)) });
    let mut found: HashMap<OrderId, Confirmed> = rows.iter().map(yes).collect();
    if found.len() < charges.len() {
        let others: Vec<Uuid> = ids.into_iter().filter(|id| !found.contains_key(&OrderId(*id))).collect();
        let rows = tx.query("select id, status = 'pending' from orders where id = any($1)", &[&others]).await?;
        let no = |row: &Row| if row.get(1) { Confirmed::OtherAmount } else { Confirmed::Decided };
        found.extend(rows.iter().map(|row| (OrderId(row.get(0)), no(row))));
    }
    Ok(found)
}

/// The reserved stock has left the shelf; tells which orders there were to close.
pub(crate) async fn close(tx: &Tx, orders: &[OrderId]) -> Result<HashSet<OrderId>, DbError> {
    let ids: Vec<Uuid> = orders.iter().map(|order| order.0).collect();
    let rows = tx
        .query(
            "update orders set closed_at = clock_timestamp(), updated_at = clock_timestamp()
             where id = any($1) and closed_at is null and (status in ('confirmed', 'shipped', 'delivered')) is true
             returning id",
            &[&ids],
        )
        .await?;
    Ok(rows.iter().map(|row| OrderId(row.get(0))).collect())
}

/// An order after answers have been noted.
pub(crate) struct Answered {
    /// By these answers: everybody has answered an order that was cancelling.
    pub(crate) cancelled: bool,
    pub(crate) required: Vec<String>,
    pub(crate) customer_id: CustomerId,
    pub(crate) reason: String,
}

/// Sets the bits of participants by one UPDATE, whatever the status, which also tests whether all are set; tells of the orders
/// there are. Each participant answers an order once (its guard row), so only the last answers can cancel it. A deadline says
/// only that nobody decided in time: a participant's remark says what was being waited for.
pub(crate) async fn answer(
    tx: &Tx,
    answers: &[(OrderId, &str, Option<String>)],
) -> Result<HashMap<OrderId, Answered>, DbError> {
    let ids: Vec<Uuid> = answers.iter().map(|(order, ..)| order.0).collect();
    let participants: Vec<&str> = answers.iter().map(|(_, name, _)| *name).collect();
    let remarks: Vec<Option<&str>> = answers.iter().map(|(.., remark)| remark.as_deref()).collect();
    let rows = tx
        .query(
            "update orders o
             set answers = o.answers | given.mask,
                 status = case when o.status = 'cancelling'
                                    and o.answers | given.mask = (1 << cardinality(o.required_answers)) - 1
                               then 'cancelled' else o.status end,
                 reason = case when o.status = 'cancelling' and o.reason = $4 and given.remark is not null
                               then o.reason || ': ' || given.remark else o.reason end,
                 updated_at = clock_timestamp()
             from (select a.id, bit_or(coalesce(1 << (array_position(a.required_answers, u.participant) - 1), 0)) as mask,
                          (array_agg(u.remark order by u.n) filter (
                              where u.remark is not null and u.participant = any(a.required_answers)))[1] as remark
                   from unnest($1::uuid[], $2::text[], $3::text[]) with ordinality u(id, participant, remark, n)
                   join orders a on a.id = u.id
                   where a.id = any($1)
                   group by a.id) given
             where o.id = given.id and o.id = any($1)
             returning o.id, o.status = 'cancelled' and given.mask <> 0, o.required_answers, o.customer_id, o.reason",
            &[&ids, &participants, &remarks, &OVERDUE],
        )
        .await?;
    let answered = |row: &Row| Answered {
        cancelled: row.get(1),
        required: row.get(2),
        customer_id: CustomerId(row.get(3)),
        reason: row.get::<_, Option<String>>(4).unwrap_or_default(),
    };
    Ok(rows.iter().map(|row| (OrderId(row.get(0)), answered(row))).collect())
}

/// `from -> to` of an order whose stock has left the shelf: one compare-and-set. Says whether this call did it.
pub(crate) async fn move_on(tx: &Tx, order_id: OrderId, (from, to): (Status, Status)) -> Result<bool, DbError> {
    let moved = tx
        .execute(
            "update orders set status = $3, updated_at = clock_timestamp()
             where id = $1 and status is not distinct from $2 and closed_at is not null",
            &[&order_id.0, &from.as_str(), &to.as_str()],
        )
        .await?;
    Ok(moved == 1)
}

/// Writes down that an order is coming back.
pub(crate) async fn insert_return(tx: &Tx, return_id: ReturnId, order_id: OrderId) -> Result<(), DbError> {
    tx.execute("insert into returns (id, order_id) values ($1, $2)", &[&return_id.0, &order_id.0]).await?;
    Ok(())
}

/// What comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Back {
    Money,
    Stock,
}

/// A return after one of the two was noted.
pub(crate) enum Noted {
    /// The other is still missing.
    First,
    /// Both are back: the order is returned.
    Last { customer_id: CustomerId },
}

/// Notes what is back of returns, and moves the orders of which now both are `returning -> returned`. The orders' rows are
/// locked. Returns that are not of the order named with them, or were told the same before, are left out.
pub(crate) async fn note_back(
    tx: &Tx,
    what: Back,
    returns: &[(ReturnId, OrderId)],
) -> Result<HashMap<ReturnId, Noted>, DbError> {
    let (ids, orders): (Vec<Uuid>, Vec<Uuid>) = returns.iter().map(|(id, order)| (id.0, order.0)).unzip();
    let money = what == Back::Money;
    let rows = tx
        .query(
            "with noted as (
                 update returns r
                 set refunded_at = case when $3 then clock_timestamp() else r.refunded_at end,
                     restocked_at = case when $3 then r.restocked_at else clock_timestamp() end,
                     closed_at = case when $3 and r.restocked_at is not null or not $3 and r.refunded_at is not null
                                      then clock_timestamp() end
                 where r.id = any($1) and r.order_id = ($2::uuid[])[array_position($1, r.id)]
                       and case when $3 then r.refunded_at else r.restocked_at end is null
                 returning r.id, r.order_id, r.closed_at is not null as closed),
             returned as (
                 update orders o set status = 'returned', updated_at = clock_timestamp()
                 from noted n
                 where o.id = any($2) and n.closed and o.id = n.order_id and o.status is not distinct from 'returning'
                 returning o.id, o.customer_id)
             select n.id, n.closed, o.customer_id from noted n left join returned o on o.id = n.order_id",
            &[&ids, &orders, &money],
        )
        .await?;
    let mut noted = HashMap::with_capacity(rows.len());
    for row in &rows {
        let customer_id: Option<String> = row.get(2);
        let state = match (row.get(1), customer_id) {
            (false, _) => Noted::First,
            (true, Some(customer_id)) => Noted::Last { customer_id: CustomerId(customer_id) },
            (true, None) => {
                return Err(DbError::Broken("a return is complete, but its order is not returning".to_owned()));
            }
        };
        noted.insert(ReturnId(row.get(0)), state);
    }
    Ok(noted)
}

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
    let inserted = tx
        .query(
            "with lines as (
                 insert into order_lines (order_id, line, sku, quantity, unit_price_minor)
                 select * from unnest($8::uuid[], $9::int4[], $10::text[], $11::int8[], $12::int8[]))
             insert into orders (id, customer_id, currency, amount_minor, payment_method, required_answers, deadline_at)
             select u.*, $6::text[], clock_timestamp() + $7::float8 * interval '1 ms'
             from unnest($1::uuid[], $2::text[], $3::text[], $4::int8[], $5::text[]) u
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
            ],
        )
        .await?;
    Ok(inserted.iter().map(|row| (row.get("id"), times(row))).collect())
}

/// Moves overdue orders to `cancelling` (or `cancelled`) in id order; returns each with what it came to.
pub(crate) async fn cancel_overdue(
    tx: &Tx,
    orders: &[Uuid],
    reason: &str,
) -> Result<Vec<(OrderId, CustomerId, bool)>, DbError> {
    let rows = tx
        .query(
            "update orders o
             set status = case when answers = (1 << cardinality(required_answers)) - 1 then 'cancelled' else 'cancelling' end,
                 reason = $2, updated_at = clock_timestamp()
             from (select id from orders where id = any($1) and status is not distinct from 'pending' and deadline_at <= clock_timestamp()
                   order by id for no key update) d
             where o.id = d.id and o.id = any($1) returning o.id, o.customer_id, o.status = 'cancelled'",
            &[&orders, &reason],
        )
        .await?;
    Ok(rows.iter().map(|row| (OrderId(row.get(0)), CustomerId(row.get(1)), row.get(2))).collect())
}

/// What setting a few products came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SetProducts {
    /// Those that were not on the list.
    pub(crate) added: u64,
    /// Those that had another name or price.
    pub(crate) changed: u64,
}

/// Puts products on the list, or changes them, in one order for everybody. What is as it was is not written.
pub(crate) async fn set_products(tx: &Tx, products: &Products) -> Result<SetProducts, DbError> {
    let skus: Vec<&str> = products.iter().map(|product| product.sku.as_str()).collect();
    let names: Vec<&str> = products.iter().map(|product| product.name.as_str()).collect();
    let prices: Vec<i64> = products.iter().map(|product| product.unit_price.minor()).collect();
    let currencies: Vec<&str> = products.iter().map(|product| product.currency.as_str()).collect();
    // A row that was there has been locked by this very statement, which leaves its mark on the new version.
    let rows = tx
        .query(
            "insert into products as p (sku, name, unit_price_minor, currency)
             select * from unnest($1::text[], $2::text[], $3::int8[], $4::text[]) u(sku, name, price, currency) order by sku
             on conflict (sku) do update
                 set name = excluded.name, unit_price_minor = excluded.unit_price_minor, currency = excluded.currency
                 where (p.name, p.unit_price_minor, p.currency)
                       is distinct from (excluded.name, excluded.unit_price_minor, excluded.currency)
             returning p.xmax = 0",
            &[&skus, &names, &prices, &currencies],
        )
        .await?;
    let added = rows.iter().filter(|row| row.get(0)).count();
    Ok(SetProducts { added: added as u64, changed: (rows.len() - added) as u64 })
}

/// Puts a product on the list, unless there is one of its SKU.
pub(crate) async fn add_product(tx: &Tx, product: &Product) -> Result<bool, DbError> {
    let Product { sku, name, unit_price, currency } = product;
    let added = tx
        .execute(
            "insert into products (sku, name, unit_price_minor, currency) values ($1, $2, $3, $4) on conflict do nothing",
            &[&sku.as_str(), name, &unit_price.minor(), &currency.as_str()],
        )
        .await?;
    Ok(added == 1)
}
