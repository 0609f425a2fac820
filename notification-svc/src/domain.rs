//! What customers are told, in words.

use order_contracts::{Fulfilment, OrderCancelled, OrderConfirmed, OrderId, OrderStatusChanged};

/// A note to the customer of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// The order it is about.
    pub(crate) order_id: OrderId,
    /// What happened, in one word.
    pub(crate) kind: &'static str,
    /// The note.
    pub(crate) text: String,
}

impl Note {
    /// The order stands.
    pub(crate) fn confirmed(order: &OrderConfirmed) -> Self {
        let text = format!("Your order {} is confirmed.", order.order_id);
        Self { order_id: order.order_id, kind: "confirmed", text }
    }

    /// The order has been undone.
    pub(crate) fn cancelled(order: &OrderCancelled) -> Self {
        let text = format!("Your order {} is cancelled: {}.", order.order_id, order.reason.trim_end_matches('.'));
        Self { order_id: order.order_id, kind: "cancelled", text }
    }

    /// The order has moved on.
    pub(crate) fn status_changed(order: &OrderStatusChanged) -> Self {
        let (kind, what) = match order.status {
            Fulfilment::Shipped => ("shipped", "is on its way"),
            Fulfilment::Delivered => ("delivered", "has been delivered"),
            Fulfilment::Returned => ("returned", "has come back, and your money is on its way to you"),
        };
        Self { order_id: order.order_id, kind, text: format!("Your order {} {what}.", order.order_id) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_names_the_order_and_the_reason() {
        let order_id: OrderId = serde_json::from_str("\"019a0000-0000-7000-8000-0000000000a1\"").expect("an id");
        let confirmed = Note::confirmed(&OrderConfirmed { order_id, customer_id: "anna".into() });
        assert_eq!(confirmed.text, "Your order 019a0000-0000-7000-8000-0000000000a1 is confirmed.");
        let cancelled = OrderCancelled { order_id, customer_id: "anna".into(), reason: "out of stock".to_owned() };
        let cancelled = Note::cancelled(&cancelled);
        assert_eq!(cancelled.text, "Your order 019a0000-0000-7000-8000-0000000000a1 is cancelled: out of stock.");
        assert_eq!((confirmed.kind, cancelled.kind), ("confirmed", "cancelled"));
    }

    #[test]
    fn a_note_says_where_the_order_is() {
        let order_id: OrderId = serde_json::from_str("\"019a0000-0000-7000-8000-0000000000a1\"").expect("an id");
        let note = |status| Note::status_changed(&OrderStatusChanged { order_id, customer_id: "anna".into(), status });
        let notes = [Fulfilment::Shipped, Fulfilment::Delivered, Fulfilment::Returned].map(note);
        assert_eq!(notes.each_ref().map(|note| note.kind), ["shipped", "delivered", "returned"]);
        assert_eq!(notes[0].text, "Your order 019a0000-0000-7000-8000-0000000000a1 is on its way.");
    }
}
