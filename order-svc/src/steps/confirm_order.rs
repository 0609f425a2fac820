//! `confirm-order`: the pivot. One compare-and-set on the order row decides between confirmed and cancelled.

use crate::App;
use crate::metrics;
use crate::store::{self, Confirmed};
use order_contracts::{OrderCancelling, OrderConfirmed, OrderId, PaymentCharged};
use saga_common::{Cx, Outcome, Received, SetResult, StepError};

/// Confirms the pending orders whose charge is the one that was asked for.
pub(crate) async fn confirm(
    cx: &mut Cx<App>,
    charges: &[Received<PaymentCharged>],
) -> SetResult<OrderConfirmed, OrderCancelling> {
    if charges.iter().any(|charge| charge.event.order_id.0 != charge.saga_id.as_uuid()) {
        // The batch is run one by one then, and only the guilty one is parked.
        return Err(StepError::dead_letter("the event names another order than its saga"));
    }
    let charged: Vec<&PaymentCharged> = charges.iter().map(|charge| &charge.event).collect();
    let mut confirmed = store::confirm(cx.tx(), &charged).await?;
    let yes = confirmed.iter().filter(|(_, it)| matches!(it, Confirmed::Yes { .. })).map(|(id, _)| *id);
    let yes: Vec<OrderId> = yes.collect();
    cx.after_commit(move || yes.into_iter().for_each(metrics::confirmed));
    Ok(charged.iter().map(|charged| outcome(charged, confirmed.remove(&charged.order_id))).collect())
}

fn outcome(charged: &PaymentCharged, confirmed: Option<Confirmed>) -> Outcome<OrderConfirmed, OrderCancelling> {
    let order_id = charged.order_id;
    let cancel = |reason: &str| Outcome::Refuse(OrderCancelling { order_id, reason: reason.to_owned() });
    match confirmed {
        Some(Confirmed::Yes { customer_id }) => Outcome::Say(OrderConfirmed { order_id, customer_id }),
        Some(Confirmed::OtherAmount) => {
            // Our own copy of this refusal undoes place-order. That moves the order, or the deadline or the customer has
            // by then; each of them looks whether everybody has answered already, which this step could not tell.
            tracing::error!(saga.id = %order_id, "the charge differs from the order; cancelling");
            cancel("charged amount differs from the order")
        }
        Some(Confirmed::Decided) => Outcome::Superseded("the order was not pending any more"),
        None => {
            tracing::error!(saga.id = %order_id, "a charge for an order that does not exist; cancelling");
            cancel("no such order")
        }
    }
}
