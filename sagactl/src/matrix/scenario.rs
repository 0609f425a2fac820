//! Orders that bring a given event to a given service: pure.

use crate::client::{Item, NewOrder, OrderStatus, Service};

const TEA: &str = "TEA-SENCHA-100";
/// Always out of stock.
const TEAPOT: &str = "TEAPOT-CAST";
/// Her wallet is empty.
const POOR: &str = "poor-paula";
const WALLET: &str = "wallet";
const CARD: &str = "pm_card_visa";

/// Longest time in which a cancellation gets in between, in milliseconds.
const HOLD_MS: u32 = 90_000;

/// One way through the saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scenario {
    /// Paid from a wallet.
    Paid,
    /// Paid by card: a job calls the provider.
    PaidByCard,
    /// Not enough in the wallet.
    Declined,
    /// Out of stock.
    Rejected,
    /// Cancelled before inventory has seen it.
    CancelledBeforeReservation,
    /// Cancelled after the reservation, before payment has seen it.
    CancelledBeforeCharge,
    /// Cancelled after a wallet was charged.
    CancelledAfterCharge,
    /// Cancelled while a card's intent is stored, but not confirmed.
    CancelledBeforeCardCharge,
    /// Cancelled after a card was charged, before anybody here knows.
    CancelledAfterCardCharge,
    /// Cancelled while inventory's refusal is on its way.
    CancelledAndRejected,
    /// Cancelled while payment's refusal is on its way.
    CancelledAndDeclined,
    /// Paid, with the announcement of the confirmation repeated, because the answer is late.
    PaidAndAnnouncedAgain,
    /// Declined, with the announcement of the cancellation repeated, because an answer is late.
    DeclinedAndAnnouncedAgain,
}

/// Where a step is held until a cancellation has overtaken it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The service that is held.
    pub service: Service,
    /// The directive that holds it.
    pub directive: String,
}

impl Scenario {
    /// The order to place.
    #[must_use]
    pub fn order(self, customer: &str) -> NewOrder {
        let (customer, sku, method) = match self {
            Self::Declined | Self::CancelledAndDeclined | Self::DeclinedAndAnnouncedAgain => (POOR, TEA, WALLET),
            Self::Rejected | Self::CancelledAndRejected => (customer, TEAPOT, WALLET),
            Self::PaidByCard | Self::CancelledBeforeCardCharge | Self::CancelledAfterCardCharge => {
                (customer, TEA, CARD)
            }
            _ => (customer, TEA, WALLET),
        };
        NewOrder {
            customer_id: customer.to_owned(),
            currency: "EUR".to_owned(),
            items: vec![Item { sku: sku.to_owned(), quantity: 1 }],
            payment_method: method.to_owned(),
        }
    }

    /// How it ends.
    #[must_use]
    pub fn ends(self) -> OrderStatus {
        match self {
            Self::Paid | Self::PaidByCard | Self::PaidAndAnnouncedAgain => OrderStatus::Confirmed,
            _ => OrderStatus::Cancelled,
        }
    }

    /// What is held while the order is cancelled; `None` if nobody cancels it.
    #[must_use]
    pub fn hold(self) -> Option<Hold> {
        let at = |service, site: &str| Some(Hold { service, directive: format!("{service}/{site}=hold({HOLD_MS})") });
        match self {
            Self::CancelledBeforeReservation => at(Service::Inventory, "after-delivery@order.placed"),
            Self::CancelledBeforeCharge => at(Service::Payment, "after-delivery@stock.reserved"),
            Self::CancelledAfterCharge => at(Service::Order, "after-delivery@payment.charged"),
            Self::CancelledBeforeCardCharge => at(Service::Payment, "after-store"),
            Self::CancelledAfterCardCharge => at(Service::Payment, "after-charge"),
            Self::CancelledAndRejected => at(Service::Inventory, "before-publish@stock.rejected"),
            Self::CancelledAndDeclined => at(Service::Payment, "before-publish@payment.declined"),
            _ => None,
        }
    }

    /// What else must go wrong for it to come about.
    #[must_use]
    pub fn directives(self) -> Vec<String> {
        match self {
            // Announcements are repeated after 5 s.
            Self::PaidAndAnnouncedAgain => {
                vec!["inventory-svc/before-publish@stock.committed=delay(8000)*1".to_owned()]
            }
            Self::DeclinedAndAnnouncedAgain => {
                vec!["inventory-svc/before-publish@saga.compensated=delay(8000)*1".to_owned()]
            }
            _ => self.hold().into_iter().map(|hold| hold.directive).collect(),
        }
    }
}
