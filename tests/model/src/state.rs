//! Everything that is durable, and the little in memory that matters: rows of three databases, queues, the provider's
//! books. One value of [`State`] is one state of the whole system.

use crate::message::{Delivery, Queue, Service};
pub use crate::rows::*;

/// One saga: its rows in three databases, its intents at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Saga {
    /// `orders.status`
    pub status: Status,
    /// `orders.answers`
    pub answers: u8,
    /// `orders.closed_at`
    pub closed: bool,
    /// Guard rows by service.
    pub guards: [Guards; 3],
    /// What is announced (R4).
    pub announced: Option<crate::message::Event>,
    /// Repeats in a row in which nothing else went on: for the bound on them, no row.
    pub idle_repeats: u8,
    /// Inventory's row.
    pub hold: Hold,
    /// Payment's row.
    pub payment: Payment,
    /// `payments.provider_reference`
    pub reference: Option<u8>,
    /// Payment's job.
    pub job: Option<Job>,
    /// The next epoch. The code counts from the microsecond a job was made.
    pub epoch: u8,
    /// Workers on that job.
    pub workers: Vec<Worker>,
    /// The provider's intents.
    pub intents: Vec<Intent>,
    /// A key under which the provider has stored an error.
    pub stored_error: bool,
    /// Requests on their way to the provider that nobody waits for.
    pub under_way: Vec<Request>,
    /// How often stock was taken off the shelf.
    pub taken: u8,
    /// How often it was put back.
    pub put_back: u8,
    /// How often money was taken.
    pub charges: u8,
    /// How often it was given back.
    pub refunds: u8,
    /// How often `order.cancelled` was said.
    pub told: u8,
    /// The first terminal status the order had.
    pub decided: Option<Status>,
    /// Somebody tampered with a copy of its charge.
    pub tampered: bool,
}

impl Saga {
    /// The guard rows of a service.
    #[must_use]
    pub fn at(&self, service: Service) -> &Guards {
        &self.guards[service as usize]
    }

    /// The guard rows of a service.
    pub fn at_mut(&mut self, service: Service) -> &mut Guards {
        &mut self.guards[service as usize]
    }
}

/// Faults and choices that are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Budget {
    /// Processes that die.
    pub crashes: u8,
    /// Copies the broker makes.
    pub duplicates: u8,
    /// Queues that are deleted with what they hold.
    pub losses: u8,
    /// Relays and workers that stand still until their lease has run out.
    pub stalls: u8,
    /// Attempts that fail.
    pub errors: u8,
    /// Announcements that are repeated although others are still at work.
    pub repeats: u8,
    /// Calls whose answer is lost.
    pub unheard: u8,
    /// Calls that arrive after their sender has given them up.
    pub delayed: u8,
    /// Copies with another body.
    pub tampered: u8,
    /// Parked messages that a person redrives.
    pub redrives: u8,
}

/// The whole system.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct State {
    /// All sagas, begun: `place-order` is committed.
    pub sagas: Vec<Saga>,
    /// `stock.available`
    pub available: i8,
    /// `stock.reserved`
    pub reserved: i8,
    /// `stock.sold`
    pub sold: i8,
    /// Stock at the start.
    pub stock: i8,
    /// `wallets.balance_minor`, in units of one order.
    pub balance: i8,
    /// All queues' content, sorted.
    pub queued: Vec<Delivery>,
    /// Queues that are gone, until their consumer declares them again.
    pub missing: Vec<Queue>,
    /// All outboxes, sorted.
    pub outbox: Vec<Row>,
    /// All waiting tables, sorted.
    pub waiting: Vec<Waiting>,
    /// Messages whose handler has looked and not yet written; only a mutant does that.
    pub read: Vec<Delivery>,
    /// What may still go wrong.
    pub left: Budget,
    /// A queue was lost.
    pub lost: bool,
    /// How often a deadly message has ended its process, up to one more than it ever may.
    pub deaths: u8,
}

impl State {
    /// A saga.
    pub fn saga(&mut self, saga: u8) -> &mut Saga {
        &mut self.sagas[usize::from(saga)]
    }
}

/// Inserts into a sorted list.
pub(crate) fn add<T: Ord>(bag: &mut Vec<T>, item: T) {
    let at = bag.partition_point(|other| *other < item);
    bag.insert(at, item);
}

/// Takes one copy out of a sorted list.
pub(crate) fn take<T: Ord>(bag: &mut Vec<T>, item: &T) {
    if let Ok(at) = bag.binary_search(item) {
        bag.remove(at);
    }
}
