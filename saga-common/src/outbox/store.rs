//! All SQL on `saga.outbox`.
//!
//! Bodies are written once: those of the messages that a unit records are in `saga.said`, and only those of the others, behind
//! them, in the outbox.

use super::{Batch, Outgoing};
use crate::db::{Db, DbError, Statement};
use crate::ids::{MessageId, UnitId};
use crate::partitions;
use crate::topology::Route;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio_postgres::Row;
use uuid::Uuid;

/// Inserts a unit's row and, of its first `recorded` messages, what [`said`](crate::said) keeps; fails in another transaction
/// than the unit's. One statement, so that neither is there without the other, whatever has become of the transaction. None
/// if nothing is said.
pub(super) fn insert(batch: &Batch, recorded: usize, (owner, lease): (Uuid, Duration)) -> Option<Statement<'_>> {
    let Batch { unit, messages, .. } = batch;
    if messages.is_empty() {
        return None;
    }
    let ids: Vec<Uuid> = messages.iter().map(|m| m.id.as_uuid()).collect();
    let sagas: Vec<Uuid> = messages.iter().map(|m| m.saga_id.as_uuid()).collect();
    let types: Vec<&str> = messages.iter().map(|m| m.event_type.as_str()).collect();
    let fanned_out: Vec<bool> = messages.iter().map(|m| m.route == Route::Fanout).collect();
    let causes: Vec<Option<Uuid>> = messages.iter().map(|m| m.causation_id.map(|id| id.as_uuid())).collect();
    let traces: Vec<Option<&str>> = messages.iter().map(|m| m.traceparent.as_deref()).collect();
    let announcements: Vec<i32> = messages.iter().map(|m| i32::try_from(m.announcement).unwrap_or(i32::MAX)).collect();
    let mut said: Vec<&[u8]> = messages.iter().map(|m| m.body.as_slice()).collect();
    let others = said.split_off(recorded.min(said.len()));
    let recording = format!(
        "with said as (
             insert into {} (unit, ids, bodies) select $1::uuid, ($2::uuid[])[:cardinality($12::bytea[])], $12::bytea[])",
        partitions::said_of(*unit)
    );
    let statement = Statement::new(format!(
        "{recording}
         insert into saga.outbox (unit, ids, sagas, types, fanned_out, causations, traceparents, announcements, bodies,
                                  owner, leased_until)
         select $1::uuid, $2::uuid[], $3::uuid[], $4::text[], $5::bool[], $6::uuid[], $7::text[], $8::int4[], $9::bytea[],
                $10::uuid, clock_timestamp() + $11::float8 * interval '1 ms'
         where saga.must_be($1::uuid)",
        recording = if said.is_empty() { "" } else { &recording },
    ));
    let statement = statement.with(unit.as_uuid()).with(ids).with(sagas).with(types).with(fanned_out).with(causes);
    let statement = statement.with(traces).with(announcements).with(others).with(owner).with(millis(lease));
    Some(if said.is_empty() { statement } else { statement.with(said) })
}

/// Deletes what was confirmed. Rows that another process has locked are its to delete.
pub(crate) fn delete(units: &[UnitId]) -> Option<Statement<'static>> {
    if units.is_empty() {
        return None;
    }
    let units: Vec<Uuid> = units.iter().map(UnitId::as_uuid).collect();
    // Said twice, so that no plan reads the whole table: it may be made while that is empty.
    let sql = "delete from saga.outbox where unit = any($1) and unit in
               (select unit from saga.outbox where unit = any($1) order by unit for update skip locked)";
    Some(Statement::new(sql).with(units))
}

/// Nobody's for a while: what the broker had no queue for, given as the messages of each unit that are still to be sent. The
/// waits double up to 10 s.
pub(super) async fn postpone(db: &Db, unsent: &[(UnitId, MessageId)]) -> Result<u64, DbError> {
    let (units, ids): (Vec<Uuid>, Vec<Uuid>) = unsent.iter().map(|(unit, id)| (unit.as_uuid(), id.as_uuid())).unzip();
    db.execute(
        "update saga.outbox o set returns = o.returns + 1, owner = $3, unsent = left_over.ids,
                leased_until = clock_timestamp() + least(power(2, least(o.returns, 10)), 10) * interval '1 s'
         from (select unit, array_agg(id) ids from unnest($1::uuid[], $2::uuid[]) u(unit, id) group by unit) left_over,
              (select unit from saga.outbox where unit = any($1) order by unit for update) locked
         where o.unit = locked.unit and o.unit = left_over.unit",
        &[&units, &ids, &Uuid::nil()],
    )
    .await
}

/// Leases up to `limit` left-over rows, those first that have waited longest: those of other processes whose lease has
/// run out, and our own
/// that are not in flight (their publication failed). Our own are left alone for a second: they may have been committed
/// after `in_flight` was read.
pub(super) async fn lease(
    db: &Db,
    owner: Uuid,
    in_flight: &[Uuid],
    lease: Duration,
    limit: i64,
) -> Result<Vec<Batch>, DbError> {
    let rows = db
        .query(
            "update saga.outbox o set owner = $1, leased_until = clock_timestamp() + $3::float8 * interval '1 ms'
             from (select unit from saga.outbox
                   where unit <> all($2)
                     and leased_until < clock_timestamp()
                         + case when owner = $1 then ($3::float8 - 1000) * interval '1 ms' else interval '0' end
                   order by leased_until, unit limit $4 for update skip locked) l
             left join saga.said s on s.unit = l.unit
             where o.unit = l.unit
             returning o.unit, o.ids, o.sagas, o.types, o.fanned_out, o.causations, o.traceparents, o.announcements,
                       s.bodies[:cardinality(o.ids) - cardinality(o.bodies)] || o.bodies, o.unsent,
                       extract(epoch from clock_timestamp() - o.created_at)::float8",
            &[&owner, &in_flight, &millis(lease), &limit],
        )
        .await?;
    rows.iter().map(batch).collect()
}

/// What of a row is still to be sent.
fn batch(row: &Row) -> Result<Batch, DbError> {
    let unit: Uuid = row.get(0);
    let uneven = || DbError::Broken(format!("the lists in the outbox row of unit {unit} are of different lengths"));
    let unsent: Option<BTreeSet<Uuid>> = row.get::<_, Option<Vec<Uuid>>>(9).map(|ids| ids.into_iter().collect());
    let ids: Vec<Uuid> = row.get(1);
    let mut sagas = row.get::<_, Vec<Uuid>>(2).into_iter();
    let mut types = row.get::<_, Vec<String>>(3).into_iter();
    let mut fanned_out = row.get::<_, Vec<bool>>(4).into_iter();
    let mut causes = row.get::<_, Vec<Option<Uuid>>>(5).into_iter();
    let mut traces = row.get::<_, Vec<Option<String>>>(6).into_iter();
    let mut announcements = row.get::<_, Vec<i32>>(7).into_iter();
    let mut bodies = row.get::<_, Vec<Vec<u8>>>(8).into_iter();
    let mut messages = Vec::with_capacity(ids.len());
    for id in ids {
        let message = Outgoing {
            id: id.into(),
            saga_id: sagas.next().ok_or_else(uneven)?.into(),
            event_type: types.next().ok_or_else(uneven)?,
            route: if fanned_out.next().ok_or_else(uneven)? { Route::Fanout } else { Route::Direct },
            causation_id: causes.next().ok_or_else(uneven)?.map(Into::into),
            traceparent: traces.next().ok_or_else(uneven)?,
            made_by: None,
            announcement: u32::try_from(announcements.next().ok_or_else(uneven)?).unwrap_or(0),
            fault: None,
            body: bodies.next().ok_or_else(uneven)?,
        };
        if unsent.as_ref().is_none_or(|unsent| unsent.contains(&id)) {
            messages.push(message);
        }
    }
    let age = Duration::try_from_secs_f64(row.get(10)).unwrap_or_default();
    let now = Instant::now();
    Ok(Batch { unit: unit.into(), messages, committed: now.checked_sub(age).unwrap_or(now) })
}

#[allow(clippy::cast_precision_loss)]
fn millis(duration: Duration) -> f64 {
    duration.as_millis() as f64
}

/// How many messages wait, and for how long the oldest has, in seconds.
pub(crate) async fn backlog(db: &Db) -> Result<(i64, f64), DbError> {
    let rows = db
        .query(
            "select coalesce(sum(cardinality(coalesce(unsent, ids))), 0)::int8,
                    coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float8 from saga.outbox",
            &[],
        )
        .await?;
    Ok(rows.first().map_or((0, 0.0), |row| (row.get(0), row.get(1))))
}
