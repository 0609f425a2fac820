//! Guard rows are inserted: before all else, or with the end of a unit that starts their sagas.

use super::{Key, NewGuard, table};
use crate::db::{DbError, Statement};
use crate::ids::{MessageId, SagaId, UnitId};
use crate::waiting::{Suspicion, WaitingKey};
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

/// Has [`insert_new`] met a row after all?
pub(crate) fn met_a_copy(error: &DbError) -> bool {
    matches!(error, DbError::Postgres(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION))
}

/// Inserts guard rows where no copies are likely. One that is there already fails the statement ([`met_a_copy`]); if a
/// copy of one of the messages waits, nothing is inserted. Either way the unit is to be begun again, with [`insert`]. In
/// the order of the keys, which the database keeps, as there is nothing to join or to sort.
pub(crate) fn insert_new(unit: UnitId, guards: &[NewGuard]) -> Statement<'_> {
    new_rows(inserting_new(guards, "begin_unit"), unit, guards)
}

/// As [`insert_new`], for the end of a unit: it fails by itself if it does not insert them all.
pub(crate) fn insert_last(unit: UnitId, guards: &[NewGuard]) -> Option<Statement<'_>> {
    if guards.is_empty() {
        return None;
    }
    let inserting = inserting_new(guards, "must_be");
    let sql = format!(
        "with inserted as ({inserting} returning 1) select saga.must_all_be_hit(count(*), cardinality($1)) from inserted"
    );
    Some(new_rows(sql, unit, guards))
}

fn new_rows(sql: String, unit: UnitId, guards: &[NewGuard]) -> Statement<'_> {
    columns(Statement::new(sql), &in_order(guards)).with(unit.as_uuid())
}

/// `asks` this of its transaction.
fn inserting_new(guards: &[NewGuard], asks: &str) -> String {
    format!(
        "insert into {guards} (saga_id, step, verdict, message_id, causation_id, body_hash, said_id, said_type,
                                            said_unit)
         select g.saga_id, g.step, g.verdict, g.message_id, g.causation_id, g.body_hash, g.said_id, g.said_type,
                case when g.said_id is not null then $9::uuid end
         from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::bytea[], $7::uuid[], $8::text[])
              g(saga_id, step, verdict, message_id, causation_id, body_hash, said_id, said_type)
         where (select saga.{asks}($9::uuid))
               and not exists (select 1 from saga.waiting w where w.message_id = any($4::uuid[]))",
        guards = table(guards.iter().map(|g| &g.key)),
    )
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
