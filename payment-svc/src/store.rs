//! All SQL that writes, and what has to be read to write.

use crate::domain::{Status, Wallet};
use saga_common::{DbError, Row, Statement, Tx};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Opens the wallets of customers who have none. The first of two statements that run before a batch (R7); `$2`, the
/// sagas, is named only because both statements are given both parameters.
///
/// Neither statement can be part of a deadlock: here transactions wait for each other's new wallets in the order of
/// the customers, and hold nothing else of wallets; in [`LOCK_WALLETS`] they wait for old ones in the same order,
/// because a wallet that somebody else has not yet committed is nobody's to wait for any more.
pub(crate) const OPEN_WALLETS: &str = "
    with opened as (
        insert into wallets (customer_id, balance_minor, currency)
        select k.customer_id, o.balance_minor, o.currency
        from unnest($1::text[]) k(customer_id) cross join opening o
        where $2::uuid[] is not null
        order by k.customer_id
        on conflict (customer_id) do nothing
        returning customer_id, balance_minor)
    insert into wallet_movements (customer_id, kind, amount_minor)
    select customer_id, 'opening', balance_minor from opened";

/// Locks the wallets that a batch may touch, in one order: those of the customers `$1` who are to pay, and those that
/// have paid for the sagas `$2`, which may be about to be undone. What it returns is for [`wallets`].
pub(crate) const LOCK_WALLETS: &str = "
    select w.customer_id, w.balance_minor, w.currency
    from (select unnest($1::text[]) as customer_id
          union
          select customer_id from payments where order_id = any($2::uuid[]) and method = 'wallet') k
    join wallets w on w.customer_id = k.customer_id
    order by w.customer_id
    for no key update of w";

/// A payment about to be recorded.
#[derive(Debug)]
pub(crate) struct NewPayment<'a> {
    pub(crate) order_id: Uuid,
    pub(crate) customer_id: &'a str,
    pub(crate) amount_minor: i64,
    pub(crate) currency: &'a str,
    pub(crate) method: &'a str,
    pub(crate) status: Status,
    pub(crate) reason: Option<String>,
}

/// A payment on record.
#[derive(Debug)]
pub(crate) struct Payment {
    pub(crate) customer_id: String,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) method: String,
    pub(crate) status: Status,
    pub(crate) provider_reference: Option<String>,
}

/// Money into or out of a wallet.
#[derive(Debug)]
pub(crate) struct Movement<'a> {
    pub(crate) customer_id: &'a str,
    pub(crate) kind: MovementKind,
    /// Below zero for what is taken out.
    pub(crate) amount_minor: i64,
}

/// Why money moves.
#[derive(Debug, Clone, Copy)]
pub(crate) enum MovementKind {
    /// Somebody set the balance.
    Adjustment,
    /// This order was paid.
    Charge(Uuid),
    /// This order failed, or came back.
    Refund(Uuid),
}

impl MovementKind {
    fn columns(self) -> (&'static str, Option<Uuid>) {
        match self {
            Self::Adjustment => ("adjustment", None),
            Self::Charge(order_id) => ("charge", Some(order_id)),
            Self::Refund(order_id) => ("refund", Some(order_id)),
        }
    }
}

/// What new wallets will hold.
pub(crate) async fn set_opening_balance(tx: &Tx, balance_minor: i64) -> Result<(), DbError> {
    let set = "update opening set balance_minor = $1 where balance_minor <> $1";
    tx.execute(set, &[&balance_minor]).await?;
    Ok(())
}

/// Opens a customer's wallet if there is none, locks it, and returns it: for a change outside of any saga.
pub(crate) async fn open_and_lock(tx: &Tx, customer_id: &str) -> Result<Wallet, DbError> {
    let (customers, sagas): (&[&str], &[Uuid]) = (&[customer_id], &[]);
    tx.execute(OPEN_WALLETS, &[&customers, &sagas]).await?;
    let locked = tx.query(LOCK_WALLETS, &[&customers, &sagas]).await?;
    wallets(&locked)
        .remove(customer_id)
        .ok_or_else(|| DbError::Broken(format!("the wallet of {customer_id} was opened, but is not there")))
}

/// Changes what a locked wallet's balance is counted in.
pub(crate) async fn set_currency(tx: &Tx, customer_id: &str, currency: &str) -> Result<(), DbError> {
    tx.execute("update wallets set currency = $2 where customer_id = $1", &[&customer_id, &currency]).await?;
    Ok(())
}

/// The wallets that have been locked, by customer.
pub(crate) fn wallets(locked: &[Row]) -> BTreeMap<String, Wallet> {
    let wallet = |row: &Row| Wallet { balance_minor: row.get(1), currency: row.get(2) };
    locked.iter().map(|row| (row.get(0), wallet(row))).collect()
}

/// What books movements: the lines `$1` to `$4` and the balances they change, of `$5` wallets.
const BOOK: &str = "
    booked as (
        insert into wallet_movements (customer_id, order_id, kind, amount_minor)
        select * from unnest($1::text[], $2::uuid[], $3::text[], $4::bigint[])
        returning customer_id, amount_minor),
    changed as (
        update wallets w set balance_minor = w.balance_minor + b.total
        from (select customer_id, sum(amount_minor)::bigint as total from booked group by customer_id) b
        where w.customer_id = b.customer_id returning 1)
    select saga.must_all_be_hit(count(*), $5) from changed";

/// Books movements, by one statement. The database refuses it when a customer has no wallet or a balance would fall below zero.
pub(crate) fn book(tx: &Tx, movements: &[Movement<'_>]) -> Result<(), DbError> {
    if movements.is_empty() {
        return Ok(());
    }
    tx.run_later(booking(Statement::new(format!("with {BOOK}")), movements))
}

fn booking(statement: Statement<'static>, movements: &[Movement<'_>]) -> Statement<'static> {
    let customers: Vec<String> = movements.iter().map(|m| m.customer_id.to_owned()).collect();
    let (kinds, orders): (Vec<_>, Vec<_>) = movements.iter().map(|m| m.kind.columns()).unzip();
    let amounts: Vec<i64> = movements.iter().map(|m| m.amount_minor).collect();
    let wallets = movements.iter().map(|m| m.customer_id).collect::<BTreeSet<_>>().len();
    let wanted = i64::try_from(wallets).unwrap_or(i64::MAX);
    statement.with(customers).with(orders).with(kinds).with(amounts).with(wanted)
}

/// Records new payments and books what they take from wallets, all by one statement, which is refused as [`book`]'s is.
pub(crate) fn record(tx: &Tx, payments: &[NewPayment<'_>], movements: &[Movement<'_>]) -> Result<(), DbError> {
    let orders: Vec<Uuid> = payments.iter().map(|p| p.order_id).collect();
    let customers: Vec<String> = payments.iter().map(|p| p.customer_id.to_owned()).collect();
    let amounts: Vec<i64> = payments.iter().map(|p| p.amount_minor).collect();
    let currencies: Vec<String> = payments.iter().map(|p| p.currency.to_owned()).collect();
    let methods: Vec<String> = payments.iter().map(|p| p.method.to_owned()).collect();
    let statuses: Vec<&'static str> = payments.iter().map(|p| p.status.as_str()).collect();
    let reasons: Vec<Option<String>> = payments.iter().map(|p| p.reason.clone()).collect();
    let sql = format!(
        "with recorded as (
             insert into payments (order_id, customer_id, amount_minor, currency, method, status, reason)
             select * from unnest($6::uuid[], $7::text[], $8::bigint[], $9::text[], $10::text[], $11::text[], $12::text[])),
         {BOOK}"
    );
    let statement = booking(Statement::new(sql), movements).with(orders).with(customers).with(amounts);
    tx.run_later(statement.with(currencies).with(methods).with(statuses).with(reasons))
}

/// The payment of an order; none if nobody has asked for it.
pub(crate) async fn payment(tx: &Tx, order_id: Uuid) -> Result<Option<Payment>, DbError> {
    let find = "select customer_id, amount_minor, currency, method, status, provider_reference
                from payments where order_id = $1";
    let row = tx.query_opt(find, &[&order_id]).await?;
    row.as_ref().map(read).transpose()
}

/// Takes the payments of orders for their returns, by compare-and-set from `charged`, in the order of the orders: a wallet's is
/// refunded by this very transaction, a card's is to be. The caller gives back the money of those that are returned here, and of
/// no others.
pub(crate) async fn take_back(tx: &Tx, returns: &[(Uuid, Uuid)]) -> Result<BTreeMap<Uuid, Payment>, DbError> {
    let (orders, returns): (Vec<Uuid>, Vec<Uuid>) = returns.iter().copied().unzip();
    let rows = tx
        .query(
            "update payments p
             set status = case when p.method = 'wallet' then 'refunded' else 'refunding' end, return_id = r.return_id,
                 updated_at = clock_timestamp()
             from (select l.order_id, u.return_id from payments l
                   join unnest($1::uuid[], $2::uuid[]) u(order_id, return_id) on u.order_id = l.order_id
                   where l.order_id = any($1) order by l.order_id for no key update of l) r
             where p.order_id = r.order_id and p.order_id = any($1) and p.status = 'charged'
             returning p.customer_id, p.amount_minor, p.currency, p.method, p.status, p.provider_reference, p.order_id",
            &[&orders, &returns],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get(6), read(row)?))).collect()
}

/// Moves a payment on, by compare-and-set, and returns it as it is now. A reference or reason given is kept.
///
/// # Errors
/// When its status is not `from`: the caller's transaction is mistaken and must not be committed.
pub(crate) async fn turn(
    tx: &Tx,
    order_id: Uuid,
    (from, to): (Status, Status),
    provider_reference: Option<&str>,
    reason: Option<&str>,
) -> Result<Payment, DbError> {
    let row = tx
        .query_opt(
            "update payments
             set status = $3, provider_reference = coalesce($4, provider_reference), reason = coalesce($5, reason),
                 updated_at = clock_timestamp()
             where order_id = $1 and status = $2
             returning customer_id, amount_minor, currency, method, status, provider_reference",
            &[&order_id, &from.as_str(), &to.as_str(), &provider_reference, &reason],
        )
        .await?;
    let mistaken =
        || DbError::Broken(format!("the payment of order {order_id} is not {from}, so it cannot become {to}"));
    read(&row.ok_or_else(mistaken)?)
}

fn read(row: &Row) -> Result<Payment, DbError> {
    let status: &str = row.get(4);
    Ok(Payment {
        customer_id: row.get(0),
        amount_minor: row.get(1),
        currency: row.get(2),
        method: row.get(3),
        status: status.parse().map_err(|unknown: crate::domain::UnknownStatus| DbError::Broken(unknown.to_string()))?,
        provider_reference: row.get(5),
    })
}
