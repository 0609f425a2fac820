//! R7, locks: a model of its own, one level deeper. There a transaction is one action; here it takes its row locks one by
//! one, waits for those that another has, and lets go of all at its end. Nobody may ever wait in a circle.
//!
//! The order is: guard rows by key; then, in one ordered statement over the whole batch and all event types, the rows that
//! other sagas touch, too; at last the `waiting` rows of what was handled. Mirrors `saga-common/src/consumer/{forward,
//! undo}.rs`, `jobs/runner.rs`, `Unit::lock`, `waiting::handled`, and the `locking` statements of the services.

use crate::mutants::Mutant;
use crate::properties::name;
use stateright::{Model, Property};
use std::fmt;

/// A row that is locked. Guard rows by saga and step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Lock {
    Guard(u8, &'static str),
    /// A row that other sagas touch: an article, a wallet, an order.
    Shared(&'static str),
    Waiting(u8),
}

/// One event of a batch: the saga and step of its guard row, and the shared rows it touches, in its own order.
type Event = (u8, &'static str, &'static [&'static str]);

/// What a transaction does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Actions,
    Undos,
    Cancel,
    EndOfJob,
    Suspects,
}

/// A transaction: its events in the order of delivery, and the `waiting` rows that go with it.
#[derive(Debug, Clone, Copy)]
struct Work {
    kind: Kind,
    name: &'static str,
    events: &'static [Event],
    waiting: &'static [u8],
}

/// The lock orders of all transactions, with at most one clause of R7 dropped.
#[derive(Debug, Clone)]
pub struct Locks {
    /// The clause that is dropped.
    pub mutant: Option<Mutant>,
}

/// A transaction at work.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Holder {
    name: &'static str,
    /// What it takes, in this order.
    wants: Vec<Lock>,
    /// How many of these it has taken.
    has: usize,
    /// It has let go of all.
    ended: bool,
}

/// A transaction takes its next lock, or ends.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Take {
    Next(usize, &'static str, Lock),
    End(usize, &'static str),
}

impl fmt::Display for Take {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Next(at, name, lock) => write!(f, "transaction {at} ({name}) locks {lock:?}"),
            Self::End(at, name) => write!(f, "transaction {at} ({name}) ends"),
        }
    }
}

const fn work(kind: Kind, name: &'static str, events: &'static [Event], waiting: &'static [u8]) -> Work {
    Work { kind, name, events, waiting }
}

/// What runs at the same time, in different replicas, on inventory's database.
const INVENTORY: &[Work] = &[
    work(Kind::Actions, "reserve", &[(0, "reserve", &["y", "x"]), (1, "reserve", &["x"])], &[1, 0]),
    work(Kind::Actions, "reserve, copies", &[(1, "reserve", &["x"]), (0, "reserve", &["y", "x"])], &[0, 1]),
    work(Kind::Actions, "commit and reserve", &[(3, "commit", &["y"]), (2, "reserve", &["x"])], &[]),
    work(Kind::Actions, "reserve and commit", &[(5, "reserve", &["y"]), (6, "commit", &["x"])], &[]),
    work(Kind::Undos, "release", &[(0, "reserve", &["y", "x"]), (1, "reserve", &["x"])], &[]),
    work(Kind::Undos, "release, copies", &[(1, "reserve", &["x"]), (0, "reserve", &["y", "x"])], &[]),
    work(Kind::Suspects, "mark what was delivered again", &[], &[0, 1]),
];

/// On order-svc's.
const ORDER: &[Work] = &[
    work(Kind::Cancel, "deadline", &[(0, "place", &["order 0"]), (1, "place", &["order 1"])], &[]),
    work(Kind::Cancel, "cancel", &[(1, "place", &["order 1"])], &[]),
    work(Kind::Undos, "own copies of failures", &[(1, "place", &["order 1"]), (0, "place", &["order 0"])], &[]),
    work(Kind::Actions, "confirm", &[(1, "confirm", &["order 1"]), (0, "confirm", &["order 0"])], &[]),
    work(Kind::Actions, "answers", &[(0, "answer", &["order 0"]), (1, "answer", &["order 1"])], &[]),
];

/// On payment's: two orders of one customer.
const PAYMENT: &[Work] = &[
    work(Kind::Actions, "charge", &[(1, "charge", &["wallet"]), (0, "charge", &["wallet"])], &[]),
    work(Kind::Undos, "refund", &[(0, "charge", &["wallet"]), (1, "charge", &["wallet"])], &[]),
    work(Kind::EndOfJob, "end of a job", &[(0, "charge", &["wallet"])], &[]),
];

impl Locks {
    fn drops(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// The locks of a transaction, in the order it takes them.
    fn wants(&self, work: &Work) -> Vec<Lock> {
        let mut guards: Vec<Lock> = work.events.iter().map(|(saga, step, _)| Lock::Guard(*saga, step)).collect();
        let as_delivered = match work.kind {
            Kind::Actions => self.drops(Mutant::GuardsAsDelivered),
            // "Undos lock theirs ORDER BY .. FOR UPDATE."
            Kind::Undos => self.drops(Mutant::UndosAsDelivered),
            Kind::Cancel | Kind::EndOfJob | Kind::Suspects => false,
        };
        if !as_delivered {
            guards.sort_unstable();
        }
        let mut shared = self.shared(work);
        // The rows that a transaction has handled, in the order in which a redelivery would mark them.
        let mut waiting: Vec<Lock> = work.waiting.iter().copied().map(Lock::Waiting).collect();
        if !self.drops(Mutant::WaitingAsDelivered) {
            waiting.sort_unstable();
        }
        // "Cancel and deadline take the place-order guard first, too."
        let row_first = work.kind == Kind::Cancel && self.drops(Mutant::CancelsRowFirst)
            || work.kind == Kind::EndOfJob && self.drops(Mutant::JobsRowFirst);
        if row_first {
            std::mem::swap(&mut guards, &mut shared);
        }
        guards.extend(shared);
        guards.extend(waiting);
        guards
    }

    /// "Lock keys are declared per event; the engine locks them for the whole batch, over all event types, in one ordered
    /// statement, before any handler."
    fn shared(&self, work: &Work) -> Vec<Lock> {
        let per_event = self.drops(Mutant::LocksPerEvent);
        let per_type = self.drops(Mutant::LocksPerType);
        let mut locks: Vec<(&str, Lock)> = work
            .events
            .iter()
            .flat_map(|(_, step, rows)| rows.iter().map(move |row| (*step, Lock::Shared(row))))
            .collect();
        if per_type {
            locks.sort_unstable();
        } else if !per_event {
            locks.sort_unstable_by_key(|(_, lock)| *lock);
        }
        locks.into_iter().map(|(_, lock)| lock).collect()
    }

    fn next(&self, state: &[Holder], at: usize) -> Option<Take> {
        let holder = &state[at];
        let Some(&lock) = holder.wants.get(holder.has) else {
            return (!holder.ended).then_some(Take::End(at, holder.name));
        };
        let others = state.iter().enumerate().filter(|(other, holder)| *other != at && !holder.ended);
        let mut held = others.flat_map(|(_, other)| &other.wants[..other.has]);
        held.all(|other| *other != lock).then_some(Take::Next(at, holder.name, lock))
    }
}

impl Model for Locks {
    type State = Vec<Holder>;
    type Action = Take;

    /// Any three transactions of one database.
    fn init_states(&self) -> Vec<Vec<Holder>> {
        let holder = |work: &Work| Holder { name: work.name, wants: self.wants(work), has: 0, ended: false };
        let mut states = Vec::new();
        for works in [INVENTORY, ORDER, PAYMENT] {
            for (i, first) in works.iter().enumerate() {
                for (j, second) in works.iter().enumerate().skip(i) {
                    states.extend(works[j..].iter().map(|third| [first, second, third].map(holder).to_vec()));
                }
            }
        }
        states
    }

    fn actions(&self, state: &Vec<Holder>, actions: &mut Vec<Take>) {
        actions.extend((0..state.len()).filter_map(|at| self.next(state, at)));
    }

    fn next_state(&self, last: &Vec<Holder>, action: Take) -> Option<Vec<Holder>> {
        let mut state = last.clone();
        match action {
            Take::Next(at, ..) => state[at].has += 1,
            Take::End(at, _) => state[at].ended = true,
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let waits = |model: &Self, state: &Vec<Holder>| {
            (0..state.len()).any(|at| !state[at].ended && model.next(state, at).is_none())
        };
        vec![
            Property::always(name::NO_DEADLOCK, |model: &Self, state: &Vec<Holder>| {
                state.iter().all(|holder| holder.ended) || (0..state.len()).any(|at| model.next(state, at).is_some())
            }),
            Property::sometimes("a transaction waits for another", waits),
        ]
    }
}
