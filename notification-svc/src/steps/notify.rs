//! `notify`: one note to the customer for each message.

use crate::domain::Note;
use crate::store;
use order_contracts::{OrderCancelled, OrderConfirmed, OrderStatusChanged};
use saga_common::{Cx, MessageId, Never, Outcome, Received, SetResult};

/// Notes that orders stand.
pub(crate) async fn confirmed(cx: &mut Cx<()>, orders: &[Received<OrderConfirmed>]) -> SetResult<Never> {
    note(cx, orders.iter().map(|order| (order.message_id, Note::confirmed(&order.event))))
}

/// Notes that orders have been undone.
pub(crate) async fn cancelled(cx: &mut Cx<()>, orders: &[Received<OrderCancelled>]) -> SetResult<Never> {
    note(cx, orders.iter().map(|order| (order.message_id, Note::cancelled(&order.event))))
}

/// Notes that confirmed orders have moved on.
pub(crate) async fn status_changed(cx: &mut Cx<()>, orders: &[Received<OrderStatusChanged>]) -> SetResult<Never> {
    note(cx, orders.iter().map(|order| (order.message_id, Note::status_changed(&order.event))))
}

fn note(cx: &Cx<()>, notes: impl Iterator<Item = (MessageId, Note)>) -> SetResult<Never> {
    let notes: Vec<_> = notes.collect();
    store::add(cx.tx(), &notes)?;
    Ok(notes.iter().map(|_| Outcome::Quiet).collect())
}
