//! What happens to a confirmed order on request: it is shipped, delivered, and perhaps comes back. Each is a step with a guard
//! row of its own, first in its transaction, and a compare-and-set on the order row (R7).

use crate::status::{Fulfilled, Status};
use crate::steps::{BEGIN_RETURN, DELIVER, SHIP};
use crate::store;
use order_contracts::{CustomerId, OrderId, OrderStatusChanged, ReturnId, ReturnRequested};
use saga_common::{DbError, Error, Saga, SagaId, Trace, acts};
use std::future::Future;

/// `confirmed -> shipped` or `shipped -> delivered`, by whom; says whether this call did it.
pub(crate) async fn fulfil(
    saga: Saga,
    order_id: OrderId,
    customer_id: CustomerId,
    wanted: Fulfilled,
    by: String,
    trace: Trace,
) -> Result<bool, Error> {
    to_its_end(async move {
        let step = match wanted {
            Fulfilled::Shipped => SHIP,
            Fulfilled::Delivered => DELIVER,
        };
        let event = OrderStatusChanged { order_id, customer_id, status: wanted.said() };
        let Some(mut unit) = saga.once(step, SagaId::from(order_id.0), event).await? else {
            return Ok(false);
        };
        let Some(moved) = store::move_on(unit.tx(), order_id, wanted.change()).await? else {
            unit.rollback().await;
            return Ok(false);
        };
        acts::note(unit.tx(), &by, step, &order_id.to_string())?;
        unit.caused_by(step, SagaId::from(order_id.0), &trace.after(moved.traceparent.as_deref()));
        saga.commit(unit).await?;
        Ok(true)
    })
    .await
}

/// `delivered -> returning`: begins the return's own saga, which nobody can refuse; says whether this call did it.
pub(crate) async fn begin_return(saga: Saga, event: ReturnRequested, trace: Trace) -> Result<bool, Error> {
    to_its_end(async move {
        let ReturnRequested { return_id, order_id, .. } = event;
        let mut unit = saga.start(BEGIN_RETURN, &[(return_saga(return_id), event)]).await?;
        let Some(moved) = store::move_on(unit.tx(), order_id, (Status::Delivered, Status::Returning)).await? else {
            unit.rollback().await;
            return Ok(false);
        };
        store::insert_return(unit.tx(), return_id, order_id).await?;
        unit.caused_by(BEGIN_RETURN, return_saga(return_id), &trace.after(moved.traceparent.as_deref()));
        saga.commit(unit).await?;
        Ok(true)
    })
    .await
}

/// The saga of a return.
pub(crate) fn return_saga(return_id: ReturnId) -> SagaId {
    SagaId::from(return_id.0)
}

/// In a task of its own: a caller who goes away cannot drop it half-way.
async fn to_its_end(work: impl Future<Output = Result<bool, Error>> + Send + 'static) -> Result<bool, Error> {
    let ended = tokio::spawn(work).await;
    ended.unwrap_or_else(|panic| Err(DbError::Broken(format!("changing an order panicked: {panic}")).into()))
}
