//! `close-order`: the stock has left the shelf, so the confirmation has reached everybody it needs.

use crate::App;
use crate::store;
use order_contracts::StockCommitted;
use saga_common::{Cx, Never, Outcome, Retry, StepResult};

/// Notes the end of the saga and stops announcing the confirmation.
pub(crate) async fn close(cx: &mut Cx<App>, committed: StockCommitted) -> StepResult<Never> {
    if committed.order_id.0 != cx.saga_id().as_uuid() {
        // It waits for a person, and takes no guard row from the right one.
        return Err(Retry::because("the event names another order than its saga"));
    }
    if !store::close(cx.tx(), committed.order_id).await? {
        // What is announced may be a cancellation, which goes on until everybody has answered.
        return Ok(Outcome::Superseded("the order was not confirmed"));
    }
    cx.withdraw_announcement(cx.saga_id());
    Ok(Outcome::Quiet)
}
