//! R4, nothing published is trusted until answered: repeats announcements until they are withdrawn. All SQL on
//! `saga.announcements`.
//!
//! The publisher of a fanout cannot see a missing queue, and a queue can be deleted with what it holds. So whoever owns
//! a saga says `confirmed` and `cancelling` again, under the same message id and with a rising `announcement` header,
//! until everybody it needs has answered.

use crate::db::{Db, DbError, Statement, Tx};
use crate::faults;
use crate::ids::{SagaId, UnitId};
use crate::outbox::{self, InFlight, Outbox, Outgoing};
use crate::topology::Route;
use crate::unit::Announcement;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const FIRST_REPEAT_MS: f64 = 5_000.0;
const REPEAT_MS: f64 = 10_000.0;
/// At most so many repeats in one look, and one look a second.
const REPEATS_A_SECOND: i64 = 200;

/// Inserts what this unit has said for the first time, or leaves to be said later.
pub(crate) fn insert(unit: UnitId, announcements: &[Announcement]) -> Option<Statement<'_>> {
    if announcements.is_empty() {
        return None;
    }
    // In the order of their keys, as everything that locks rows of several sagas (R7).
    let mut messages: Vec<&Outgoing> = announcements.iter().map(|a| &a.message).collect();
    messages.sort_by_key(|message| message.saga_id);
    let sagas: Vec<Uuid> = messages.iter().map(|m| m.saga_id.as_uuid()).collect();
    let ids: Vec<Uuid> = messages.iter().map(|m| m.id.as_uuid()).collect();
    let exchanges: Vec<&str> = messages.iter().map(|m| m.route.exchange()).collect();
    let keys: Vec<&str> = messages.iter().map(|m| m.routing_key()).collect();
    let types: Vec<&str> = messages.iter().map(|m| m.event_type.as_str()).collect();
    let causes: Vec<Option<Uuid>> = messages.iter().map(|m| m.causation_id.map(|id| id.as_uuid())).collect();
    let bodies: Vec<&[u8]> = messages.iter().map(|m| m.body.as_slice()).collect();
    let statement = Statement::new(
        "insert into saga.announcements (saga_id, message_id, exchange, routing_key, type, causation_id, body, traceparent,
                                         due_at, unit)
         select u.*, clock_timestamp() + $8::float8 * interval '1 ms', $9::uuid
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::bytea[], $10::text[]) u
         where saga.must_be($9::uuid)
         on conflict do nothing",
    );
    let statement = statement.with(sagas).with(ids).with(exchanges).with(keys).with(types).with(causes).with(bodies);
    let traces: Vec<Option<&str>> = messages.iter().map(|m| m.traceparent.as_deref()).collect();
    Some(statement.with(FIRST_REPEAT_MS).with(unit.as_uuid()).with(traces))
}

/// For a transaction that must have these sagas' announcements to itself, as soon as nobody else has them. In the order of their
/// keys (R7); a saga without one is passed by.
pub(crate) fn locking(sagas: &[SagaId]) -> Option<Statement<'static>> {
    if sagas.is_empty() {
        return None;
    }
    let sagas: Vec<Uuid> = sagas.iter().map(SagaId::as_uuid).collect();
    let sql = "select 1 from saga.announcements where saga_id = any($1) order by saga_id for update";
    Some(Statement::new(sql).with(sagas))
}

pub(crate) fn withdraw(unit: UnitId, sagas: &[SagaId]) -> Option<Statement<'static>> {
    if sagas.is_empty() {
        return None;
    }
    let sagas: Vec<Uuid> = sagas.iter().map(SagaId::as_uuid).collect();
    let sql = "delete from saga.announcements a
               using (select saga_id from saga.announcements where saga_id = any($1) order by saga_id for update) l
               where saga.must_be($2) and a.saga_id = l.saga_id";
    Some(Statement::new(sql).with(sagas).with(unit.as_uuid()))
}

/// How many sagas are being announced, and the oldest of them.
pub(crate) async fn open(db: &Db) -> Result<(i64, Option<SagaId>), DbError> {
    let sql = "select (select count(*) from saga.announcements),
                      (select saga_id from saga.announcements order by saga_id limit 1)";
    let rows = db.query(sql, &[]).await?;
    Ok(rows.first().map_or((0, None), |row| (row.get(0), row.get::<_, Option<Uuid>>(1).map(Into::into))))
}

/// Repeats what is due, once a second.
pub(crate) async fn repeat(db: Db, outbox: Outbox, done: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = done.cancelled() => return,
        }
        // In a task of its own, so that a stop never drops a transaction half-way.
        let (db, outbox) = (db.clone(), outbox.clone());
        match tokio::spawn(async move { repeat_due(&db, &outbox).await }).await {
            Ok(Ok(0)) => {}
            Ok(Ok(repeated)) => tracing::info!(repeated, "repeated announcements that nobody has answered in full"),
            Ok(Err(error)) => tracing::warn!(error = %error, "announcements cannot be repeated"),
            Err(panic) => tracing::error!(error = %panic, "repeating announcements failed"),
        }
    }
}

async fn commit(tx: Tx, outbox: &Outbox, unit: UnitId, messages: Vec<Outgoing>) -> Result<InFlight, DbError> {
    faults::BEFORE_ANNOUNCE.reached().await?;
    let in_flight = outbox.in_flight_until_known(unit, messages);
    let row = in_flight.row(0);
    tx.commit(row.as_slice()).await?;
    drop(row);
    faults::AFTER_ANNOUNCE.reached().await?;
    Ok(in_flight)
}

/// One transaction: the oldest due announcements go into the outbox under their own ids, unless they are still there from the
/// last time.
pub(crate) async fn repeat_due(db: &Db, outbox: &Outbox) -> Result<usize, DbError> {
    let unit = UnitId::new();
    let tx = db.begin_unit(unit).await?;
    let rows = tx
        .query(
            "update saga.announcements a
             set repeats = a.repeats + 1, unit = $3,
                 due_at = clock_timestamp() + $1::float8 * (0.75 + random() / 2) * interval '1 ms'
             from (select saga_id from saga.announcements d
                   where due_at <= clock_timestamp() and not exists (
                         select 1 from saga.outbox o
                         where o.unit = d.unit and (o.unsent is null or d.message_id = any(o.unsent)))
                   order by due_at limit $2 for update skip locked) d
             where a.saga_id = d.saga_id
             returning a.saga_id, a.message_id, a.exchange, a.type, a.causation_id, a.body, a.repeats, a.traceparent",
            &[&REPEAT_MS, &REPEATS_A_SECOND, &unit.as_uuid()],
        )
        .await?;
    let messages: Vec<Outgoing> = rows
        .iter()
        .map(|row| Outgoing {
            saga_id: row.get::<_, Uuid>(0).into(),
            id: row.get::<_, Uuid>(1).into(),
            route: Route::over(row.get(2)),
            event_type: row.get(3),
            causation_id: row.get::<_, Option<Uuid>>(4).map(Into::into),
            traceparent: row.get(7),
            made_by: None,
            announcement: u32::try_from(row.get::<_, i32>(6)).unwrap_or(0),
            fault: None,
            body: row.get(5),
        })
        .collect();
    if messages.is_empty() {
        tx.rollback().await;
        return Ok(0);
    }
    let repeated = messages.len();
    let about = outbox::subjects(&messages);
    let committed = outbox.faults().scope(|| about, commit(tx, outbox, unit, messages)).await?;
    committed.publish();
    outbox.meters().announcements_repeated.increment(repeated as u64);
    Ok(repeated)
}
