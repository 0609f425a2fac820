//! Rows whose turn it is: taken one at a time, leased while they run.

use super::{WaitingKey, unsigned};
use crate::db::{Db, DbError};
use crate::envelope::{Envelope, Malformed};
use crate::ids::MessageId;
use crate::topology::QueueRole;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_postgres::Row;
use uuid::Uuid;

/// A row whose turn it is.
#[derive(Debug, Clone)]
pub(crate) struct Due {
    pub(crate) key: WaitingKey,
    pub(crate) queue: QueueRole,
    pub(crate) envelope: Arc<Envelope>,
    pub(crate) suspect: bool,
}

/// Takes the row that has been due longest and sets it due again after `lease`, so that other replicas leave it alone. `by`:
/// only one that was due then (by the database's clock), not what has fallen due since. Tells the time by that clock, too.
pub(crate) async fn take_due(
    db: &Db,
    by: Option<SystemTime>,
    lease: Duration,
) -> Result<Option<(Due, SystemTime)>, DbError> {
    let rows = db
        .query(
            "update saga.waiting w
             set due_at = clock_timestamp() + $2::float8 * interval '1 ms'
             from (select message_id, step from saga.waiting
                   where state <> 'parked' and due_at <= coalesce($1::timestamptz, clock_timestamp())
                   order by due_at limit 1 for update skip locked) d
             where w.message_id = d.message_id and w.step = d.step
             returning w.message_id, w.step, w.queue, w.saga_id, w.type, w.source, w.causation_id, w.traceparent,
                       w.announcement, w.body, w.state, statement_timestamp()",
            &[&by, &(lease.as_secs_f64() * 1_000.0)],
        )
        .await?;
    Ok(rows.first().map(|row| (due(row), row.get(11))))
}

/// Has other replicas leave a row alone that is being run. If it has been given another time meanwhile, it keeps that.
pub(crate) async fn renew(db: &Db, key: &WaitingKey, lease: Duration) -> Result<(), DbError> {
    db.execute(
        "update saga.waiting set due_at = greatest(due_at, clock_timestamp() + $3::float8 * interval '1 ms')
         where message_id = $1 and step = $2 and state <> 'parked'",
        &[&key.0.as_uuid(), &key.1, &(lease.as_secs_f64() * 1_000.0)],
    )
    .await?;
    Ok(())
}

fn due(row: &Row) -> Due {
    let message_id: MessageId = row.get::<_, Uuid>(0).into();
    let queue = if row.get::<_, &str>(2) == "failures" { QueueRole::Failures } else { QueueRole::Events };
    Due {
        key: (message_id, row.get(1)),
        queue,
        envelope: Arc::new(Envelope {
            message_id,
            saga_id: row.get::<_, Option<Uuid>>(3).map(Into::into).ok_or(Malformed::NoSaga),
            event_type: row.get(4),
            source: row.get(5),
            causation_id: row.get::<_, Option<Uuid>>(6).map(Into::into),
            traceparent: row.get(7),
            // What has waited says nothing about hops.
            published_ms: None,
            announcement: unsigned(row.get(8)),
            // Learnt when the message was delivered.
            fault: None,
            died_in: None,
            body: row.get(9),
        }),
        suspect: row.get::<_, &str>(10) == "suspect",
    }
}
