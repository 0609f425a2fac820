//! `close-order`: the stock has left the shelf, so the confirmation has reached everybody it needs.

use crate::App;
use crate::store::{self, Locked};
use order_contracts::{OrderId, StockCommitted};
use saga_common::{Cx, Never, Outcome, Received, Retry, SetResult};

/// Notes the end of the sagas and stops announcing their confirmations.
pub(crate) async fn close(cx: &mut Cx<App>, committed: &[Received<StockCommitted>]) -> SetResult<Never> {
    if committed.iter().any(|it| it.event.order_id.0 != it.saga_id.as_uuid()) {
        // It waits for a person, and takes no guard row from the right one.
        return Err(Retry::because("the event names another order than its saga"));
    }
    let orders: Vec<OrderId> = committed.iter().map(|it| it.event.order_id).collect();
    let closed = store::close(cx.tx(), &orders, &Locked::of(cx.locked())).await?;
    let mut outcomes = Vec::with_capacity(committed.len());
    for it in committed {
        if closed.contains(&it.event.order_id) {
            cx.withdraw_announcement(it.saga_id);
            outcomes.push(Outcome::Quiet);
        } else {
            // What is announced may be a cancellation, which goes on until everybody has answered.
            outcomes.push(Outcome::Superseded("the order was not confirmed"));
        }
    }
    Ok(outcomes)
}
