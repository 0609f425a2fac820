//! R1, guard rows: one row per (saga, step), inserted before anything else in the step's transaction. It makes the
//! effect happen once, fences a late action after its undo, and is this service's line in the saga's timeline.
//! All SQL on `saga.idempotency_keys` is here; everything is set-wise and in key order (R7).
//!
//! Statements that look rows up by arrays say nothing else of them. Between which sagas they lie would leave out the partitions
//! of other days; but while a table is small, a plan that reads all between the first and the last looks cheap, and it stays.
//!
//! The barrier is dtm's (insert the action's key from the undo); that it is written first, by one unique index, and
//! never deleted eagerly is what makes it hold (see ARCHITECTURE.md).

mod insert;
mod verdict;

pub(crate) use insert::{Found, found, insert, insert_last, insert_new, met_a_copy};
pub use verdict::Verdict;

use crate::db::{DbError, Statement, Tx};
use crate::event::EventType;
use crate::ids::{MessageId, SagaId, UnitId};
use crate::partitions;
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::Row;
use uuid::Uuid;

/// `(saga, step)`.
pub(crate) type Key = (SagaId, String);

/// What is nearly always true of a step in the end: its guard row says so from the beginning, and is written but once. Nobody
/// sees the row before the transaction ends; what turns out otherwise is [settled](settle) by then.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) verdict: Verdict,
    pub(crate) says: Option<(MessageId, EventType)>,
}

impl Expected {
    /// It has this verdict, and has said nothing.
    pub(crate) fn silent(verdict: Verdict) -> Self {
        Self { verdict, says: None }
    }
}

/// A guard row about to be inserted.
#[derive(Debug, Clone)]
pub(crate) struct NewGuard {
    pub(crate) key: Key,
    pub(crate) expected: Expected,
    pub(crate) message_id: MessageId,
    pub(crate) causation_id: Option<MessageId>,
    /// Of the event that made the action run; none for a fence.
    pub(crate) body_hash: Option<Vec<u8>>,
    /// The step under which its message would be in `saga.waiting`; none for what comes from there, or from no message.
    pub(crate) waits_as: Option<String>,
}

/// A guard row that was there already.
#[derive(Debug, Clone)]
pub(crate) struct Existing {
    pub(crate) verdict: Verdict,
    pub(crate) body_hash: Option<Vec<u8>>,
}

/// What becomes of what a guard row says its step has said.
#[derive(Debug, Clone)]
pub(crate) enum Words {
    /// It stays.
    Kept,
    /// It has said nothing.
    None,
    /// It has said this, in the unit that settles it.
    New { id: MessageId, event_type: String },
}

/// The end of a step that is not what its guard row says already.
#[derive(Debug, Clone)]
pub(crate) struct Settled {
    pub(crate) key: Key,
    /// The verdict the row must have now; another transaction cannot have changed it.
    pub(crate) was: Verdict,
    pub(crate) verdict: Verdict,
    pub(crate) words: Words,
    pub(crate) detail: Option<String>,
}

/// Are there likely to be rows under some of the keys?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copies {
    /// Undos, what was delivered before, announcements that are repeated, and all for a while after a copy was met.
    Likely,
    /// Then the rows are inserted as any others ([`insert_new`]), which takes the database at most about half of the time.
    Unlikely,
}

/// Where these rows are.
fn table<'a>(keys: impl IntoIterator<Item = &'a Key>) -> String {
    partitions::guards_of(keys.into_iter().map(|key| key.0))
}

/// Locks and reads rows that are there, in key order. A new statement: it sees what the insert waited for. The sagas have
/// been found to be of days that have a partition. What it returns is for [`locked`].
pub(crate) fn locking(keys: &BTreeSet<Key>) -> Option<Statement<'static>> {
    (!keys.is_empty()).then(|| locking_in(&table(keys), keys))
}

fn locking_in(guards: &str, keys: &BTreeSet<Key>) -> Statement<'static> {
    let sagas: Vec<Uuid> = keys.iter().map(|k| k.0.as_uuid()).collect();
    let steps: Vec<String> = keys.iter().map(|k| k.1.clone()).collect();
    let sql = format!(
        "select k.saga_id, k.step, k.verdict, k.body_hash
         from {guards} k
         join unnest($1::uuid[], $2::text[]) with ordinality u(saga_id, step, n)
              on k.saga_id = u.saga_id and k.step = u.step
         order by u.n for update of k"
    );
    Statement::new(sql).with(sagas).with(steps)
}

/// Reads the rows of [`locking`].
pub(crate) fn locked(rows: &[Row]) -> Result<BTreeMap<Key, Existing>, DbError> {
    rows.iter().map(|row| Ok(((row.get::<_, Uuid>(0).into(), row.get(1)), existing(row)?))).collect()
}

/// Runs [`locking`] by itself.
pub(crate) async fn lock(tx: &Tx, keys: &BTreeSet<Key>) -> Result<BTreeMap<Key, Existing>, DbError> {
    let answers = tx.send(locking(keys).as_slice()).await?;
    locked(answers.first().map_or(&[], |answer| &answer.rows))
}

/// As [`lock`], for sagas of any day.
pub(crate) async fn lock_of_any_day(tx: &Tx, keys: &BTreeSet<Key>) -> Result<(), DbError> {
    if !keys.is_empty() {
        tx.send(&[locking_in("saga.idempotency_keys", keys)]).await?;
    }
    Ok(())
}

/// Has each of these (different) steps of the saga run? Also those of the running transaction; not those that are fenced.
pub(crate) async fn all_run(tx: &Tx, saga_id: SagaId, steps: &[String]) -> Result<bool, DbError> {
    let sql = "select count(*) from saga.idempotency_keys where saga_id = $1 and step = any($2) and verdict <> $3";
    let row = tx.query_one(sql, &[&saga_id.as_uuid(), &steps, &Verdict::Fenced.as_str()]).await?;
    Ok(usize::try_from(row.get::<_, i64>(0)).is_ok_and(|run| run == steps.len()))
}

fn existing(row: &Row) -> Result<Existing, DbError> {
    Ok(Existing { verdict: Verdict::parse(row.get(2))?, body_hash: row.get(3) })
}

/// Writes the verdicts that are others than expected. It must hit every row, and fails by itself if it does not: COMMIT is on
/// its way behind it, and would make the rest true.
pub(crate) fn settle(unit: UnitId, settled: &[Settled]) -> Option<Statement<'_>> {
    if settled.is_empty() {
        return None;
    }
    let sagas: Vec<Uuid> = settled.iter().map(|s| s.key.0.as_uuid()).collect();
    let steps: Vec<&str> = settled.iter().map(|s| s.key.1.as_str()).collect();
    let was: Vec<&str> = settled.iter().map(|s| s.was.as_str()).collect();
    let verdicts: Vec<&str> = settled.iter().map(|s| s.verdict.as_str()).collect();
    let kept: Vec<bool> = settled.iter().map(|s| matches!(s.words, Words::Kept)).collect();
    let said = |s: &'_ Settled| match &s.words {
        Words::New { id, .. } => Some(id.as_uuid()),
        Words::Kept | Words::None => None,
    };
    let said_ids: Vec<Option<Uuid>> = settled.iter().map(said).collect();
    let said_types: Vec<Option<&str>> = settled.iter().map(|s| s.words.event_type()).collect();
    let details: Vec<Option<&str>> = settled.iter().map(|s| s.detail.as_deref()).collect();
    let statement = Statement::new(format!(
        "with hit as (
             update {guards} k
             set verdict = u.verdict, settled_at = clock_timestamp(), detail = coalesce(u.detail, k.detail),
                 said_id = case when u.kept then k.said_id else u.said_id end,
                 said_type = case when u.kept then k.said_type else u.said_type end,
                 said_unit = case when u.kept then k.said_unit when u.said_id is not null then $9::uuid end
             from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bool[], $6::uuid[], $7::text[], $8::text[])
                  u(saga_id, step, was, verdict, kept, said_id, said_type, detail)
             where saga.must_be($9::uuid) and k.saga_id = u.saga_id and k.step = u.step and k.verdict = u.was
             returning 1
         )
         select saga.must_all_be_hit(count(*), $10) from hit",
        guards = table(settled.iter().map(|s| &s.key)),
    ));
    let wanted = i64::try_from(settled.len()).unwrap_or(i64::MAX);
    let statement = statement.with(sagas).with(steps).with(was).with(verdicts).with(kept).with(said_ids);
    Some(statement.with(said_types).with(details).with(unit.as_uuid()).with(wanted))
}

impl Words {
    fn event_type(&self) -> Option<&str> {
        match self {
            Self::New { event_type, .. } => Some(event_type),
            Self::Kept | Self::None => None,
        }
    }
}

/// How many guard rows of the saga have this verdict.
pub(crate) async fn count(tx: &Tx, saga_id: SagaId, verdict: Verdict) -> Result<i64, DbError> {
    let guards = partitions::guards_of([saga_id]);
    let sql = format!("select count(*) from {guards} where saga_id = $1 and verdict = $2");
    let row = tx.query_one(&sql, &[&saga_id.as_uuid(), &verdict.as_str()]).await?;
    Ok(row.get(0))
}
