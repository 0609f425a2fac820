//! What happens by the clock, which is the database's: overdue orders are cancelled, old request keys forgotten.

use crate::metrics;
use crate::reads::bounded;
use crate::steps::place_order::PLACE_ORDER;
use crate::store::{self, Overdue};
use order_contracts::{OrderCancelled, OrderCancelling};
use saga_common::db::{Trouble, trouble};
use saga_common::{Error, Saga, SagaId};
use sqlx::PgPool;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const LOOK_EVERY: Duration = Duration::from_millis(250);
const FORGET_EVERY: Duration = Duration::from_secs(600);
/// Request keys forgotten in one statement.
const FORGOTTEN_AT_ONCE: i64 = 10_000;
/// Why the order was cancelled, when nobody decided in time. What a participant remarks with its answer is added to it.
pub(crate) const OVERDUE: &str = "deadline passed";

/// Cancels orders that are still pending at their deadline.
pub(crate) async fn cancel_overdue(saga: Saga, reads: PgPool, stop: CancellationToken) {
    loop {
        tokio::select! { () = tokio::time::sleep(LOOK_EVERY) => {}, () = stop.cancelled() => return }
        let overdue = sqlx::query_scalar!(
            "select id from orders where status = 'pending' and deadline_at <= clock_timestamp() order by deadline_at limit 100"
        )
        .fetch_all(&reads);
        let ended = match bounded(overdue).await {
            Ok(overdue) if overdue.is_empty() => continue,
            Ok(overdue) => {
                let saga = saga.clone();
                tokio::spawn(async move { cancel_all(&saga, overdue).await }).await
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

/// In one unit; if that fails, one by one, so that an order which cannot be cancelled does not keep the others.
async fn cancel_all(saga: &Saga, mut overdue: Vec<Uuid>) -> Result<usize, Error> {
    overdue.sort_unstable();
    match cancel(saga, &overdue).await {
        Err(error) if trouble(&error) != Trouble::Gone => {}
        ended => return ended,
    }
    let mut cancelled = 0;
    for order_id in overdue {
        match cancel(saga, &[order_id]).await {
            Ok(one) => cancelled += one,
            Err(error) if trouble(&error) == Trouble::Gone => return Err(error),
            Err(error) => tracing::error!(%order_id, error = %error, "an overdue order cannot be cancelled"),
        }
    }
    Ok(cancelled)
}

/// In id order.
async fn cancel(saga: &Saga, overdue: &[Uuid]) -> Result<usize, Error> {
    let sagas: Vec<SagaId> = overdue.iter().map(|id| SagaId::from(*id)).collect();
    let mut unit = saga.begin().await?;
    unit.lock(PLACE_ORDER, &sagas).await?;
    let cancelled = store::cancel_overdue(unit.tx(), overdue, OVERDUE).await?;
    let count = cancelled.len();
    for Overdue { order_id, customer_id, answered, traceparent } in cancelled {
        let (saga_id, reason) = (SagaId::from(order_id.0), OVERDUE.to_owned());
        if answered {
            unit.after_commit(move || metrics::cancelled(order_id, OVERDUE));
            unit.end(PLACE_ORDER, saga_id, &OrderCancelled { order_id, customer_id, reason })?;
        } else {
            unit.fail(PLACE_ORDER, saga_id, &OrderCancelling { order_id, reason })?;
        }
        unit.caused_by("deadline", saga_id, &saga.trace(traceparent.as_deref()));
    }
    saga.commit(unit).await?;
    Ok(count)
}

/// Forgets request keys after a day, a bounded number in a statement. At once, too: a service that never runs for long
/// would keep them for ever.
pub(crate) async fn forget_request_keys(reads: PgPool, stop: CancellationToken) {
    loop {
        loop {
            match forget(&reads).await {
                Ok(true) if !stop.is_cancelled() => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(error = %error, "old request keys cannot be deleted yet");
                    break;
                }
            }
        }
        tokio::select! { () = tokio::time::sleep(FORGET_EVERY) => {}, () = stop.cancelled() => return }
    }
}

/// Says whether there may be more.
async fn forget(reads: &PgPool) -> Result<bool, sqlx::Error> {
    let forgotten = sqlx::query!(
        "delete from request_keys where (customer_id, key) in
         (select customer_id, key from request_keys where created_at < clock_timestamp() - interval '25 hours' limit $1)",
        FORGOTTEN_AT_ONCE
    )
    .execute(reads);
    Ok(i64::try_from(bounded(forgotten).await?.rows_affected()).is_ok_and(|n| n == FORGOTTEN_AT_ONCE))
}
