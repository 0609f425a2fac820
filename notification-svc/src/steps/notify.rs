//! `notify`: one note to the customer for each message.

use crate::domain::Note;
use crate::mail::{Handover, LEASE, Mail};
use crate::store;
use chrono::Utc;
use order_contracts::{OrderCancelled, OrderConfirmed, OrderStatusChanged};
use saga_common::{Cx, MessageId, Never, Outcome, Received, SetResult};

/// Notes that orders stand.
pub(crate) async fn confirmed(cx: &mut Cx<Handover>, orders: &[Received<OrderConfirmed>]) -> SetResult<Never> {
    note(cx, orders.iter().map(|order| (order.message_id, Note::confirmed(&order.event))))
}

/// Notes that orders have been undone.
pub(crate) async fn cancelled(cx: &mut Cx<Handover>, orders: &[Received<OrderCancelled>]) -> SetResult<Never> {
    note(cx, orders.iter().map(|order| (order.message_id, Note::cancelled(&order.event))))
}

/// Notes that confirmed orders have moved on.
pub(crate) async fn status_changed(cx: &mut Cx<Handover>, orders: &[Received<OrderStatusChanged>]) -> SetResult<Never> {
    note(cx, orders.iter().map(|order| (order.message_id, Note::status_changed(&order.event))))
}

/// Notes them, and has their e-mails sent: from memory once they are committed, or, without room for that, when they are looked
/// for.
fn note(cx: &mut Cx<Handover>, notes: impl Iterator<Item = (MessageId, Note)>) -> SetResult<Never> {
    let notes: Vec<_> = notes.collect();
    let (room, now) = (cx.app().room_for(notes.len()), Utc::now());
    store::add(cx.tx(), &notes, now, room.as_ref().map(|_| LEASE))?;
    let outcomes = notes.iter().map(|_| Outcome::Quiet).collect();
    if let Some(room) = room {
        let mails = notes.into_iter().map(|(message_id, note)| Mail::first(message_id, note, now)).collect();
        cx.after_commit(move || room.fill(mails));
    }
    Ok(outcomes)
}
