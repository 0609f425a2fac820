//! What happens by the clock, which is the database's: overdue orders are cancelled, old request keys forgotten.

use crate::steps::place_order::PLACE_ORDER;
use crate::store;
use order_contracts::{OrderCancelled, OrderCancelling};
use saga_common::{Error, Saga, SagaId};
use sqlx::PgPool;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const LOOK_EVERY: Duration = Duration::from_millis(250);
const FORGET_EVERY: Duration = Duration::from_secs(600);
/// Why the order was cancelled, when nobody decided in time.
const OVERDUE: &str = "deadline passed";

/// Cancels orders that are still pending at their deadline.
pub(crate) async fn cancel_overdue(saga: Saga, reads: PgPool, stop: CancellationToken) {
    loop {
        tokio::select! { () = tokio::time::sleep(LOOK_EVERY) => {}, () = stop.cancelled() => return }
        let overdue = sqlx::query_scalar!(
            "select id from orders where status = 'pending' and deadline_at <= clock_timestamp() order by deadline_at limit 100"
        )
        .fetch_all(&reads)
        .await;
        let ended = match overdue {
            Ok(overdue) if overdue.is_empty() => continue,
            Ok(overdue) => {
                let saga = saga.clone();
                tokio::spawn(async move { cancel(&saga, overdue).await }).await
            }
            Err(error) => {
                tracing::warn!(error = %error, "deadlines cannot be looked up");
                continue;
            }
        };
        match ended {
            Ok(Ok(cancelled)) => tracing::info!(cancelled, "orders were still pending at their deadline"),
            Ok(Err(error)) => tracing::warn!(error = %error, "overdue orders cannot be cancelled yet"),
            Err(panic) => tracing::error!(error = %panic, "cancelling overdue orders failed"),
        }
    }
}

async fn cancel(saga: &Saga, mut overdue: Vec<Uuid>) -> Result<usize, Error> {
    overdue.sort_unstable();
    let sagas: Vec<SagaId> = overdue.iter().map(|id| SagaId::from(*id)).collect();
    let mut unit = saga.begin().await?;
    unit.lock(PLACE_ORDER, &sagas).await?;
    let cancelled = store::cancel_overdue(unit.tx(), &overdue, OVERDUE).await?;
    for (order_id, customer_id, answered) in &cancelled {
        let (order_id, saga_id, reason) = (*order_id, SagaId::from(order_id.0), OVERDUE.to_owned());
        if *answered {
            let customer_id = customer_id.clone();
            unit.end(PLACE_ORDER, saga_id, &OrderCancelled { order_id, customer_id, reason })?;
        } else {
            unit.fail(PLACE_ORDER, saga_id, &OrderCancelling { order_id, reason })?;
        }
    }
    saga.commit(unit).await?;
    Ok(cancelled.len())
}

/// Forgets request keys after a day, a bounded number at a time.
pub(crate) async fn forget_request_keys(reads: PgPool, stop: CancellationToken) {
    loop {
        tokio::select! { () = tokio::time::sleep(FORGET_EVERY) => {}, () = stop.cancelled() => return }
        let forgotten = sqlx::query!(
            "delete from request_keys where (customer_id, key) in
             (select customer_id, key from request_keys where created_at < clock_timestamp() - interval '25 hours'
              limit 10000)"
        )
        .execute(&reads)
        .await;
        if let Err(error) = forgotten {
            tracing::warn!(error = %error, "old request keys cannot be deleted yet");
        }
    }
}
