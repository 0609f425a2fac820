//! What customers are told, in words.

use order_contracts::{CustomerId, Fulfilment, OrderCancelled, OrderConfirmed, OrderId, OrderStatusChanged};

/// A note to the customer of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// The order it is about.
    pub(crate) order_id: OrderId,
    /// Whom it is for.
    pub(crate) customer_id: CustomerId,
    /// What happened, in one word.
    pub(crate) kind: &'static str,
    /// The note.
    pub(crate) text: String,
}

impl Note {
    /// The order stands.
    pub(crate) fn confirmed(order: &OrderConfirmed) -> Self {
        let text = format!("Your order {} is confirmed.", order.order_id);
        Self { order_id: order.order_id, customer_id: order.customer_id.clone(), kind: "confirmed", text }
    }

    /// The order has been undone.
    pub(crate) fn cancelled(order: &OrderCancelled) -> Self {
        let reason = in_plain_words(&order.reason);
        let text = format!("Your order {} is cancelled: {}.", order.order_id, reason.trim_end_matches('.'));
        Self { order_id: order.order_id, customer_id: order.customer_id.clone(), kind: "cancelled", text }
    }

    /// A confirmed order has moved on.
    pub(crate) fn status_changed(order: &OrderStatusChanged) -> Self {
        let id = order.order_id;
        let (kind, text) = match order.status {
            Fulfilment::Shipped => ("shipped", format!("Your order {id} is on its way.")),
            Fulfilment::Delivered => ("delivered", format!("Your order {id} was delivered.")),
            Fulfilment::Returned => ("returned", format!("What you sent back of your order {id} has arrived.")),
        };
        Self { order_id: id, customer_id: order.customer_id.clone(), kind, text }
    }
}

/// An order's reason names the event and what it said; a customer knows neither. What is not known here is told as it is.
fn in_plain_words(reason: &str) -> String {
    match reason.split_once(": ").unwrap_or((reason, "")) {
        ("payment.declined", why) => format!("your payment was declined ({why})"),
        ("stock.rejected", "out of stock") => "something in it is out of stock".to_owned(),
        ("stock.rejected", why) => format!("it could not be put together ({why})"),
        ("deadline passed", "") => "it could not be completed in time".to_owned(),
        ("deadline passed", why) => format!("it could not be completed in time, because {why}"),
        ("cancelled by the customer", _) => "you asked for it".to_owned(),
        _ => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "019a0000-0000-7000-8000-0000000000a1";

    fn order_id() -> OrderId {
        serde_json::from_str(&format!("\"{ID}\"")).expect("an id")
    }

    fn cancelled(reason: &str) -> Note {
        let order = OrderCancelled { order_id: order_id(), customer_id: "anna".into(), reason: reason.to_owned() };
        Note::cancelled(&order)
    }

    #[test]
    fn a_note_names_the_order_and_whom_it_is_for() {
        let confirmed = Note::confirmed(&OrderConfirmed { order_id: order_id(), customer_id: "anna".into() });
        assert_eq!(confirmed.text, format!("Your order {ID} is confirmed."));
        assert_eq!((confirmed.kind, confirmed.customer_id.as_str()), ("confirmed", "anna"));
        assert_eq!(cancelled("out of stock").text, format!("Your order {ID} is cancelled: out of stock."));
        assert_eq!(cancelled("out of stock").kind, "cancelled");
    }

    #[test]
    fn reasons_are_told_in_plain_words() {
        for (reason, told) in [
            ("payment.declined: insufficient funds", "your payment was declined (insufficient funds)"),
            (
                "payment.declined: card declined: generic decline",
                "your payment was declined (card declined: generic decline)",
            ),
            ("stock.rejected: out of stock", "something in it is out of stock"),
            ("deadline passed", "it could not be completed in time"),
            (
                "deadline passed: the payment provider did not answer",
                "it could not be completed in time, because the payment provider did not answer",
            ),
            ("cancelled by the customer", "you asked for it"),
            ("a reason nobody has thought of: really.", "a reason nobody has thought of: really"),
        ] {
            assert_eq!(cancelled(reason).text, format!("Your order {ID} is cancelled: {told}."));
        }
    }

    #[test]
    fn an_order_that_moves_on_is_told_of_each_time() {
        let told = |status| {
            Note::status_changed(&OrderStatusChanged { order_id: order_id(), customer_id: "anna".into(), status })
        };
        let kinds = [Fulfilment::Shipped, Fulfilment::Delivered, Fulfilment::Returned].map(|status| told(status).kind);
        assert_eq!(kinds, ["shipped", "delivered", "returned"]);
    }
}
