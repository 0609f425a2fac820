//! All SQL on `saga.outbox`.

use super::Outgoing;
use crate::db::{Db, DbError, Statement};
use crate::ids::MessageId;
use std::time::Duration;
use tokio_postgres::Row;
use uuid::Uuid;

/// Inserts the rows of a unit. A row that is there already (an answer being repeated) is left alone.
pub(crate) fn insert(messages: &[Outgoing], owner: Uuid, lease: Duration) -> Option<Statement<'_>> {
    if messages.is_empty() {
        return None;
    }
    let ids: Vec<Uuid> = messages.iter().map(|m| m.id.as_uuid()).collect();
    let sagas: Vec<Uuid> = messages.iter().map(|m| m.saga_id.as_uuid()).collect();
    let exchanges: Vec<&str> = messages.iter().map(|m| m.exchange.as_str()).collect();
    let keys: Vec<&str> = messages.iter().map(|m| m.routing_key.as_str()).collect();
    let types: Vec<&str> = messages.iter().map(|m| m.event_type.as_str()).collect();
    let causes: Vec<Option<Uuid>> = messages.iter().map(|m| m.causation_id.map(|id| id.as_uuid())).collect();
    let traces: Vec<Option<&str>> = messages.iter().map(|m| m.traceparent.as_deref()).collect();
    let announcements: Vec<i32> = messages.iter().map(|m| i32::try_from(m.announcement).unwrap_or(i32::MAX)).collect();
    let bodies: Vec<&[u8]> = messages.iter().map(|m| m.body.as_slice()).collect();
    let statement = Statement::new(
        "insert into saga.outbox (id, saga_id, exchange, routing_key, type, causation_id, traceparent, announcement, body,
                                  owner, leased_until)
         select u.*, $10, clock_timestamp() + $11::float8 * interval '1 ms'
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::text[], $8::int4[],
                     $9::bytea[]) u
         on conflict do nothing",
    );
    let statement = statement.with(ids).with(sagas).with(exchanges).with(keys).with(types).with(causes).with(traces);
    Some(statement.with(announcements).with(bodies).with(owner).with(millis(lease)))
}

/// Deletes what was confirmed. Rows that another process has locked are its to delete.
pub(crate) fn delete(ids: &[MessageId]) -> Statement<'static> {
    let ids: Vec<Uuid> = ids.iter().map(MessageId::as_uuid).collect();
    let sql = "delete from saga.outbox where id in
               (select id from saga.outbox where id = any($1) order by id for update skip locked)";
    Statement::new(sql).with(ids)
}

/// Nobody's for a while: what the broker had no queue for. The waits double up to 10 s.
pub(super) async fn postpone(db: &Db, ids: &[MessageId]) -> Result<u64, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(MessageId::as_uuid).collect();
    db.execute(
        "update saga.outbox set returns = returns + 1, owner = $2,
                                leased_until = clock_timestamp() + least(power(2, least(returns, 10)), 10) * interval '1 s'
         where id in (select id from saga.outbox where id = any($1) order by id for update)",
        &[&ids, &Uuid::nil()],
    )
    .await
}

/// Leases up to `limit` left-over rows, those first that have waited longest: those of other processes whose lease has run out, and our own
/// that are not in flight (their publication failed). Our own are left alone for a second: they may have been committed
/// after `in_flight` was read.
pub(super) async fn lease(
    db: &Db,
    owner: Uuid,
    in_flight: &[Uuid],
    lease: Duration,
    limit: i64,
) -> Result<Vec<Outgoing>, DbError> {
    let rows = db
        .query(
            "update saga.outbox o set owner = $1, leased_until = clock_timestamp() + $3::float8 * interval '1 ms'
             from (select id from saga.outbox
                   where id <> all($2)
                     and leased_until < clock_timestamp()
                         + case when owner = $1 then ($3::float8 - 1000) * interval '1 ms' else interval '0' end
                   order by leased_until, id limit $4 for update skip locked) l
             where o.id = l.id
             returning o.id, o.saga_id, o.exchange, o.routing_key, o.type, o.causation_id, o.traceparent,
                       o.announcement, o.body",
            &[&owner, &in_flight, &millis(lease), &limit],
        )
        .await?;
    Ok(rows.iter().map(outgoing).collect())
}

fn outgoing(row: &Row) -> Outgoing {
    Outgoing {
        id: row.get::<_, Uuid>(0).into(),
        saga_id: row.get::<_, Uuid>(1).into(),
        exchange: row.get(2),
        routing_key: row.get(3),
        event_type: row.get(4),
        causation_id: row.get::<_, Option<Uuid>>(5).map(Into::into),
        traceparent: row.get(6),
        announcement: u32::try_from(row.get::<_, i32>(7)).unwrap_or(0),
        fault: None,
        body: row.get(8),
    }
}

#[allow(clippy::cast_precision_loss)]
fn millis(duration: Duration) -> f64 {
    duration.as_millis() as f64
}

/// How many rows wait, and for how long the oldest has, in seconds.
pub(super) async fn backlog(db: &Db) -> Result<(i64, f64), DbError> {
    let rows = db
        .query(
            "select count(*), coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float8 from saga.outbox",
            &[],
        )
        .await?;
    Ok(rows.first().map_or((0, 0.0), |row| (row.get(0), row.get(1))))
}
