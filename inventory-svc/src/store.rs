//! All SQL that writes, and what has to be read to write. A row of `stock` is changed only by who has locked it.

use crate::domain::{Adjustment, Counts, Moved, NotMoved, Shelf, Wanted};
use chrono::{DateTime, Utc};
use order_contracts::{OrderId, ReturnRequested, Sku};
use saga_common::{DbError, Row, SagaId, Statement, Tx};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Locks the stock that a batch will touch, in one order for everybody: of the articles `$1`, and of those that the
/// sagas `$2` have reserved. What it returns is for [`shelf`].
pub(crate) const LOCK_STOCK: &str = "
    select s.sku, s.available from stock s
    join (select unnest($1::text[]) as sku union select sku from reservations where order_id = any($2::uuid[])) t
      on t.sku = s.sku
    order by s.sku for no key update of s";

/// One article's stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stock {
    /// How many can still be promised.
    pub(crate) available: i64,
    /// How many are promised.
    pub(crate) reserved: i64,
    /// How many have left for good.
    pub(crate) sold: i64,
}

/// What there is of the articles that a batch has locked. Besides reserving only returns change that: what comes back in the
/// same batch cannot be had yet.
pub(crate) fn shelf(locked: &[Row]) -> Shelf {
    locked.iter().map(|row| (row.get::<_, &str>(0).into(), row.get(1))).collect()
}

/// Writes down what the orders took off the shelf, by one statement. The database refuses more than there is.
pub(crate) fn hold(tx: &Tx, orders: &[(SagaId, &Wanted)]) -> Result<(), DbError> {
    if orders.is_empty() {
        return Ok(());
    }
    let (mut ids, mut skus, mut quantities) = (Vec::<Uuid>::new(), Vec::<String>::new(), Vec::<i64>::new());
    let mut taken = BTreeMap::<&str, i64>::new();
    for (saga_id, wanted) in orders {
        for (sku, quantity) in wanted.lines() {
            ids.push(saga_id.as_uuid());
            skus.push(sku.as_str().to_owned());
            quantities.push(quantity);
            // All of it was on the shelf, which counts no further.
            let all = taken.entry(sku.as_str()).or_default();
            *all = all.saturating_add(quantity);
        }
    }
    let (articles, totals): (Vec<String>, Vec<i64>) = taken.into_iter().map(|(sku, all)| (sku.to_owned(), all)).unzip();
    let sql = "with held as (
                   insert into reservations (order_id, sku, quantity, state)
                   select order_id, sku, quantity, 'held'
                   from unnest($1::uuid[], $2::text[], $3::bigint[]) u(order_id, sku, quantity)),
               taken as (
                   update stock s set available = s.available - t.quantity, reserved = s.reserved + t.quantity
                   from unnest($4::text[], $5::bigint[]) t(sku, quantity) where s.sku = t.sku returning 1)
               select saga.must_all_be_hit(count(*), cardinality($4)) from taken";
    tx.run_later(Statement::new(sql).with(ids).with(skus).with(quantities).with(articles).with(totals))
}

/// Puts back what an order holds. Holding nothing is no error.
pub(crate) fn release(tx: &Tx, order: SagaId) -> Result<(), DbError> {
    let sql = "with released as (
                   update reservations set state = 'released' where order_id = $1 and state = 'held' returning sku, quantity),
               moved as (
                   update stock s set available = s.available + r.quantity, reserved = s.reserved - r.quantity
                   from released r where s.sku = r.sku returning 1)
               select saga.must_all_be_hit((select count(*) from moved), (select count(*) from released))";
    tx.run_later(Statement::new(sql).with(order.as_uuid()))
}

/// Sells what these orders hold. Returns those that held something.
pub(crate) async fn sell(tx: &Tx, orders: &[SagaId]) -> Result<BTreeSet<SagaId>, DbError> {
    let ids: Vec<Uuid> = orders.iter().map(SagaId::as_uuid).collect();
    let rows = tx
        .query(
            "with sold as (
                 update reservations set state = 'sold' where order_id = any($1) and state = 'held'
                 returning order_id, sku, quantity),
             moved as (
                 update stock s set reserved = s.reserved - t.quantity, sold = s.sold + t.quantity
                 from (select sku, sum(quantity)::bigint as quantity from sold group by sku) t where s.sku = t.sku)
             select distinct order_id from sold",
            &[&ids],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get::<_, Uuid>(0).into()).collect())
}

/// Puts back what comes back, where the order had bought just that; tells how many lines of each order that were. Its
/// articles are locked, as the events name them.
pub(crate) async fn put_back(tx: &Tx, returns: &[&ReturnRequested]) -> Result<BTreeMap<OrderId, usize>, DbError> {
    let lines = returns.iter().flat_map(|it| it.lines.iter().map(move |line| (it, line)));
    let (mut orders, mut skus, mut quantities) = (Vec::<Uuid>::new(), Vec::<&str>::new(), Vec::<i64>::new());
    let mut sagas = Vec::<Uuid>::new();
    // PostgreSQL takes no NUL in a text, and nobody has bought what can be no article.
    for (it, line) in lines.filter(|(_, line)| Sku::is_well_formed(line.sku.as_str())) {
        orders.push(it.order_id.0);
        sagas.push(it.return_id.0);
        skus.push(line.sku.as_str());
        quantities.push(line.quantity);
    }
    let rows = tx
        .query(
            "with returned as (
                 update reservations r set state = 'returned', return_id = l.return_id
                 from unnest($1::uuid[], $2::text[], $3::bigint[], $4::uuid[]) l(order_id, sku, quantity, return_id)
                 where r.order_id = any($1) and r.order_id = l.order_id and r.sku = l.sku and r.quantity = l.quantity and r.state = 'sold'
                 returning r.order_id, r.sku, r.quantity),
             moved as (
                 update stock s set sold = s.sold - t.quantity, available = s.available + t.quantity
                 from (select sku, sum(quantity)::bigint as quantity from returned group by sku) t where s.sku = t.sku)
             select order_id, count(*) from returned group by order_id",
            &[&orders, &skus, &quantities, &sagas],
        )
        .await?;
    let counted = |row: &Row| (OrderId(row.get(0)), usize::try_from(row.get::<_, i64>(1)).unwrap_or_default());
    Ok(rows.iter().map(counted).collect())
}

/// Who changes what is available, as the log calls it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Set,
    Adjusted,
    Imported,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Adjusted => "adjusted",
            Self::Imported => "imported",
        }
    }
}

/// What setting a few articles came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SetStock {
    /// Articles that were not known.
    pub(crate) added: u64,
    /// Known articles of which something else was available before.
    pub(crate) changed: u64,
}

/// Sets what is available of articles, which may be new, and writes down by how much that changed it. What is as it was
/// leaves no line. (New rows are inserted in the order in which rows are locked; who waits for one has all before it.)
pub(crate) async fn set_available(tx: &Tx, counts: &Counts, kind: Kind) -> Result<SetStock, DbError> {
    let skus = counts.skus();
    let added = tx
        .query(
            "insert into stock (sku, available) select sku, 0 from unnest($1::text[]) u(sku) order by sku
             on conflict do nothing returning sku",
            &[&skus],
        )
        .await?;
    let added: BTreeSet<String> = added.iter().map(|row| row.get(0)).collect();
    let before = tx
        .query("select sku, available from stock where sku = any($1) order by sku for no key update", &[&skus])
        .await?;
    let before: BTreeMap<String, i64> = before.iter().map(|row| (row.get(0), row.get(1))).collect();
    let changes = counts.changes(&before);
    let changed = changes.iter().filter(|(sku, _)| !added.contains(*sku)).count() as u64;
    if !changes.is_empty() {
        move_stock(tx, kind, &changes).await?;
    }
    Ok(SetStock { added: added.len() as u64, changed })
}

/// Changes what is available of locked articles, and writes that down.
async fn move_stock(tx: &Tx, kind: Kind, changes: &[(&str, i64)]) -> Result<(), DbError> {
    let (skus, by): (Vec<&str>, Vec<i64>) = changes.iter().copied().unzip();
    let moved = tx
        .execute(
            "with moved as (
                 update stock s set available = s.available + t.change
                 from unnest($1::text[], $2::bigint[]) t(sku, change) where s.sku = t.sku returning s.sku, t.change)
             insert into stock_movements (sku, change, kind) select sku, change, $3 from moved",
            &[&skus, &by, &kind.as_str()],
        )
        .await?;
    let all = changes.len() as u64;
    if moved == all { Ok(()) } else { Err(DbError::Broken(format!("{moved} of {all} locked articles were moved"))) }
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Movement {
    pub(crate) id: i64,
    pub(crate) change: i64,
    pub(crate) kind: String,
    pub(crate) reason: Option<String>,
    pub(crate) total: i64,
    pub(crate) at: DateTime<Utc>,
}

/// What a request to adjust an article's stock came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Adjusted {
    /// It is in the log. What there is of the article now.
    Done(Movement, Stock),
    /// It came before under the same key, and has been in the log since.
    Before(Movement, Stock),
    /// The key was used for something else.
    OtherBody,
    /// The shelf does not allow it.
    Refused(NotMoved),
    /// There is no such article.
    Unknown,
}

/// Puts something on an article's shelf or takes it away. Who repeats a request waits for the article's row, and then finds the
/// first one's line.
pub(crate) async fn adjust(tx: &Tx, adjustment: &Adjustment, key: Option<&str>) -> Result<Adjusted, DbError> {
    let Adjustment { sku, change, reason } = adjustment;
    let sku = sku.as_str();
    let locked =
        tx.query_opt("select available, reserved, sold from stock where sku = $1 for no key update", &[&sku]).await?;
    let Some(row) = locked else { return Ok(Adjusted::Unknown) };
    let stock = Stock { available: row.get(0), reserved: row.get(1), sold: row.get(2) };
    // A new statement: it sees what the lock waited for.
    let earlier = tx
        .query_opt(
            "select id, change, kind, reason, total, at from stock_movements where sku = $1 and key = $2",
            &[&sku, &key],
        )
        .await?;
    if let Some(earlier) = earlier.as_ref().map(movement) {
        let same = earlier.change == *change && earlier.reason.as_ref() == Some(reason);
        return Ok(if same { Adjusted::Before(earlier, stock) } else { Adjusted::OtherBody });
    }
    let available = match adjustment.of(stock.available) {
        Ok(Moved(available)) => available,
        Err(why) => return Ok(Adjusted::Refused(why)),
    };
    let line = tx
        .query_one(
            "with moved as (update stock set available = $2 where sku = $1 returning sku)
             insert into stock_movements (sku, change, kind, reason, key) select sku, $3, $4, $5, $6 from moved
             returning id, change, kind, reason, total, at",
            &[&sku, &available, change, &Kind::Adjusted.as_str(), reason, &key],
        )
        .await?;
    Ok(Adjusted::Done(movement(&line), Stock { available, ..stock }))
}

fn movement(row: &Row) -> Movement {
    Movement {
        id: row.get(0),
        change: row.get(1),
        kind: row.get(2),
        reason: row.get(3),
        total: row.get(4),
        at: row.get(5),
    }
}

/// What there is of an article that this transaction has set.
pub(crate) async fn stock(tx: &Tx, sku: &str) -> Result<Stock, DbError> {
    let row = tx.query_one("select available, reserved, sold from stock where sku = $1", &[&sku]).await?;
    Ok(Stock { available: row.get(0), reserved: row.get(1), sold: row.get(2) })
}
