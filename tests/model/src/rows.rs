//! The rows of the databases, the memory of a worker, the provider's books: the words a state is made of.

use crate::message::{Message, Queue, Service};

/// What a guard row says (R1). The words of `saga-common/src/guard`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Verdict {
    /// There is no row.
    #[default]
    Absent,
    /// The action took effect.
    Done,
    /// The action refused.
    Rejected,
    /// The action came too late to matter.
    Superseded,
    /// A call outside is to be made.
    Intent,
    /// A call outside that reverses it is to be made.
    Undoing,
    /// It took effect and was reversed.
    Undone,
    /// It never ran and never will.
    Fenced,
    /// Of the line `compensate`: there was nothing to reverse.
    NothingToUndo,
}

impl Verdict {
    /// Whether the line `compensate` with this verdict holds an answer.
    #[must_use]
    pub fn is_answer(self) -> bool {
        matches!(self, Self::Undone | Self::NothingToUndo | Self::Fenced)
    }
}

/// Status of an order row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[allow(missing_docs)]
pub enum Status {
    #[default]
    Pending,
    Confirmed,
    Cancelling,
    Cancelled,
}

/// The guard rows of one saga in one service, by what they guard. A service uses those it has steps for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Guards {
    /// `place-order`, `reserve-stock` or `charge-payment`: what an undo reverses.
    pub action: Verdict,
    /// The participant's answer: `compensate`.
    pub compensate: Verdict,
    /// `confirm-order` (order) or `commit-stock` (inventory).
    pub pivot: Verdict,
    /// The body that `confirm-order` ran on was not the one that was said.
    pub pivot_altered: bool,
    /// `close-order`.
    pub close: Verdict,
    /// `answer:inventory` and `answer:payment`, as bits.
    pub answers: u8,
    /// Their partition was dropped: past retention (R6).
    pub dropped: bool,
}

/// A row of inventory's `reservations`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[allow(missing_docs)]
pub enum Hold {
    #[default]
    None,
    Held,
    Released,
    Sold,
}

/// A row of payment's `payments`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[allow(missing_docs)]
pub enum Payment {
    #[default]
    None,
    Charging,
    Charged,
    Declined,
    Refunding,
    Refunded,
    Voided,
}

/// Which way a job goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Phase {
    Call,
    Undo,
}

/// A row of payment's `saga.jobs` (R3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Job {
    /// Call, or undo it.
    pub phase: Phase,
    /// No two leases have the same.
    pub epoch: u8,
    /// Leases since the job was made or turned round.
    pub attempts: u8,
    /// The one intent that may be confirmed.
    pub stored: Option<u8>,
    /// Somebody has it.
    pub leased: bool,
}

/// A worker's memory: gone when its process dies, stale when its job was taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Worker {
    /// As leased.
    pub phase: Phase,
    /// As leased.
    pub epoch: u8,
    /// As leased.
    pub attempt: u8,
    /// What it does next.
    pub next: Next,
}

/// A worker's next call or transaction. `payment-svc/src/steps/charge_payment/cards.rs`, cut where a process can die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Next {
    /// Look at what the job had stored: create an intent, or ask for the one stored.
    Begin(Option<u8>),
    /// Store the intent that was created.
    Store(u8),
    /// Confirm the intent that is stored.
    Confirm(u8),
    /// Cancel it, before it is called declined.
    GiveUp(u8),
    /// Ask which refunds there are.
    ListRefunds(u8),
    /// Ask for a refund.
    Refund(u8),
    /// Write down what was found out.
    Settle(Found),
}

/// What a worker has found out, for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Found {
    Charged(u8),
    Declined,
    Voided,
    Refunded,
}

/// Status of a payment intent at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Intent {
    Unconfirmed,
    Succeeded,
    Declined,
    RequiresAction,
    Canceled,
}

/// A request that its sender has given up, and that the provider has yet to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Request {
    Confirm(u8),
    Refund(u8),
}

/// Where an outbox row stands (R5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Leaving {
    /// In flight in the process that committed it.
    Held,
    /// Left over: for the sweeper.
    Left,
    /// Published; the row is still there.
    Sent,
}

/// One of the events in `saga.outbox`, where those of a unit share a row; each is published, and is forgotten, as if it had its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row {
    /// In whose database.
    pub service: Service,
    /// What is to be published.
    pub message: Message,
    /// How far it got.
    pub leaving: Leaving,
}

/// Why a row is in `saga.waiting` (R8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    /// Delivered again: it may have ended the process.
    Suspect,
    /// It failed and is tried again.
    Waiting,
    /// It failed too often: for a person.
    Parked,
    /// Its process died too often: for a person.
    Deadly,
    /// Another body under a guard key that is taken: for a person.
    Conflict,
    /// Its saga is past retention: for a person, and of no use to try again.
    Expired,
}

/// A row of `saga.waiting`; its key is the message's id and the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Waiting {
    /// Where it was delivered.
    pub queue: Queue,
    /// What it is.
    pub message: Message,
    /// Why it is here.
    pub why: Why,
    /// Attempts that were counted.
    pub attempts: u8,
}
