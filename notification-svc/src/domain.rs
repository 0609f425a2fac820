//! What customers are told, in words.

use order_contracts::{OrderCancelled, OrderConfirmed, OrderId};

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
}
