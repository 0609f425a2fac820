//! Everything that can happen next. Each action is atomic: one transaction with its ack, one publication, one call.

use crate::config::Reply;
use crate::message::{Delivery, Queue, Service};
use crate::state::{Next, Phase, Request, Row, Waiting, Worker};
use std::fmt;

/// What may happen to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Commit, then ack.
    Handled,
    /// The process dies before it commits.
    DiesBefore,
    /// The process dies after it has committed, before it acks.
    DiesAfter,
    /// The handler fails: it waits or is parked, then the ack.
    Fails,
    /// The handler fails, and the process dies before the ack.
    FailsAndDies,
}

/// One action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A service takes a message from its queue.
    Deliver(Delivery, Fate),
    /// Only a mutant: the handler has looked for the guard row, and goes on to write.
    Write(Delivery),
    /// The scheduler runs a waiting row that is due.
    Due(Waiting),
    /// The scheduler runs a row, and it fails again.
    DueFails(Waiting),
    /// A person redrives a parked message.
    Redrive(Waiting),
    /// Relay or sweeper publish a row, the broker confirms, the row goes.
    Relay(Row),
    /// A row is published; before it goes, its relay stands still.
    Stall(Row),
    /// The relay goes on: the row goes.
    Forget(Row),
    /// The lease of a published row has run out: it is the sweeper's.
    Overtake(Row),
    /// The announcer repeats what is announced; true: in a system at rest.
    Repeat(u8, bool),
    /// The order's deadline passes.
    Deadline(u8),
    /// The customer cancels.
    Cancel(u8),
    /// Only a mutant: inventory's own deadline.
    ReservationExpires(u8),
    /// The broker makes a copy.
    Duplicate(Delivery),
    /// Somebody makes a copy with another body.
    Tamper(Delivery),
    /// A queue is deleted with what it holds.
    LoseQueue(Queue),
    /// Its consumer declares it again.
    Declare(Queue),
    /// A runner leases the saga's job.
    Lease(u8),
    /// A worker does its next thing. (`Reply` matters for confirmations only.)
    Work(u8, Worker, Reply),
    /// It does, and its answer is lost.
    Unheard(u8, Worker, Reply),
    /// A worker sends a request and gives it up before the provider has it.
    Delayed(u8, Worker),
    /// Such a request arrives after all.
    Arrive(u8, Request, Reply),
    /// The customer authenticates a charge that asked for it: the intent's position.
    Authenticate(u8, u8),
    /// A job's lease runs out while its worker lives.
    LeaseRunsOut(u8),
    /// A process of payment dies in the middle of a call.
    Dies(u8),
    /// A service drops the guard rows of a saga that is past retention.
    DropGuards(u8, Service),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deliver(d, Fate::Handled) => write!(f, "{d}: handled"),
            Self::Deliver(d, Fate::DiesBefore) => write!(f, "{d}: the process dies before it commits"),
            Self::Deliver(d, Fate::DiesAfter) => write!(f, "{d}: handled, the process dies before the ack"),
            Self::Deliver(d, Fate::Fails) => write!(f, "{d}: the handler fails"),
            Self::Deliver(d, Fate::FailsAndDies) => {
                write!(f, "{d}: the handler fails, the process dies before the ack")
            }
            Self::Write(d) => write!(f, "{d}: has looked, and writes"),
            Self::Due(w) => write!(f, "{} at {}: due, handled", w.message, w.queue),
            Self::DueFails(w) => write!(f, "{} at {}: due, fails again", w.message, w.queue),
            Self::Redrive(w) => write!(f, "{} at {}: redriven", w.message, w.queue),
            Self::Relay(r) => write!(f, "{:?} publishes {} ({:?})", r.service, r.message, r.leaving),
            Self::Stall(r) => write!(f, "{:?} publishes {} and stands still", r.service, r.message),
            Self::Forget(r) => write!(f, "{:?} goes on and forgets {}", r.service, r.message),
            Self::Overtake(r) => write!(f, "the lease of {:?}'s {} runs out", r.service, r.message),
            Self::Repeat(s, _) => write!(f, "order repeats the announcement of saga {s}"),
            Self::Deadline(s) => write!(f, "the deadline of saga {s} passes"),
            Self::Cancel(s) => write!(f, "the customer cancels saga {s}"),
            Self::ReservationExpires(s) => write!(f, "inventory lets the reservation of saga {s} expire"),
            Self::Duplicate(d) => write!(f, "the broker copies {d}"),
            Self::Tamper(d) => write!(f, "somebody tampers with a copy of {d}"),
            Self::LoseQueue(q) => write!(f, "{q} is deleted with what it holds"),
            Self::Declare(q) => write!(f, "{q} is declared again"),
            Self::Lease(s) => write!(f, "a runner leases the job of saga {s}"),
            Self::Work(s, w, reply) => write!(f, "saga {s}: {}", Working(w, *reply)),
            Self::Unheard(s, w, reply) => write!(f, "saga {s}: {}; the answer is lost", Working(w, *reply)),
            Self::Delayed(s, w) => write!(f, "saga {s}: {}; the request stays under way", Working(w, Reply::Succeed)),
            Self::Arrive(s, request, reply) => write!(f, "saga {s}: {request:?} arrives late ({reply:?})"),
            Self::Authenticate(s, i) => write!(f, "the customer of saga {s} authenticates intent {i}"),
            Self::LeaseRunsOut(s) => write!(f, "the lease of saga {s}'s job runs out while its worker lives"),
            Self::Dies(s) => write!(f, "the process that runs the job of saga {s} dies"),
            Self::DropGuards(s, service) => write!(f, "{service:?} drops the guard rows of saga {s}"),
        }
    }
}

/// What a worker does, in words.
struct Working<'a>(&'a Worker, Reply);

impl fmt::Display for Working<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (worker, reply) = (self.0, self.1);
        write!(f, "the worker of epoch {} ", worker.epoch)?;
        match (worker.phase, worker.next) {
            (Phase::Call, Next::Begin(None)) => write!(f, "creates an intent"),
            (Phase::Call, Next::Begin(Some(intent))) => write!(f, "asks for intent {intent}"),
            (Phase::Undo, Next::Begin(None)) => write!(f, "finds no intent to cancel"),
            (Phase::Undo, Next::Begin(Some(intent))) => write!(f, "cancels intent {intent}"),
            (_, Next::Store(intent)) => write!(f, "stores intent {intent}"),
            (_, Next::Confirm(intent)) => write!(f, "confirms intent {intent}: {reply:?}"),
            (_, Next::GiveUp(intent)) => write!(f, "cancels intent {intent} before it declines"),
            (_, Next::ListRefunds(intent)) => write!(f, "lists the refunds of intent {intent}"),
            (_, Next::Refund(intent)) => write!(f, "refunds intent {intent}"),
            (_, Next::Settle(found)) => write!(f, "settles: {found:?}"),
        }
    }
}
