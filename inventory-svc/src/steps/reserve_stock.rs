//! `reserve-stock`: sets aside what an order asks for, all of it or nothing.

use crate::domain::Wanted;
use crate::store;
use order_contracts::{OrderPlaced, StockRejected, StockReserved};
use saga_common::{Cx, Outcome, Received, SetResult, StepError, Undo, UndoResult};

/// Reserves for each order in turn, on a shelf that the orders before it have taken from. Its articles are locked
/// (`participant.rs`), so nobody else takes from it meanwhile.
///
/// # Errors
/// `dead_letter` for an order that nobody could fill (a quantity of 0, say): order-svc never places one, so a person has
/// to look, and the saga ends at its deadline.
pub(crate) async fn reserve(
    cx: &mut Cx<()>,
    orders: &[Received<OrderPlaced>],
) -> SetResult<StockReserved, StockRejected> {
    let mut asked = Vec::with_capacity(orders.len());
    for order in orders {
        let wanted = Wanted::by(order.saga_id, &order.event);
        asked.push(wanted.map_err(|why| StepError::dead_letter(why.to_string()))?);
    }
    let mut shelf = store::shelf(cx.locked());
    let mut held = Vec::with_capacity(orders.len());
    let mut outcomes = Vec::with_capacity(orders.len());
    for (order, wanted) in orders.iter().zip(&asked) {
        outcomes.push(match shelf.take(wanted) {
            Ok(()) => {
                held.push((order.saga_id, wanted));
                Outcome::Say(reserved(&order.event))
            }
            Err(shortages) => Outcome::Refuse(StockRejected {
                order_id: order.event.order_id,
                reason: "out of stock".to_owned(),
                shortages,
            }),
        });
    }
    store::hold(cx.tx(), &held)?;
    Ok(outcomes)
}

/// Puts back what the saga holds; that may be nothing.
pub(crate) async fn release(cx: &mut Cx<()>) -> UndoResult {
    store::release(cx.tx(), cx.saga_id())?;
    Ok(Undo::Done)
}

/// What payment needs to know travels on unchanged.
fn reserved(order: &OrderPlaced) -> StockReserved {
    StockReserved {
        order_id: order.order_id,
        customer_id: order.customer_id.clone(),
        amount_minor: order.amount_minor,
        currency: order.currency.clone(),
        payment_method: order.payment_method.clone(),
    }
}
