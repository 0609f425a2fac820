//! Orders that bring a given event to a given service: pure.

use crate::client::{Item, NewOrder, OrderStatus, Service};

const TEA: &str = "TEA-SENCHA-100";
/// Always out of stock.
const TEAPOT: &str = "TEAPOT-CAST";
/// Her wallet is empty.
const POOR: &str = "poor-paula";
const WALLET: &str = "wallet";
const CARD: &str = "pm_card_visa";

/// Longer than anything is held, in milliseconds: whoever holds also releases.
const HOLD_MS: u32 = 120_000;

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
    /// Paid from a wallet, delivered, and taken back: the return, which is a saga of its own, meets the fault.
    Returned,
    /// Paid by card, delivered, and taken back.
    ReturnedByCard,
    /// Taken back, with the announcement of the return repeated, because its stock is late.
    ReturnedAndAnnouncedAgain,
}

/// Where something is held, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The service that is held.
    pub service: Service,
    /// The directive that holds it.
    pub directive: String,
    /// What happens meanwhile.
    pub until: Until,
}

/// What happens while something is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The order is cancelled, and the cancellation overtakes what is held.
    Cancelled,
    /// The fault that is tried has fired.
    Fired,
}

impl Scenario {
    /// The order to place.
    #[must_use]
    pub fn order(self, customer: &str) -> NewOrder {
        let (customer, sku, method) = match self {
            Self::Declined | Self::CancelledAndDeclined | Self::DeclinedAndAnnouncedAgain => (POOR, TEA, WALLET),
            Self::Rejected | Self::CancelledAndRejected => (customer, TEAPOT, WALLET),
            Self::PaidByCard
            | Self::CancelledBeforeCardCharge
            | Self::CancelledAfterCardCharge
            | Self::ReturnedByCard => (customer, TEA, CARD),
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
            _ if self.comes_back() => OrderStatus::Returned,
            _ => OrderStatus::Cancelled,
        }
    }

    /// Is it delivered first, and then taken back?
    #[must_use]
    pub fn comes_back(self) -> bool {
        matches!(self, Self::Returned | Self::ReturnedByCard | Self::ReturnedAndAnnouncedAgain)
    }

    /// What is held on the way, if anything.
    #[must_use]
    pub fn hold(self) -> Option<Hold> {
        use Until::{Cancelled, Fired};
        let at = |service, site: &str, until| {
            Some(Hold { service, directive: format!("{service}/{site}=hold({HOLD_MS})"), until })
        };
        match self {
            Self::CancelledBeforeReservation => at(Service::Inventory, "after-delivery@order.placed", Cancelled),
            Self::CancelledBeforeCharge => at(Service::Payment, "after-delivery@stock.reserved", Cancelled),
            Self::CancelledAfterCharge => at(Service::Order, "after-delivery@payment.charged", Cancelled),
            Self::CancelledBeforeCardCharge => at(Service::Payment, "after-store", Cancelled),
            Self::CancelledAfterCardCharge => at(Service::Payment, "after-charge", Cancelled),
            Self::CancelledAndRejected => at(Service::Inventory, "before-publish@stock.rejected", Cancelled),
            Self::CancelledAndDeclined => at(Service::Payment, "before-publish@payment.declined", Cancelled),
            // An answer that is late: the announcement is repeated.
            Self::PaidAndAnnouncedAgain => at(Service::Inventory, "before-publish@stock.committed", Fired),
            Self::DeclinedAndAnnouncedAgain => at(Service::Inventory, "before-publish@saga.compensated", Fired),
            Self::ReturnedAndAnnouncedAgain => at(Service::Inventory, "before-publish@return.restocked", Fired),
            Self::Paid | Self::PaidByCard | Self::Declined | Self::Rejected | Self::Returned | Self::ReturnedByCard => {
                None
            }
        }
    }

    /// The directives that it needs.
    #[must_use]
    pub fn directives(self) -> Vec<String> {
        self.hold().into_iter().map(|hold| hold.directive).collect()
    }
}
