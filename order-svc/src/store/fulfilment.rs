//! What becomes of a confirmed order: its row, and that of its return.

use crate::status::Status;
use order_contracts::{CustomerId, OrderId, ReturnId};
use saga_common::{DbError, SagaId, Tx};
use std::collections::HashMap;
use uuid::Uuid;

/// An order that has been moved on by this call.
pub(crate) struct Moved {
    /// The trace of its placement.
    pub(crate) traceparent: Option<String>,
}

/// `from -> to` of an order whose stock has left the shelf: one compare-and-set. None if this call did not do it.
pub(crate) async fn move_on(
    tx: &Tx,
    order_id: OrderId,
    (from, to): (Status, Status),
) -> Result<Option<Moved>, DbError> {
    let moved = tx
        .query_opt(
            "update orders set status = $3, updated_at = clock_timestamp()
             where id = $1 and status is not distinct from $2 and closed_at is not null returning traceparent",
            &[&order_id.0, &from.as_str(), &to.as_str()],
        )
        .await?;
    Ok(moved.map(|row| Moved { traceparent: row.get(0) }))
}

/// Writes down that an order is coming back.
pub(crate) async fn insert_return(tx: &Tx, return_id: ReturnId, order_id: OrderId) -> Result<(), DbError> {
    tx.execute("insert into returns (id, order_id) values ($1, $2)", &[&return_id.0, &order_id.0]).await?;
    Ok(())
}

/// Is this saga a return?
pub(crate) async fn is_return(tx: &Tx, saga_id: SagaId) -> Result<bool, DbError> {
    Ok(tx.query_opt("select from returns where id = $1", &[&saga_id.as_uuid()]).await?.is_some())
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
