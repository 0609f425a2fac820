//! The orders of the tour.

use crate::client::{Item, NewOrder, OrderStatus};

/// An order, and what should become of it.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) title: &'static str,
    pub(super) order: NewOrder,
    /// The customer changes their mind while the card is being charged.
    pub(super) cancel_while_charging: bool,
    pub(super) expected: OrderStatus,
}

/// One order for each way an order can go.
pub(super) fn all() -> Vec<Scene> {
    // New customers with every run: their wallets are full.
    let run = rand::random::<u16>();
    let customer = |name: &str| format!("{name}-{run:04x}");
    let scene = |title, customer: String, (sku, quantity): (&str, u32), method: &str, expected| Scene {
        title,
        order: NewOrder {
            customer_id: customer,
            currency: "EUR".into(),
            items: vec![Item { sku: sku.into(), quantity }],
            payment_method: method.into(),
        },
        cancel_while_charging: false,
        expected,
    };
    let (confirmed, cancelled) = (OrderStatus::Confirmed, OrderStatus::Cancelled);
    vec![
        scene("Paid from the wallet", customer("wendy"), ("TEA-SENCHA-100", 2), "wallet", confirmed.clone()),
        scene("Not enough in the wallet", "poor-paula".into(), ("MUG-STONE", 1), "wallet", cancelled.clone()),
        scene("Out of stock", customer("walter"), ("TEAPOT-CAST", 1), "wallet", cancelled.clone()),
        scene("Paid by card", customer("carla"), ("COFFEE-ETH-250", 3), "pm_card_visa", confirmed),
        scene("Card declined", customer("carlo"), ("KETTLE-GOOSE", 1), "pm_card_chargeDeclined", cancelled.clone()),
        Scene {
            cancel_while_charging: true,
            ..scene(
                "Cancelled while the card is being charged",
                customer("clara"),
                ("SCALE-01", 1),
                "pm_card_sandboxSlow",
                cancelled,
            )
        },
    ]
}
