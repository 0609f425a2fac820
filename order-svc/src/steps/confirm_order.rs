//! `confirm-order`: the pivot. One compare-and-set on the order row decides between confirmed and cancelled.

use crate::App;
use crate::metrics;
use crate::store::{self, Locked};
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
    let orders = Locked::of(cx.locked());
    let outcomes: Vec<_> =
        charges.iter().map(|charge| outcome(&charge.event, orders.get(&charge.event.order_id))).collect();
    let said = charges.iter().zip(&outcomes).filter(|(_, outcome)| matches!(outcome, Outcome::Say(_)));
    let confirmed: Vec<OrderId> = said.map(|(charge, _)| charge.event.order_id).collect();
    store::confirm(cx.tx(), &confirmed)?;
    cx.after_commit(move || confirmed.into_iter().for_each(metrics::confirmed));
    Ok(outcomes)
}

fn outcome(charged: &PaymentCharged, order: Option<&Locked<'_>>) -> Outcome<OrderConfirmed, OrderCancelling> {
    let order_id = charged.order_id;
    let cancel = |reason: &str| Outcome::Refuse(OrderCancelling { order_id, reason: reason.to_owned() });
    match order {
        Some(order) if order.is_pending() && order.asks_for(charged) => {
            Outcome::Say(OrderConfirmed { order_id, customer_id: order.customer_id.clone() })
        }
        // It is still pending: our own copy of this refusal undoes place-order. That moves the order, or the deadline or the
        // customer has by then; each of them looks whether everybody has answered already, which this step could not tell.
        Some(order) if order.is_pending() => {
            tracing::error!(saga.id = %order_id, "the charge differs from the order; cancelling");
            cancel("charged amount differs from the order")
        }
        Some(_) => Outcome::Superseded("the order was not pending any more"),
        None => {
            tracing::error!(saga.id = %order_id, "a charge for an order that does not exist; cancelling");
            cancel("no such order")
        }
    }
}
