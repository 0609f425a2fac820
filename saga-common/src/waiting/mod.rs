//! R8, waiting and parking: all SQL on `saga.waiting`.
//!
//! A message that must wait is a row, written before its ack; another copy meets the row and is settled. There are no
//! delay queues, and redrive never publishes: it sets the row due.

mod due;

pub(crate) use due::{Due, renew, take_due};

use crate::db::{Db, DbError, Statement};
use crate::envelope::{Envelope, storable};
use crate::ids::{MessageId, SagaId, UnitId};
use crate::topology::QueueRole;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Row;
use uuid::Uuid;

/// `(message, step)`.
pub(crate) type WaitingKey = (MessageId, String);

/// Why a row is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Delivered again after a connection or process ended: it may have been the reason.
    Suspect,
    /// Due at a time.
    Waiting,
    /// For a person.
    Parked,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Suspect => "suspect",
            Self::Waiting => "waiting",
            Self::Parked => "parked",
        }
    }
}

/// One event that is to be written down with what is to become of it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) step: String,
    pub(crate) queue: QueueRole,
    pub(crate) envelope: Arc<Envelope>,
    pub(crate) state: State,
    pub(crate) reason: String,
    pub(crate) redrivable: bool,
    pub(crate) due_in: Duration,
}

/// What a redelivered message finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suspicion {
    /// Nothing: it is suspect from now on, and may run with the others once more.
    New,
    /// It was suspect before: it must run alone, counted.
    Again,
    /// It waits or is parked: this copy is settled.
    Settled,
}

const WRITE: &str = "
    insert into saga.waiting (message_id, step, queue, saga_id, type, source, causation_id, traceparent, announcement,
                              body, state, reason, redrivable, due_at)
    select u.message_id, u.step, u.queue, u.saga_id, u.type, u.source, u.causation_id, u.traceparent, u.announcement,
           u.body, u.state, u.reason, u.redrivable, clock_timestamp() + u.due_ms * interval '1 ms'
    from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::uuid[], $8::text[],
                $9::int4[], $10::bytea[], $11::text[], $12::text[], $13::bool[], $14::float8[])
         u(message_id, step, queue, saga_id, type, source, causation_id, traceparent, announcement, body, state, reason,
           redrivable, due_ms)
    order by u.message_id, u.step ";

/// Writes entries down. A row that is there already takes over the new state, reason and time (its attempts stay).
pub(crate) async fn put(db: &Db, entries: &[Entry]) -> Result<(), DbError> {
    let sql = format!(
        "{WRITE} on conflict (message_id, step) do update set state = excluded.state, reason = excluded.reason,
         redrivable = excluded.redrivable, due_at = excluded.due_at"
    );
    write(db, &sql, entries).await.map(drop)
}

/// Marks redelivered messages as suspect, in one committed statement. Nothing is counted yet: of those that were suspect
/// before, only the one whose turn it is can end the process.
pub(crate) async fn suspect(db: &Db, entries: &[Entry]) -> Result<BTreeMap<WaitingKey, Suspicion>, DbError> {
    let sql = format!(
        "{WRITE} on conflict (message_id, step) do update
         set due_at = case saga.waiting.state when 'suspect' then excluded.due_at else saga.waiting.due_at end
         returning message_id, step, state, (xmax = 0)"
    );
    let rows = write(db, &sql, entries).await?;
    Ok(rows.iter().map(|row| ((row.get::<_, Uuid>(0).into(), row.get(1)), suspicion(row))).collect())
}

fn suspicion(row: &Row) -> Suspicion {
    if row.get(3) { Suspicion::New } else { Suspicion::of_copy(row.get(2)) }
}

impl Suspicion {
    /// What the state of a row says of another copy of its message.
    pub(crate) fn of_copy(state: &str) -> Self {
        if state == State::Suspect.as_str() { Self::Again } else { Self::Settled }
    }
}

async fn write(db: &Db, sql: &str, entries: &[Entry]) -> Result<Vec<Row>, DbError> {
    // One row per key: a message may be in a batch twice, and a statement cannot write a row twice.
    let unique: BTreeMap<WaitingKey, &Entry> =
        entries.iter().map(|e| ((e.envelope.message_id, e.step.clone()), e)).collect();
    let entries: Vec<&Entry> = unique.into_values().collect();
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = entries.iter().map(|e| e.envelope.message_id.as_uuid()).collect();
    let steps: Vec<&str> = entries.iter().map(|e| e.step.as_str()).collect();
    let queues: Vec<&str> = entries.iter().map(|e| e.queue.as_str()).collect();
    let sagas: Vec<Option<Uuid>> =
        entries.iter().map(|e| e.envelope.saga_id.as_ref().ok().map(SagaId::as_uuid)).collect();
    let types: Vec<&str> = entries.iter().map(|e| e.envelope.event_type.as_str()).collect();
    let sources: Vec<&str> = entries.iter().map(|e| e.envelope.source.as_str()).collect();
    let causes: Vec<Option<Uuid>> = entries.iter().map(|e| e.envelope.causation_id.map(|id| id.as_uuid())).collect();
    let traces: Vec<Option<&str>> = entries.iter().map(|e| e.envelope.traceparent.as_deref()).collect();
    let announcements: Vec<i32> =
        entries.iter().map(|e| i32::try_from(e.envelope.announcement).unwrap_or(i32::MAX)).collect();
    let bodies: Vec<&[u8]> = entries.iter().map(|e| e.envelope.body.as_slice()).collect();
    let states: Vec<&str> = entries.iter().map(|e| e.state.as_str()).collect();
    // A reason may quote what came over the wire.
    let reasons: Vec<String> = entries.iter().map(|e| storable(e.reason.clone())).collect();
    let redrivable: Vec<bool> = entries.iter().map(|e| e.redrivable).collect();
    let due: Vec<f64> = entries.iter().map(|e| e.due_in.as_secs_f64() * 1_000.0).collect();
    db.query(
        sql,
        &[
            &ids,
            &steps,
            &queues,
            &sagas,
            &types,
            &sources,
            &causes,
            &traces,
            &announcements,
            &bodies,
            &states,
            &reasons,
            &redrivable,
            &due,
        ],
    )
    .await
}

/// Counts an attempt, committed before the handler starts, and has other replicas leave the row alone for as long as it
/// may take; returns how many attempts there are now.
pub(crate) async fn count_attempt(db: &Db, key: &WaitingKey, lease: Duration) -> Result<u32, DbError> {
    let rows = db
        .query(
            "update saga.waiting set attempts = attempts + 1, due_at = clock_timestamp() + $3::float8 * interval '1 ms'
             where message_id = $1 and step = $2 and state <> 'parked' returning attempts",
            &[&key.0.as_uuid(), &key.1, &(lease.as_secs_f64() * 1_000.0)],
        )
        .await?;
    Ok(rows.first().map_or(1, |row| unsigned(row.get(0))))
}

/// Takes back an attempt that says nothing about the message: the `counted`th. Doing it twice takes back one.
pub(crate) async fn uncount_attempt(db: &Db, key: &WaitingKey, counted: u32) -> Result<u64, DbError> {
    let counted = i32::try_from(counted).unwrap_or(i32::MAX);
    let sql = "update saga.waiting set attempts = attempts - 1
               where message_id = $1 and step = $2 and attempts = $3 and state <> 'parked'";
    db.execute(sql, &[&key.0.as_uuid(), &key.1, &counted]).await
}

/// Has this message a row?
pub(crate) async fn is_held(db: &Db, key: &WaitingKey) -> Result<bool, DbError> {
    let sql = "select 1 from saga.waiting where message_id = $1 and step = $2";
    Ok(!db.query(sql, &[&key.0.as_uuid(), &key.1]).await?.is_empty())
}

/// In the transaction that settles them: the rows of messages that were suspect or due go. Locked in the order in which
/// another replica, to which the messages were delivered again, would mark them.
pub(crate) fn handled(unit: UnitId, keys: &[WaitingKey]) -> Option<Statement<'_>> {
    if keys.is_empty() {
        return None;
    }
    let ids: Vec<Uuid> = keys.iter().map(|k| k.0.as_uuid()).collect();
    let steps: Vec<&str> = keys.iter().map(|k| k.1.as_str()).collect();
    let sql = "delete from saga.waiting w using (
                   select h.message_id, h.step from saga.waiting h
                   join unnest($1::uuid[], $2::text[]) u(message_id, step)
                        on h.message_id = u.message_id and h.step = u.step
                   order by h.message_id, h.step for update of h
               ) l where saga.must_be($3) and w.message_id = l.message_id and w.step = l.step";
    Some(Statement::new(sql).with(ids).with(steps).with(unit.as_uuid()))
}

fn unsigned(n: i32) -> u32 {
    u32::try_from(n).unwrap_or(0)
}

/// Sets all rows of a parked or waiting message due now. `None`: there is no such message; `Some(0)`: it is there, but
/// nothing can be gained by trying again. That `by` has asked for it is noted with it.
pub(crate) async fn redrive(db: &Db, message_id: MessageId, by: &str) -> Result<Option<u64>, DbError> {
    let found = db.query("select 1 from saga.waiting where message_id = $1", &[&message_id.as_uuid()]).await?;
    if found.is_empty() {
        return Ok(None);
    }
    let redriven = db
        .execute(
            "with noted as (
                 insert into saga.acts (subject, act, target) select $2, 'redrive', $1::uuid::text
                 where exists (select from saga.waiting where message_id = $1 and redrivable))
             update saga.waiting set state = 'waiting', attempts = 0, due_at = clock_timestamp()
             where message_id = $1 and redrivable",
            &[&message_id.as_uuid(), &by],
        )
        .await?;
    Ok(Some(redriven))
}

/// How many messages have a row, and how long ago the first of them came.
pub(crate) struct Backlog {
    pub(crate) messages: i64,
    pub(crate) oldest_seconds: f64,
}

/// Those that wait (or are suspect), and those that are parked.
pub(crate) async fn backlog(db: &Db) -> Result<[Backlog; 2], DbError> {
    let rows = db
        .query(
            "select state = 'parked', count(*), extract(epoch from clock_timestamp() - min(first_seen_at))::float8
             from saga.waiting group by 1",
            &[],
        )
        .await?;
    let of = |parked: bool| {
        let row = rows.iter().find(|row| row.get::<_, bool>(0) == parked);
        let none = Backlog { messages: 0, oldest_seconds: 0.0 };
        row.map_or(none, |row| Backlog { messages: row.get(1), oldest_seconds: row.get(2) })
    };
    Ok([of(false), of(true)])
}
