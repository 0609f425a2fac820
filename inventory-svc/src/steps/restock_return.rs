//! `restock-return`: what a delivered order had bought is on the shelf again. After its saga's pivot: no undo, no refusal.

use crate::store;
use order_contracts::{ReturnRequested, ReturnRestocked};
use saga_common::{Cx, Outcome, Received, Retry, SetResult};

/// Puts back what the orders had bought, to the piece.
///
/// # Errors
/// When what comes back is not what the order had bought: said aloud and tried again until a person has looked, because
/// there is no way back.
pub(crate) async fn restock(cx: &mut Cx<()>, returns: &[Received<ReturnRequested>]) -> SetResult<ReturnRestocked> {
    let events: Vec<&ReturnRequested> = returns.iter().map(|it| &it.event).collect();
    let mut put_back = store::put_back(cx.tx(), &events).await?;
    let restocked = returns.iter().map(|Received { saga_id, event, .. }| {
        if event.return_id.0 != saga_id.as_uuid() {
            return Err(Retry::because("the event names another return than its saga"));
        }
        if put_back.remove(&event.order_id) != Some(event.lines.len()) {
            return Err(Retry::because("what comes back is not what the order had bought"));
        }
        Ok(Outcome::Say(ReturnRestocked { return_id: event.return_id, order_id: event.order_id }))
    });
    restocked.collect()
}
