//! `confirm-order`: the pivot. One compare-and-set on the order row decides between confirmed and cancelled.

use crate::App;
use crate::store::{self, Confirmed};
use order_contracts::{OrderCancelling, OrderConfirmed, PaymentCharged};
use saga_common::{Cx, Outcome, StepResult, refuse, say};

/// Confirms a pending order whose charge is the one that was asked for.
pub(crate) async fn confirm(cx: &mut Cx<App>, charged: PaymentCharged) -> StepResult<OrderConfirmed, OrderCancelling> {
    let order_id = charged.order_id;
    if order_id.0 != cx.saga_id().as_uuid() {
        return Err(saga_common::StepError::dead_letter("the event names another order than its saga"));
    }
    let cancel = |reason: &str| refuse(OrderCancelling { order_id, reason: reason.to_owned() });
    match store::confirm(cx.tx(), &charged).await? {
        Confirmed::Yes { customer_id } => say(OrderConfirmed { order_id, customer_id }),
        Confirmed::OtherAmount => {
            // Our own copy of this refusal undoes place-order. That moves the order, or the deadline or the customer has
            // by then; each of them looks whether everybody has answered already, which this step could not tell.
            tracing::error!(saga.id = %cx.saga_id(), "the charge differs from the order; cancelling");
            cancel("charged amount differs from the order")
        }
        Confirmed::Decided => Ok(Outcome::Superseded("the order was not pending any more")),
        Confirmed::NoSuchOrder => {
            tracing::error!(saga.id = %cx.saga_id(), "a charge for an order that does not exist; cancelling");
            cancel("no such order")
        }
    }
}
