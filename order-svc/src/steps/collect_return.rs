//! `note-refund` and `note-restock`: an order is returned when its money and its stock are both back. One UPDATE on the
//! return's row notes the one and sees whether the other is there, so one of them is the last.

use crate::App;
use crate::store::{self, Back, Noted};
use order_contracts::{Fulfilment, OrderId, OrderStatusChanged, ReturnId, ReturnRefunded, ReturnRestocked};
use saga_common::{Cx, Outcome, Received, Retry, SagaId, SetResult};
use std::collections::HashMap;

/// The row that a refund touches beside its return's own.
pub(crate) fn order_of_refund(event: &ReturnRefunded) -> Vec<String> {
    vec![event.order_id.to_string()]
}

/// The same of a restock.
pub(crate) fn order_of_restock(event: &ReturnRestocked) -> Vec<String> {
    vec![event.order_id.to_string()]
}

/// Notes that the money is back.
pub(crate) async fn refunded(cx: &mut Cx<App>, events: &[Received<ReturnRefunded>]) -> SetResult<OrderStatusChanged> {
    let named = events.iter().map(|it| (it.saga_id, it.event.return_id, it.event.order_id));
    note(cx, Back::Money, named.collect()).await
}

/// Notes that the stock is back.
pub(crate) async fn restocked(cx: &mut Cx<App>, events: &[Received<ReturnRestocked>]) -> SetResult<OrderStatusChanged> {
    let named = events.iter().map(|it| (it.saga_id, it.event.return_id, it.event.order_id));
    note(cx, Back::Stock, named.collect()).await
}

/// Whoever is the last of the two ends the return: the order is returned, and nothing is announced any more.
async fn note(cx: &mut Cx<App>, what: Back, events: Vec<(SagaId, ReturnId, OrderId)>) -> SetResult<OrderStatusChanged> {
    if events.iter().any(|(saga_id, return_id, _)| return_id.0 != saga_id.as_uuid()) {
        // It waits for a person, and takes no guard row from the right one.
        return Err(Retry::because("the event names another return than its saga"));
    }
    let returns: Vec<_> = events.iter().map(|(_, return_id, order_id)| (*return_id, *order_id)).collect();
    let noted: HashMap<ReturnId, Noted> = store::note_back(cx.tx(), what, &returns).await?;
    let mut outcomes = Vec::with_capacity(events.len());
    for (saga_id, return_id, order_id) in events {
        outcomes.push(match noted.get(&return_id) {
            None => return Err(Retry::because("there is no such return of this order")),
            Some(Noted::First) => Outcome::Quiet,
            Some(Noted::Last { customer_id }) => {
                cx.withdraw_announcement(saga_id);
                let customer_id = customer_id.clone();
                Outcome::Say(OrderStatusChanged { order_id, customer_id, status: Fulfilment::Returned })
            }
        });
    }
    Ok(outcomes)
}
