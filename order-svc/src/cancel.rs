//! Cancellation by the customer: a compare-and-set on the order row, racing only with confirm-order (R2).

use crate::metrics;
use crate::steps::place_order::PLACE_ORDER;
use crate::store::{self, Cancelled};
use order_contracts::{OrderCancelled, OrderCancelling, OrderId};
use saga_common::{Error, Saga, SagaId, Trace};

/// Why the order was cancelled, when its customer did it.
pub(crate) const BY_CUSTOMER: &str = "cancelled by the customer";

/// Cancels a pending order; says whether this call did it. The work is done in a task of its own, so a caller who goes
/// away cannot drop it half-way.
pub(crate) async fn by_customer(saga: Saga, order_id: OrderId, trace: Trace) -> Result<bool, Error> {
    let work = tokio::spawn(async move { cancel(&saga, order_id, &trace).await });
    work.await.unwrap_or_else(|panic| Err(saga_common::DbError::Broken(format!("cancelling panicked: {panic}")).into()))
}

async fn cancel(saga: &Saga, order_id: OrderId, trace: &Trace) -> Result<bool, Error> {
    let saga_id = SagaId::from(order_id.0);
    let mut unit = saga.begin().await?;
    unit.lock(PLACE_ORDER, &[saga_id]).await?;
    let reason = BY_CUSTOMER.to_owned();
    let placed_in = match store::cancel(unit.tx(), order_id, BY_CUSTOMER).await? {
        Cancelled::TooLate => {
            unit.rollback().await;
            return Ok(false);
        }
        Cancelled::Soon { traceparent } => {
            unit.fail(PLACE_ORDER, saga_id, &OrderCancelling { order_id, reason })?;
            traceparent
        }
        Cancelled::Now { customer_id, reason, traceparent } => {
            unit.after_commit(move || metrics::cancelled(order_id, BY_CUSTOMER));
            unit.end(PLACE_ORDER, saga_id, &OrderCancelled { order_id, customer_id, reason })?;
            traceparent
        }
    };
    unit.caused_by("cancel", saga_id, &trace.after(placed_in.as_deref()));
    saga.commit(unit).await?;
    Ok(true)
}
