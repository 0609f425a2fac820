//! `commit-stock`: what a confirmed order holds leaves the shelf for good. After the pivot: no undo, no refusal.

use crate::store;
use order_contracts::{OrderConfirmed, OrderId, StockCommitted};
use saga_common::{Cx, Outcome, Received, Retry, SetResult};

/// Turns what the orders hold into what they have bought.
///
/// # Errors
/// When an order is confirmed that holds nothing: it was paid for what it never got. Said aloud and tried again until a
/// person has looked, because there is no way back.
pub(crate) async fn commit(cx: &mut Cx<()>, orders: &[Received<OrderConfirmed>]) -> SetResult<StockCommitted> {
    let sagas: Vec<_> = orders.iter().map(|order| order.saga_id).collect();
    let sold = store::sell(cx.tx(), &sagas).await?;
    let committed = orders.iter().map(|order| {
        if !sold.contains(&order.saga_id) {
            return Err(Retry::because("the order is confirmed but holds no stock"));
        }
        Ok(Outcome::Say(StockCommitted { order_id: OrderId(order.saga_id.as_uuid()) }))
    });
    committed.collect()
}
