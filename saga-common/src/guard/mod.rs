//! R1, guard rows: one row per (saga, step), inserted before anything else in the step's transaction. It makes the
//! effect happen once, fences a late action after its undo, and is this service's line in the saga's timeline.
//! All SQL on `saga.idempotency_keys` is here; everything is set-wise and in key order (R7).
//!
//! Statements that look rows up by arrays say nothing else of them. Between which sagas they lie would leave out the partitions
//! of other days; but while a table is small, a plan that reads all between the first and the last looks cheap, and it stays.
//!
//! The barrier is dtm's (insert the action's key from the undo); that it is written first, by one unique index, and
//! never deleted eagerly is what makes it hold (see ARCHITECTURE.md).

mod verdict;

pub use verdict::Verdict;

use crate::db::{DbError, Statement, Tx};
use crate::event::EventType;
use crate::ids::{MessageId, SagaId, UnitId};
use crate::partitions;
use crate::waiting::{Suspicion, WaitingKey};
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
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

/// Has [`insert_new`] met a row after all?
pub(crate) fn met_a_copy(error: &DbError) -> bool {
    matches!(error, DbError::Postgres(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION))
}

/// Inserts guard rows where no copies are likely. One that is there already fails the statement ([`met_a_copy`]); if a
/// copy of one of the messages waits, nothing is inserted. Either way the unit is to be begun again, with [`insert`]. In
/// the order of the keys, which the database keeps, as there is nothing to join or to sort.
pub(crate) fn insert_new(unit: UnitId, guards: &[NewGuard]) -> Statement<'_> {
    let statement = Statement::new(format!(
        "insert into {guards} (saga_id, step, verdict, message_id, causation_id, body_hash, said_id, said_type,
                                            said_unit)
         select g.saga_id, g.step, g.verdict, g.message_id, g.causation_id, g.body_hash, g.said_id, g.said_type,
                case when g.said_id is not null then $9::uuid end
         from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::bytea[], $7::uuid[], $8::text[])
              g(saga_id, step, verdict, message_id, causation_id, body_hash, said_id, said_type)
         where (select saga.begin_unit($9::uuid))
               and not exists (select 1 from saga.waiting w where w.message_id = any($4::uuid[]))",
        guards = table(guards.iter().map(|g| &g.key)),
    ));
    columns(statement, &in_order(guards)).with(unit.as_uuid())
}

/// Inserts what is not there yet, but for messages of which a copy has a row in `saga.waiting`: whoever runs that may hold
/// the guard for long, or end its process. [`found`] tells what came of it. Waits for a transaction that is inserting the
/// same key. The keys must be unique.
///
/// BEGIN may be on its way before it, and fail: then this fails too. One statement, one snapshot: no message is passed
/// over because of a row that is gone when it is looked for. Which rows were inserted is told only if some were not.
pub(crate) fn insert(unit: UnitId, guards: &[NewGuard]) -> Statement<'_> {
    let statement = Statement::new(format!(
        "with inserted as (
             insert into {guards} (saga_id, step, verdict, message_id, causation_id, body_hash, said_id, said_type,
                                                said_unit)
             select g.saga_id, g.step, g.verdict, g.message_id, g.causation_id, g.body_hash, g.said_id, g.said_type,
                    case when g.said_id is not null then $9::uuid end
             from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::bytea[], $7::uuid[], $8::text[],
                         $10::text[])
                  with ordinality g(saga_id, step, verdict, message_id, causation_id, body_hash, said_id, said_type, waits_as, n)
             where (select saga.begin_unit($9::uuid))
                   and not exists (select 1 from saga.waiting w where w.message_id = g.message_id and w.step = g.waits_as)
             order by g.n
             on conflict do nothing
             returning saga_id, step)
         select i.all_of_them,
                case when not i.all_of_them then (select array_agg(saga_id) from inserted) end,
                case when not i.all_of_them then (select array_agg(step) from inserted) end,
                case when not i.all_of_them then h.messages end, case when not i.all_of_them then h.steps end,
                case when not i.all_of_them then h.states end
         from (select count(*) = cardinality($1) all_of_them from inserted) i
         left join lateral (
             select array_agg(w.message_id) messages, array_agg(w.step) steps, array_agg(w.state) states
             from (select distinct c.message_id, c.step from unnest($4, $10) c(message_id, step)) c
             join saga.waiting w on w.message_id = c.message_id and w.step = c.step) h on not i.all_of_them",
        guards = table(guards.iter().map(|g| &g.key)),
    ));
    let guards = in_order(guards);
    let waits_as: Vec<Option<&str>> = guards.iter().map(|g| g.waits_as.as_deref()).collect();
    columns(statement, &guards).with(unit.as_uuid()).with(waits_as)
}

/// Where these rows are.
fn table<'a>(keys: impl IntoIterator<Item = &'a Key>) -> String {
    partitions::guards_of(keys.into_iter().map(|key| key.0))
}

fn in_order(guards: &[NewGuard]) -> Vec<&NewGuard> {
    let mut guards: Vec<&NewGuard> = guards.iter().collect();
    guards.sort_by(|a, b| a.key.cmp(&b.key));
    guards
}

/// Gives the parameters `$1` to `$8` their values.
fn columns<'a>(statement: Statement<'a>, guards: &[&'a NewGuard]) -> Statement<'a> {
    let sagas: Vec<Uuid> = guards.iter().map(|g| g.key.0.as_uuid()).collect();
    let steps: Vec<&str> = guards.iter().map(|g| g.key.1.as_str()).collect();
    let verdicts: Vec<&str> = guards.iter().map(|g| g.expected.verdict.as_str()).collect();
    let messages: Vec<Uuid> = guards.iter().map(|g| g.message_id.as_uuid()).collect();
    let causes: Vec<Option<Uuid>> = guards.iter().map(|g| g.causation_id.map(|id| id.as_uuid())).collect();
    let hashes: Vec<Option<&[u8]>> = guards.iter().map(|g| g.body_hash.as_deref()).collect();
    let says = || guards.iter().map(|g| g.expected.says.as_ref());
    let said_ids: Vec<Option<Uuid>> = says().map(|said| said.map(|(id, _)| id.as_uuid())).collect();
    let said_types: Vec<Option<&str>> = says().map(|said| said.map(|(_, event_type)| event_type.as_str())).collect();
    let statement = statement.with(sagas).with(steps).with(verdicts).with(messages).with(causes).with(hashes);
    statement.with(said_ids).with(said_types)
}

/// What [`insert`] came to.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// None of the rows was there before.
    pub(crate) all: bool,
    /// If some were: those that were not.
    inserted: BTreeSet<Key>,
    /// Messages of which a copy waits, is parked or suspect, and what that row says.
    pub(crate) held: BTreeMap<WaitingKey, Suspicion>,
}

impl Found {
    /// All rows are new.
    pub(crate) fn all() -> Self {
        Self { all: true, ..Self::default() }
    }

    /// Was this row, of those that were to be inserted, not there before?
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.all || self.inserted.contains(key)
    }
}

/// Reads the row of [`insert`].
pub(crate) fn found(rows: &[Row]) -> Found {
    let Some(row) = rows.first() else { return Found::default() };
    if row.get(0) {
        return Found::all();
    }
    let ids = |column| row.get::<_, Option<Vec<Uuid>>>(column).unwrap_or_default();
    let texts = |column| row.get::<_, Option<Vec<String>>>(column).unwrap_or_default();
    let inserted = ids(1).into_iter().map(SagaId::from).zip(texts(2)).collect();
    let held = ids(3).into_iter().map(MessageId::from).zip(texts(4));
    let held = held.zip(texts(5)).map(|(key, state)| (key, Suspicion::of_copy(&state))).collect();
    Found { all: false, inserted, held }
}

/// Locks and reads rows that are there, in key order. A new statement: it sees what the insert waited for. The sagas have
/// been found to be of days that have a partition.
pub(crate) async fn lock(tx: &Tx, keys: &BTreeSet<Key>) -> Result<BTreeMap<Key, Existing>, DbError> {
    lock_in(tx, &table(keys), keys).await
}

/// As [`lock`], for sagas of any day.
pub(crate) async fn lock_of_any_day(tx: &Tx, keys: &BTreeSet<Key>) -> Result<BTreeMap<Key, Existing>, DbError> {
    lock_in(tx, "saga.idempotency_keys", keys).await
}

async fn lock_in(tx: &Tx, guards: &str, keys: &BTreeSet<Key>) -> Result<BTreeMap<Key, Existing>, DbError> {
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sagas: Vec<Uuid> = keys.iter().map(|k| k.0.as_uuid()).collect();
    let steps: Vec<&str> = keys.iter().map(|k| k.1.as_str()).collect();
    let sql = format!(
        "select k.saga_id, k.step, k.verdict, k.body_hash
         from {guards} k
         join unnest($1::uuid[], $2::text[]) with ordinality u(saga_id, step, n)
              on k.saga_id = u.saga_id and k.step = u.step
         order by u.n for update of k"
    );
    let rows = tx.query(&sql, &[&sagas, &steps]).await?;
    rows.iter().map(|row| Ok(((row.get::<_, Uuid>(0).into(), row.get(1)), existing(row)?))).collect()
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
