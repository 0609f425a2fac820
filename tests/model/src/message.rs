//! What is said, and where it lies until it is heard: messages, queues, deliveries.
//!
//! A message id is not a number here: a step says a thing once, so `(saga, event)` *is* the id. A repeat has the same id
//! and says that it is one (`announcement: n`, n > 0). Mirrors `saga-common/src/{event,envelope,topology}.rs`.

use std::fmt;

/// Who takes part. Each has a database of its own; what it does in one transaction is one step of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Owns the order row and its saga.
    Order,
    /// Owns the stock.
    Inventory,
    /// Owns the money.
    Payment,
}

/// Those who must answer a failure before an order is `cancelled` (R4).
pub const PARTICIPANTS: [Service; 2] = [Service::Inventory, Service::Payment];

impl Service {
    /// This participant's bit in the order row's `answers`.
    #[must_use]
    pub fn bit(self) -> u8 {
        match self {
            Self::Order => 0,
            Self::Inventory => 1,
            Self::Payment => 2,
        }
    }
}

/// Every bit of `answers`: everybody has answered.
pub const ALL_ANSWERED: u8 = 3;

/// Types of events. `order.cancelled` is heard by listeners only, so it is counted and not sent (see `Saga::told`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Event {
    /// `order.placed`
    OrderPlaced,
    /// `stock.reserved`
    StockReserved,
    /// `payment.charged`
    PaymentCharged,
    /// `order.confirmed`, announced
    OrderConfirmed,
    /// `stock.committed`
    StockCommitted,
    /// `saga.compensated`, a participant's answer
    Compensated(Service),
    /// `stock.rejected`, a failure
    StockRejected,
    /// `payment.declined`, a failure
    PaymentDeclined,
    /// `order.cancelling`, a failure, announced
    OrderCancelling,
}

impl Event {
    /// Failures go to everybody's failures queue (fanout), successes to one events queue (direct).
    #[must_use]
    pub fn queues(self) -> Vec<Queue> {
        let events = |service| vec![Queue { service, failures: false }];
        match self {
            Self::OrderPlaced | Self::OrderConfirmed => events(Service::Inventory),
            Self::StockReserved => events(Service::Payment),
            Self::PaymentCharged | Self::StockCommitted | Self::Compensated(_) => events(Service::Order),
            Self::StockRejected | Self::PaymentDeclined | Self::OrderCancelling => {
                let failures = |service| Queue { service, failures: true };
                [Service::Order, Service::Inventory, Service::Payment].map(failures).to_vec()
            }
        }
    }

    /// Whether it is published to the fanout exchange.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::StockRejected | Self::PaymentDeclined | Self::OrderCancelling)
    }

    /// May a message that cannot be handled be given up? Before the pivot only: the deadline ends its saga (R8).
    /// `settle::patience` in the code.
    #[must_use]
    pub fn may_be_parked(self) -> bool {
        matches!(self, Self::OrderPlaced | Self::StockReserved | Self::PaymentCharged)
    }
}

/// One message, wherever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Message {
    /// Which saga it belongs to.
    pub saga: u8,
    /// What it says.
    pub event: Event,
    /// A repeated announcement: `announcement: n`, n > 0.
    pub repeat: bool,
    /// Not the body that the step said: somebody tampered with a copy, or a producer has a bug.
    pub altered: bool,
}

impl Message {
    /// As a step says it.
    #[must_use]
    pub fn new(saga: u8, event: Event) -> Self {
        Self { saga, event, repeat: false, altered: false }
    }

    /// What tells two messages apart in the outbox and in `waiting`: repeats share the id of the first.
    #[must_use]
    pub fn id(self) -> Self {
        Self { repeat: false, ..self }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let repeat = if self.repeat { ", repeated" } else { "" };
        let altered = if self.altered { ", altered" } else { "" };
        write!(f, "{:?} (saga {}{repeat}{altered})", self.event, self.saga)
    }
}

/// A queue: `<service>.events` or `<service>.failures`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Queue {
    /// Who consumes it.
    pub service: Service,
    /// Failures are what it undoes, events what it acts on.
    pub failures: bool,
}

/// Every queue there is.
#[must_use]
pub fn all_queues() -> Vec<Queue> {
    let both = |service| [false, true].map(|failures| Queue { service, failures });
    [Service::Order, Service::Inventory, Service::Payment].into_iter().flat_map(both).collect()
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}.{}", self.service, if self.failures { "failures" } else { "events" })
    }
}

/// A message in a queue. A queue is a bag: whatever lies in it may come next, so every order of delivery is covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Delivery {
    /// Where it lies.
    pub queue: Queue,
    /// What it is.
    pub message: Message,
    /// It was delivered before to somebody who did not ack it.
    pub redelivered: bool,
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}{}", self.message, self.queue, if self.redelivered { ", redelivered" } else { "" })
    }
}
