//! All SQL that writes, and what has to be read to write.
//!
//! A statement that is given ids names them wherever it names orders (`id = any(..)`, also of what it joins), and asks for the
//! status in a form that no index is for (`is not distinct from`, `is true`). Its plan is made once, perhaps while there are few orders or few that
//! are pending: finding all of those, and among them the ones meant, looks cheap then.

mod catalogue;
mod fulfilment;
mod placing;

pub(crate) use catalogue::{SetProducts, add_product, set_products};
pub(crate) use fulfilment::{Back, Noted, insert_return, is_return, move_on, note_back};
pub(crate) use placing::{
    Earlier, Earliers, asking, earlier, give_back_keys, inserting, placed, prices, times_of, waited_in_vain,
};

use crate::deadline::OVERDUE;
use order_contracts::{CustomerId, OrderId, PaymentCharged};
use saga_common::{DbError, Row, Statement, Tx};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// What a cancellation came to, and what the order's own trace is.
pub(crate) enum Cancelled {
    /// Everybody had answered already.
    Now { customer_id: CustomerId, reason: String, traceparent: Option<String> },
    /// The order is cancelling.
    Soon { traceparent: Option<String> },
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
             where id = $1 and status is not distinct from 'pending' returning status, customer_id, traceparent",
            &[&order_id.0, &reason],
        )
        .await?;
    Ok(match row {
        None => Cancelled::TooLate,
        Some(row) if row.get::<_, &str>(0) == "cancelled" => {
            Cancelled::Now { customer_id: CustomerId(row.get(1)), reason: reason.to_owned(), traceparent: row.get(2) }
        }
        Some(row) => Cancelled::Soon { traceparent: row.get(2) },
    })
}

/// Locks the orders that a batch will touch, in one order for everybody: those of the sagas `$2`, and those that the keys
/// `$1` name. What it returns is for [`Locked::of`].
pub(crate) const LOCK_ORDERS: &str = "
    select id, customer_id, status, amount_minor, currency, closed_at is null from orders
    where id = any($2 || $1::text[]::uuid[]) order by id for no key update";

/// An order as it was when its batch had locked it, before any step: what the batch itself changes is not seen.
pub(crate) struct Locked<'a> {
    pub(crate) customer_id: CustomerId,
    status: &'a str,
    amount_minor: i64,
    currency: &'a str,
    open: bool,
}

impl<'a> Locked<'a> {
    /// The orders there are.
    pub(crate) fn of(rows: &'a [Row]) -> HashMap<OrderId, Self> {
        let order = |row: &'a Row| Self {
            customer_id: CustomerId(row.get(1)),
            status: row.get(2),
            amount_minor: row.get(3),
            currency: row.get(4),
            open: row.get(5),
        };
        rows.iter().map(|row| (OrderId(row.get(0)), order(row))).collect()
    }

    /// Nobody has decided yet; no step that runs together with confirm-order does.
    pub(crate) fn is_pending(&self) -> bool {
        self.status == "pending"
    }

    pub(crate) fn asks_for(&self, charged: &PaymentCharged) -> bool {
        self.amount_minor == charged.amount_minor.minor() && self.currency == charged.currency.as_str()
    }

    fn can_be_closed(&self) -> bool {
        self.open && matches!(self.status, "confirmed" | "shipped" | "delivered")
    }
}

/// `pending -> confirmed`: the compare-and-set that races with [`cancel`]. The orders are locked and pending.
pub(crate) fn confirm(tx: &Tx, orders: &[OrderId]) -> Result<(), DbError> {
    let sql = "with confirmed as (
                   update orders set status = 'confirmed', updated_at = clock_timestamp()
                   where id = any($1) and status is not distinct from 'pending' returning 1)
               select saga.must_all_be_hit(count(*), cardinality($1)) from confirmed";
    later(tx, sql, orders.iter())
}

fn later<'a>(tx: &Tx, sql: &'static str, orders: impl Iterator<Item = &'a OrderId>) -> Result<(), DbError> {
    let ids: Vec<Uuid> = orders.map(|order| order.0).collect();
    if ids.is_empty() { Ok(()) } else { tx.run_later(Statement::new(sql).with(ids)) }
}

/// The reserved stock has left the shelf; tells which orders there were to close. One that is not confirmed may have been by
/// now, by the batch that has locked it.
pub(crate) async fn close(
    tx: &Tx,
    orders: &[OrderId],
    locked: &HashMap<OrderId, Locked<'_>>,
) -> Result<HashSet<OrderId>, DbError> {
    let can_be_closed = |order: &&OrderId| locked.get(order).is_some_and(Locked::can_be_closed);
    let (known, others): (Vec<&OrderId>, Vec<&OrderId>) = orders.iter().partition(can_be_closed);
    let mut closed: HashSet<OrderId> = known.iter().map(|order| **order).collect();
    let sql = "with closed as (
                   update orders set closed_at = clock_timestamp(), updated_at = clock_timestamp()
                   where id = any($1) and closed_at is null returning 1)
               select saga.must_all_be_hit(count(*), cardinality($1)) from closed";
    later(tx, sql, closed.iter())?;
    if others.is_empty() {
        return Ok(closed);
    }
    let ids: Vec<Uuid> = others.iter().map(|order| order.0).collect();
    let rows = tx
        .query(
            "update orders set closed_at = clock_timestamp(), updated_at = clock_timestamp()
             where id = any($1) and closed_at is null and (status in ('confirmed', 'shipped', 'delivered')) is true
             returning id",
            &[&ids],
        )
        .await?;
    closed.extend(rows.iter().map(|row| OrderId(row.get(0))));
    Ok(closed)
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

/// An order that nobody has decided in time.
pub(crate) struct Overdue {
    pub(crate) order_id: OrderId,
    pub(crate) customer_id: CustomerId,
    /// By everybody: it is cancelled.
    pub(crate) answered: bool,
    pub(crate) traceparent: Option<String>,
}

/// Moves overdue orders to `cancelling` (or `cancelled`) in id order; returns each with what it came to.
pub(crate) async fn cancel_overdue(tx: &Tx, orders: &[Uuid], reason: &str) -> Result<Vec<Overdue>, DbError> {
    let rows = tx
        .query(
            "update orders o
             set status = case when answers = (1 << cardinality(required_answers)) - 1 then 'cancelled' else 'cancelling' end,
                 reason = $2, updated_at = clock_timestamp()
             from (select id from orders where id = any($1) and status is not distinct from 'pending' and deadline_at <= clock_timestamp()
                   order by id for no key update) d
             where o.id = d.id and o.id = any($1) returning o.id, o.customer_id, o.status = 'cancelled', o.traceparent",
            &[&orders, &reason],
        )
        .await?;
    let overdue = |row: &Row| Overdue {
        order_id: OrderId(row.get(0)),
        customer_id: CustomerId(row.get(1)),
        answered: row.get(2),
        traceparent: row.get(3),
    };
    Ok(rows.iter().map(overdue).collect())
}
