//! The fate of a delivery: committed, waiting or parked, and only then acked (R5, R8).
//! Mirrors `saga-common/src/consumer/{mod,settle,scheduler}.rs` and `waiting/mod.rs`.

use crate::action::Fate;
use crate::message::{Delivery, Event, Message, Queue, Service};
use crate::mutants::Mutant;
use crate::protocol::Protocol;
use crate::state::{Leaving, State, Verdict, Waiting, Why, add, take};

/// Attempts that ended the process; the next one is not made.
const FATAL_ATTEMPTS: u8 = 1;
/// Failed attempts after which a message before the pivot is parked.
const ATTEMPTS: u8 = 2;
/// How often a message can end its process: at its first delivery, when it becomes suspect, and in counted attempts.
pub(crate) const MOST_DEATHS: u8 = 2 + FATAL_ATTEMPTS;

/// How a unit of work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ran {
    /// Committed; a duplicate, too.
    Committed,
    /// Nothing was done: for a person to look at.
    Parked(Why),
}

impl Protocol {
    /// R5, commit, then ack. What dies in between is delivered again, marked so.
    pub(crate) fn deliver(&self, state: &mut State, delivery: Delivery, fate: Fate) {
        take(&mut state.queued, &delivery);
        let (queue, message) = (delivery.queue, delivery.message);
        let again = Delivery { redelivered: true, ..delivery };
        match fate {
            Fate::Handled => {
                if self.ends_process(state, queue, message) {
                    self.suspect(state, delivery);
                    add(&mut state.queued, again);
                } else if self.drops(Mutant::ReadsFirst) && !self.has_run(state, queue, message) && !queue.failures {
                    add(&mut state.read, delivery);
                } else {
                    self.settle(state, delivery, Leaving::Held);
                }
            }
            Fate::DiesBefore => {
                state.left.crashes -= 1;
                self.suspect(state, delivery);
                if self.drops(Mutant::PublishesBeforeCommit) {
                    let mut aborted = state.clone();
                    self.run(&mut aborted, queue, message, Leaving::Left);
                    state.outbox = aborted.outbox;
                }
                if !self.drops(Mutant::AcksFirst) {
                    add(&mut state.queued, again);
                }
            }
            Fate::DiesAfter => {
                state.left.crashes -= 1;
                let before = state.clone();
                self.settle(state, delivery, Leaving::Left);
                if self.drops(Mutant::GuardInOwnTransaction) && !queue.failures {
                    // The business rows were committed, the guard row was to follow.
                    *state.saga(message.saga).at_mut(queue.service) =
                        *before.sagas[usize::from(message.saga)].at(queue.service);
                }
                if self.drops(Mutant::OutboxInOwnTransaction) {
                    state.outbox = before.outbox;
                }
                if self.drops(Mutant::AcksNeighbours) {
                    // The ack was `multiple` and went out; its tag was above those that are not settled.
                    state.queued.retain(|other| other.queue != queue);
                } else {
                    add(&mut state.queued, again);
                }
            }
            Fate::Fails => {
                state.left.errors -= 1;
                // COMMIT of an aborted transaction succeeds silently: the last statement must hit every row (R5).
                if !self.drops(Mutant::AbortedCommitBelieved) {
                    self.postpone(state, queue, message);
                }
            }
            Fate::FailsAndDies => {
                state.left.errors -= 1;
                state.left.crashes -= 1;
                // "Written before the ack" (R8): dropped, the ack is out and the row is not.
                if !self.drops(Mutant::AcksBeforeWaiting) {
                    self.postpone(state, queue, message);
                    add(&mut state.queued, again);
                }
            }
        }
    }

    /// R8: another copy of what waits or is parked meets its row and is settled. What was suspect before runs alone, its
    /// attempt counted before the handler starts. (`settle::sort`, `run_suspect`)
    fn settle(&self, state: &mut State, delivery: Delivery, leaving: Leaving) {
        let (queue, message) = (delivery.queue, delivery.message);
        if let Some(row) = held(state, queue, message) {
            if row.why != Why::Suspect && !self.drops(Mutant::CopyRunsBesideItsRow) {
                return;
            }
            if row.why == Why::Suspect && row.attempts >= FATAL_ATTEMPTS {
                return self.give_up(state, row);
            }
            if row.why == Why::Suspect {
                take(&mut state.waiting, &row);
            }
        }
        self.run(state, queue, message, leaving);
    }

    /// Would the handler run, and end its process? Counted here, so that somebody can look whether that ever ends.
    fn ends_process(&self, state: &mut State, queue: Queue, message: Message) -> bool {
        let runs =
            held(state, queue, message).is_none_or(|row| row.why == Why::Suspect && row.attempts < FATAL_ATTEMPTS);
        let deadly = self.config.deadly && message.event == Event::OrderPlaced;
        let ends = deadly && runs && !self.has_run(state, queue, message);
        state.deaths = (state.deaths + u8::from(ends)).min(MOST_DEATHS + 1);
        ends
    }

    /// What was suspect too often is parked, or waits where nothing may be parked.
    fn give_up(&self, state: &mut State, row: Waiting) {
        let why = if self.given_up(row.message) == Why::Parked { Why::Deadly } else { Why::Waiting };
        put(state, Waiting { why, attempts: row.attempts + 1, ..row });
    }

    /// R8: marked redelivered, a message is suspect first, in a committed statement; suspect already, its attempt is
    /// counted, also in a committed statement. Then its process dies.
    fn suspect(&self, state: &mut State, delivery: Delivery) {
        let (queue, message) = (delivery.queue, delivery.message);
        match held(state, queue, message) {
            Some(row) if row.why == Why::Suspect && row.attempts < FATAL_ATTEMPTS => {
                let counted = u8::from(!self.drops(Mutant::DeathsNotCounted));
                put(state, Waiting { attempts: row.attempts + counted, ..row });
            }
            None if delivery.redelivered && !self.drops(Mutant::NobodySuspect) => {
                put(state, Waiting { queue, message, why: Why::Suspect, attempts: 0 });
            }
            _ => {}
        }
    }

    /// R8: `Err` waits with growing delay; after the limit the row is parked; after the pivot and in undos it goes on
    /// waiting. (`settle::run_alone`, `retry.rs`)
    fn postpone(&self, state: &mut State, queue: Queue, message: Message) {
        let former = held(state, queue, message);
        // The row keeps the first copy's envelope.
        let message = former.map_or(message, |row| row.message);
        let attempts = (former.map_or(0, |row| row.attempts) + 1).min(ATTEMPTS);
        let why = if attempts >= ATTEMPTS { self.given_up(message) } else { Why::Waiting };
        put(state, Waiting { queue, message, why, attempts });
    }

    /// May it be parked? (`settle::patience`, `settle::give_up`)
    fn given_up(&self, message: Message) -> Why {
        let undo = message.event.is_failure() && self.drops(Mutant::ParksUndos);
        let retriable = !message.event.is_failure() && self.drops(Mutant::ParksAfterPivot);
        if message.event.may_be_parked() || undo || retriable { Why::Parked } else { Why::Waiting }
    }

    /// R8: a scheduler runs due rows through the normal handler; the row goes with the transaction that settles it.
    pub(crate) fn run_due(&self, state: &mut State, row: Waiting) {
        if row.why == Why::Suspect && row.attempts >= FATAL_ATTEMPTS {
            return self.give_up(state, row);
        }
        if self.ends_process(state, row.queue, row.message) {
            let delivery = Delivery { queue: row.queue, message: row.message, redelivered: true };
            return self.suspect(state, delivery);
        }
        take(&mut state.waiting, &row);
        self.run(state, row.queue, row.message, Leaving::Held);
    }

    /// Due, it fails again.
    pub(crate) fn fail_due(&self, state: &mut State, row: Waiting) {
        state.left.errors -= 1;
        self.postpone(state, row.queue, row.message);
    }

    /// R8: redrive sets the row due; it publishes nothing.
    pub(crate) fn redrive(&self, state: &mut State, row: Waiting) {
        state.left.redrives -= 1;
        put(state, Waiting { why: Why::Waiting, attempts: 0, ..row });
    }

    /// Only a mutant gets here: it has seen no guard row, and writes without asking again.
    pub(crate) fn write(&self, state: &mut State, delivery: Delivery) {
        take(&mut state.read, &delivery);
        let message = delivery.message;
        let guards = state.saga(message.saga).at_mut(delivery.queue.service);
        match message.event {
            Event::PaymentCharged | Event::OrderConfirmed => guards.pivot = Verdict::Absent,
            Event::OrderPlaced | Event::StockReserved => guards.action = Verdict::Absent,
            Event::StockCommitted => guards.close = Verdict::Absent,
            Event::Compensated(participant) => guards.answers &= !participant.bit(),
            _ => {}
        }
        self.run(state, delivery.queue, message, Leaving::Held);
    }

    /// One unit of work: the step the message is for, what it says, COMMIT. A message nobody can handle is parked.
    fn run(&self, state: &mut State, queue: Queue, message: Message, leaving: Leaving) {
        let mut said = Vec::new();
        let ran = if self.is_expired(state, queue.service, message.saga) {
            Ran::Parked(Why::Expired)
        } else if queue.failures && message.altered && self.drops(Mutant::StrangeFailuresParked) {
            Ran::Parked(Why::Parked)
        } else if queue.failures {
            // R8: the failures queue needs only the correlation id, and an undo reads its own rows.
            self.undo(state, queue.service, message, &mut said);
            Ran::Committed
        } else {
            self.forward(state, message, &mut said)
        };
        match ran {
            Ran::Committed => self.commit(state, queue.service, &said, leaving),
            Ran::Parked(why) => put(state, Waiting { queue, message, why, attempts: 0 }),
        }
    }

    /// Which step an event is for: the tables of the `participant.rs` files.
    fn forward(&self, state: &mut State, message: Message, said: &mut Vec<Message>) -> Ran {
        match message.event {
            Event::OrderPlaced => self.reserve_stock(state, message, said),
            Event::StockReserved => self.charge_payment(state, message, said),
            Event::PaymentCharged => return self.confirm_order(state, message, said),
            Event::OrderConfirmed => return self.commit_stock(state, message, said),
            Event::StockCommitted => self.close_order(state, message),
            Event::Compensated(participant) => self.collect_answer(state, message, participant),
            Event::StockRejected | Event::PaymentDeclined | Event::OrderCancelling => {}
        }
        Ran::Committed
    }

    /// Has the step this message is for come to a verdict? Then its handler does not run, and cannot fail.
    pub(crate) fn has_run(&self, state: &State, queue: Queue, message: Message) -> bool {
        let guards = state.sagas[usize::from(message.saga)].at(queue.service);
        if queue.failures {
            return match queue.service {
                Service::Order => guards.action != Verdict::Done,
                _ => guards.compensate != Verdict::Absent,
            };
        }
        match message.event {
            Event::PaymentCharged | Event::OrderConfirmed => guards.pivot != Verdict::Absent,
            Event::StockCommitted => guards.close != Verdict::Absent,
            Event::Compensated(participant) => guards.answers & participant.bit() != 0,
            _ => guards.action != Verdict::Absent,
        }
    }
}

/// The row of a message in `saga.waiting`.
fn held(state: &State, queue: Queue, message: Message) -> Option<Waiting> {
    state.waiting.iter().copied().find(|row| row.queue == queue && row.message.id() == message.id())
}

/// Writes a row; one that is there takes over the new state.
fn put(state: &mut State, row: Waiting) {
    state.waiting.retain(|other| other.queue != row.queue || other.message.id() != row.message.id());
    add(&mut state.waiting, row);
}
