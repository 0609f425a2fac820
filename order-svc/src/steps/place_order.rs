//! `place-order`: begun by `POST /orders` (see `placement`), undone by marking the order as cancelling.

use crate::App;
use crate::domain::reason_of;
use crate::metrics;
use crate::store::{self, Cancelled};
use order_contracts::{OrderCancelled, OrderCancelling, OrderId};
use saga_common::{Cx, Undo, UndoResult};

/// The step's name: its key in the database.
pub(crate) const PLACE_ORDER: &str = "place-order";

/// Somebody has refused: the order is cancelling, unless it is decided already. Everybody may have answered before this
/// copy of the failure came, and then it is cancelled at once.
pub(crate) async fn withdraw(cx: &mut Cx<App>) -> UndoResult<OrderCancelled> {
    let order_id = OrderId(cx.saga_id().as_uuid());
    let reason = cx.failure().map_or_else(|| "failed".to_owned(), reason_of);
    match store::cancel(cx.tx(), order_id, &reason).await? {
        Cancelled::Now { customer_id, reason, .. } => {
            cx.withdraw_announcement(cx.saga_id());
            let ended_by = reason.clone();
            cx.after_commit(move || metrics::cancelled(order_id, &ended_by));
            Ok(Undo::Say(OrderCancelled { order_id, customer_id, reason }))
        }
        Cancelled::Soon { .. } => {
            // The failure's fanout may have missed a queue that was gone: ask again until everybody has answered.
            cx.announce_until_withdrawn(&OrderCancelling { order_id, reason })?;
            Ok(Undo::Done)
        }
        Cancelled::TooLate => Ok(Undo::Done),
    }
}
