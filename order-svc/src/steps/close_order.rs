//! close-order: the stock has left the shelf, so the confirmation has reached everybody it needs.

use crate::App;
use crate::store;
use order_contracts::StockCommitted;
use saga_common::{Cx, Never, Outcome, StepResult};

/// Notes the end of the saga and stops announcing the confirmation.
pub(crate) async fn close(cx: &mut Cx<App>, committed: StockCommitted) -> StepResult<Never> {
    store::close(cx.tx(), committed.order_id).await?;
    cx.withdraw_announcement(cx.saga_id());
    Ok(Outcome::Quiet)
}
