//! The step table: all that this service reacts to, says, refuses and undoes. Open this first.

use crate::App;
use crate::steps::close_order::close;
use crate::steps::collect_answers::{answering, collect};
use crate::steps::collect_return::{order_of_refund, order_of_restock, refunded, restocked};
use crate::steps::confirm_order::confirm;
use crate::steps::place_order::{PLACE_ORDER, withdraw};
use crate::steps::{BEGIN_RETURN, DELIVER, SHIP};
use crate::store::LOCK_ORDERS;
use order_contracts::{OrderCancelling, OrderPlaced, OrderStatusChanged, ReturnRequested};
use saga_common::participant::ChoreographyError;
use saga_common::{Participant, set};

/// | step | reacts to | says | refuses | undo |
/// |---|---|---|---|---|
/// | `place-order` | `POST /orders` | `order.placed` | `order.cancelling` (customer, deadline) | the order is cancelling |
/// | `confirm-order` (pivot) | `payment.charged` | `order.confirmed`, until it is closed | `order.cancelling` (another amount, no such order) | - |
/// | `close-order` | `stock.committed` | - | - | - |
/// | `collect-answers` | `saga.compensated` | `order.cancelled`, with the last answer | - | - |
/// | `ship`, `deliver` | `POST /orders/{id}/status` | `order.status-changed` | - | - |
/// | `begin-return` (pivot of the return's saga) | `POST /orders/{id}/return` | `return.requested`, until it is closed | - | - |
/// | `note-refund` | `return.refunded` | `order.status-changed`, if it is the last of the two | - | - |
/// | `note-restock` | `return.restocked` | `order.status-changed`, if it is the last of the two | - | - |
///
/// The names are keys in the database: they are never changed.
pub(crate) fn participant(app: App) -> Result<Participant<App>, ChoreographyError> {
    Participant::new("order", app)
        .starts::<OrderPlaced, _>(PLACE_ORDER, withdraw)
        .ended_by::<OrderCancelling>()
        .pivot("confirm-order", set(confirm))
        .announced()
        .retriable("close-order", set(close))
        .retriable("collect-answers", set(collect))
        .keyed_by(answering)
        .on_request::<OrderStatusChanged>(SHIP)
        .on_request::<OrderStatusChanged>(DELIVER)
        .on_request::<ReturnRequested>(BEGIN_RETURN)
        .announced()
        .retriable("note-refund", set(refunded))
        .locks(order_of_refund)
        .retriable("note-restock", set(restocked))
        .locks(order_of_restock)
        // Several steps touch an order's row, in different batches of different replicas: they take it in one order. It stands
        // for the row of the order's return, too.
        .locking(LOCK_ORDERS)
        .unfinished(
            "select exists (select 1 from orders where id >= $1 and id < $2
                            and (status in ('pending', 'cancelling') or (status <> 'cancelled' and closed_at is null)))
                 or exists (select 1 from returns where id >= $1 and id < $2 and closed_at is null)",
        )
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choreography_is_the_documented_one() {
        let participant = participant(App { required_answers: vec![] }).expect("it fits together");
        let steps: Vec<_> = participant
            .map()
            .steps
            .into_iter()
            .map(|s| {
                (s.step, s.reacts_to.unwrap_or_default(), s.says.unwrap_or_default(), s.refuses.unwrap_or_default())
            })
            .collect();
        let row = |a: &str, b: &str, c: &str, d: &str| (a.to_owned(), b.to_owned(), c.to_owned(), d.to_owned());
        assert_eq!(
            steps,
            [
                row("place-order", "", "order.placed.v1", "order.cancelling.v1"),
                row("confirm-order", "payment.charged.v1", "order.confirmed.v1", "order.cancelling.v1"),
                row("close-order", "stock.committed.v1", "", ""),
                row("collect-answers", "saga.compensated.v1", "order.cancelled.v1", ""),
                row("ship", "", "order.status-changed.v1", ""),
                row("deliver", "", "order.status-changed.v1", ""),
                row("begin-return", "", "return.requested.v1", ""),
                row("note-refund", "return.refunded.v1", "order.status-changed.v1", ""),
                row("note-restock", "return.restocked.v1", "order.status-changed.v1", ""),
            ]
        );
    }
}
