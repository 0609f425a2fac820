//! The protocol as a state machine: which actions are possible, and what each of them does.
//!
//! Actions are of three kinds. *Progress* happens by itself and cannot be held up for ever; a state in which none is
//! possible is quiet, and that is where final properties are checked. *Faults* may happen as often as the budget says,
//! while something is going on. *Choices* are made by people, or not.

use crate::action::{Action, Fate};
use crate::config::{Config, Money, Reply};
use crate::message::{Event, Message, Service, all_queues};
use crate::mutants::Mutant;
use crate::state::{Intent, Leaving, Next, Saga, State, Status, Verdict, Why, add};
use stateright::{Model, Property};

/// Leases of one job: no configuration has enough faults to need more, so whoever needs more is never done.
pub(crate) const MOST_ATTEMPTS: u8 = 7;
/// Repeats in a row while nothing else happens: one is enough to heal whatever was lost before it.
pub(crate) const IDLE_REPEATS: u8 = 2;

/// A configuration of the protocol, with at most one clause of its rules dropped.
#[derive(Debug, Clone)]
pub struct Protocol {
    /// What is checked.
    pub config: Config,
    /// The clause that is dropped.
    pub mutant: Option<Mutant>,
}

impl Protocol {
    /// Is this the clause that is dropped? Each mutant is asked for at exactly one place.
    pub(crate) fn drops(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Nothing happens any more unless something goes wrong or somebody chooses to act.
    #[must_use]
    pub fn is_quiet(&self, state: &State) -> bool {
        if !state.queued.is_empty() {
            return false;
        }
        let mut possible = Vec::new();
        self.progress(state, &mut possible);
        possible.is_empty()
    }

    fn progress(&self, state: &State, actions: &mut Vec<Action>) {
        let deliveries = distinct(&state.queued);
        actions.extend(deliveries.map(|delivery| Action::Deliver(delivery, Fate::Handled)));
        actions.extend(state.read.iter().copied().map(Action::Write));
        let due = state.waiting.iter().filter(|row| matches!(row.why, Why::Suspect | Why::Waiting));
        // R8: a scheduler runs what is due.
        if !self.drops(Mutant::NobodyRunsDue) {
            actions.extend(due.copied().map(Action::Due));
        }
        for row in &state.outbox {
            match row.leaving {
                Leaving::Sent => actions.push(Action::Forget(*row)),
                _ if self.can_relay(state, row) => actions.push(Action::Relay(*row)),
                _ => {}
            }
        }
        actions.extend(state.missing.iter().copied().map(Action::Declare));
        for (saga, row) in sagas(state) {
            // "A message lost before the pivot is healed by the deadline" (R4).
            if self.config.deadline && row.status == Status::Pending && !self.drops(Mutant::NoDeadline) {
                actions.push(Action::Deadline(saga));
            }
            if row.job.is_some_and(|job| !job.leased && job.attempts < MOST_ATTEMPTS) {
                actions.push(Action::Lease(saga));
            }
            for worker in distinct(&row.workers) {
                let replies = self.replies(worker.next);
                actions.extend(replies.iter().map(|reply| Action::Work(saga, worker, *reply)));
            }
            for request in distinct(&row.under_way) {
                actions.extend(self.config.replies.iter().map(|reply| Action::Arrive(saga, request, *reply)));
            }
        }
        if actions.is_empty() {
            // Repeats come every ten seconds: in a system at rest they always come.
            let idle = sagas(state).filter(|(_, row)| row.idle_repeats < IDLE_REPEATS);
            actions.extend(
                idle.filter(|(saga, _)| self.can_repeat(state, *saga)).map(|(saga, _)| Action::Repeat(saga, true)),
            );
        }
    }

    fn faults(&self, state: &State, actions: &mut Vec<Action>) {
        let left = &state.left;
        for delivery in distinct(&state.queued) {
            if left.crashes > 0 {
                actions.push(Action::Deliver(delivery, Fate::DiesBefore));
                actions.push(Action::Deliver(delivery, Fate::DiesAfter));
            }
            if left.errors > 0 && !self.has_run(state, delivery.queue, delivery.message) {
                actions.push(Action::Deliver(delivery, Fate::Fails));
                if left.crashes > 0 {
                    actions.push(Action::Deliver(delivery, Fate::FailsAndDies));
                }
            }
            if left.duplicates > 0 {
                actions.push(Action::Duplicate(delivery));
            }
            let message = delivery.message;
            let untouched = !message.altered && !state.sagas[usize::from(message.saga)].tampered;
            if left.tampered > 0 && untouched && message.event == Event::PaymentCharged {
                actions.push(Action::Tamper(delivery));
            }
        }
        for row in &state.waiting {
            let runs = matches!(row.why, Why::Suspect | Why::Waiting);
            if left.errors > 0 && runs && !self.has_run(state, row.queue, row.message) {
                actions.push(Action::DueFails(*row));
            }
        }
        for row in &state.outbox {
            match row.leaving {
                Leaving::Sent => actions.push(Action::Overtake(*row)),
                _ if left.stalls > 0 && self.can_relay(state, row) => actions.push(Action::Stall(*row)),
                _ => {}
            }
        }
        if left.losses > 0 {
            let there = all_queues().into_iter().filter(|queue| !state.missing.contains(queue));
            actions.extend(there.map(Action::LoseQueue));
        }
        for (saga, row) in sagas(state) {
            if left.repeats > 0 && self.can_repeat(state, saga) {
                actions.push(Action::Repeat(saga, false));
            }
            if left.stalls > 0 && row.job.is_some_and(|job| job.leased) {
                actions.push(Action::LeaseRunsOut(saga));
            }
            if left.crashes > 0 && (!row.workers.is_empty() || row.job.is_some()) {
                actions.push(Action::Dies(saga));
            }
            for worker in distinct(&row.workers) {
                if left.unheard > 0 && !matches!(worker.next, Next::Store(_) | Next::Settle(_)) {
                    let replies = self.replies(worker.next);
                    actions.extend(replies.iter().map(|reply| Action::Unheard(saga, worker, *reply)));
                }
                if left.delayed > 0 && matches!(worker.next, Next::Confirm(_) | Next::Refund(_)) {
                    actions.push(Action::Delayed(saga, worker));
                }
            }
        }
    }

    fn choices(&self, state: &State, actions: &mut Vec<Action>) {
        for (saga, row) in sagas(state) {
            // A compare-and-set `pending -> cancelling` (R2); dropped, it goes by the order that the customer saw.
            let cancellable = row.status == Status::Pending
                || row.status == Status::Confirmed && self.drops(Mutant::CancelsAnyStatus);
            if self.config.cancel && cancellable {
                actions.push(Action::Cancel(saga));
            }
            if self.inventory_may_expire(row) {
                actions.push(Action::ReservationExpires(saga));
            }
            for (at, intent) in (0..).zip(&row.intents) {
                if *intent == Intent::RequiresAction {
                    actions.push(Action::Authenticate(saga, at));
                }
            }
            if self.config.retention {
                let services = [Service::Order, Service::Inventory, Service::Payment];
                let droppable = services.into_iter().filter(|service| self.may_drop(state, saga, *service));
                actions.extend(droppable.map(|service| Action::DropGuards(saga, service)));
            }
        }
        if state.left.redrives > 0 {
            let parked = state.waiting.iter().filter(|row| matches!(row.why, Why::Parked | Why::Deadly));
            actions.extend(parked.copied().map(Action::Redrive));
        }
    }

    /// Only a confirmation has more than one answer.
    fn replies(&self, next: Next) -> &[Reply] {
        if matches!(next, Next::Confirm(_)) { &self.config.replies } else { &[Reply::Succeed] }
    }

    fn act(&self, state: &mut State, action: Action) {
        match action {
            Action::Deliver(delivery, fate) => self.deliver(state, delivery, fate),
            Action::Write(delivery) => self.write(state, delivery),
            Action::Due(row) => self.run_due(state, row),
            Action::DueFails(row) => self.fail_due(state, row),
            Action::Redrive(row) => self.redrive(state, row),
            Action::Relay(row) => self.relay(state, row),
            Action::Stall(row) => self.stall(state, row),
            Action::Forget(row) => self.forget(state, row),
            Action::Overtake(row) => self.overtake(state, row),
            Action::Repeat(saga, at_rest) => self.repeat(state, saga, at_rest),
            Action::Deadline(saga) | Action::Cancel(saga) => self.cancel_by_owner(state, saga),
            Action::ReservationExpires(saga) => self.expire_reservation(state, saga),
            Action::Duplicate(delivery) => {
                state.left.duplicates -= 1;
                add(&mut state.queued, delivery);
            }
            Action::Tamper(delivery) => self.tamper(state, delivery),
            Action::LoseQueue(queue) => self.lose_queue(state, queue),
            Action::Declare(queue) => state.missing.retain(|missing| *missing != queue),
            Action::Lease(saga) => self.lease(state, saga),
            Action::Work(saga, worker, reply) => self.work(state, saga, worker, reply),
            Action::Unheard(saga, worker, reply) => self.work_unheard(state, saga, worker, reply),
            Action::Delayed(saga, worker) => self.give_up_waiting(state, saga, worker),
            Action::Arrive(saga, request, reply) => self.arrive(state, saga, request, reply),
            Action::Authenticate(saga, at) => self.authenticate(state, saga, at),
            Action::LeaseRunsOut(saga) => self.lease_runs_out(state, saga),
            Action::Dies(saga) => self.die_in_call(state, saga),
            Action::DropGuards(saga, service) => self.drop_guards(state, saga, service),
        }
    }

    fn begun(&self, stock: i8, balance: i8) -> State {
        let mut state = State { stock, available: stock, balance, left: self.config.budget, ..State::default() };
        state.missing.clone_from(&self.config.undeclared);
        state.missing.sort_unstable();
        for saga in 0..self.config.sagas {
            // T0: request key, guard row, order row, outbox row. The saga begins with their commit.
            let mut begun = Saga::default();
            begun.at_mut(Service::Order).action = Verdict::Done;
            state.sagas.push(begun);
            self.commit(&mut state, Service::Order, &[Message::new(saga, Event::OrderPlaced)], Leaving::Held);
        }
        state
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let balances = if self.config.money == Money::Wallet { self.config.balance.clone() } else { vec![0] };
        let each = |stock: &i8| balances.iter().map(|balance| self.begun(*stock, *balance)).collect::<Vec<_>>();
        self.config.stock.iter().flat_map(each).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.progress(state, actions);
        if !actions.is_empty() {
            self.faults(state, actions);
        }
        self.choices(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.act(&mut state, action);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        crate::properties::properties(&self.config)
    }
}

/// Each delivery once, however many copies there are.
fn distinct<T: Copy + PartialEq>(sorted: &[T]) -> impl Iterator<Item = T> + '_ {
    let first = move |at: &usize| *at == 0 || sorted[*at] != sorted[*at - 1];
    (0..sorted.len()).filter(first).map(|at| sorted[at])
}

fn sagas(state: &State) -> impl Iterator<Item = (u8, &Saga)> {
    (0..).zip(&state.sagas)
}
