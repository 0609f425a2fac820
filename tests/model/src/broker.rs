//! The way out: outbox, relay, sweeper; and what a broker may do to queues (R4, R5).
//! Mirrors `saga-common/src/{outbox/,unit/,broker/publisher.rs}`.

use crate::message::{Delivery, Message, Queue, Service};
use crate::mutants::Mutant;
use crate::protocol::Protocol;
use crate::state::{Leaving, Row, State, add, take};

impl Protocol {
    /// The end of a unit (`Unit::commit`): what it says becomes outbox rows, in its own transaction. An answer that
    /// is said again while it is still there would be one message twice, as any that is published again; it is left out.
    pub(crate) fn commit(&self, state: &mut State, service: Service, said: &[Message], leaving: Leaving) {
        for &message in said {
            let altered = message.altered || message.event.is_failure() && self.config.strange_failures;
            let message = Message { altered, ..message };
            if !state.outbox.iter().any(|row| row.service == service && row.message.id() == message.id()) {
                add(&mut state.outbox, Row { service, message, leaving });
            }
        }
    }

    /// R5: what the broker has no queue for comes back (mandatory) and stays in the outbox. A fanout tells nothing: a
    /// missing queue is not seen by its publisher (R4).
    pub(crate) fn can_relay(&self, state: &State, row: &Row) -> bool {
        if row.leaving == Leaving::Left && self.drops(Mutant::NoSweeper) {
            return false;
        }
        is_routable(state, row)
            || self.drops(Mutant::ReturnIgnored)
            || self.return_rides_on_another(state, row).is_some()
    }

    /// R5, confirm, then forget: relay (`outbox/relay.rs`), or sweeper once the lease of a dead process has run out.
    /// Publication, confirm and the row's end in one: what can come between is [`Protocol::stall`].
    pub(crate) fn relay(&self, state: &mut State, row: Row) {
        take(&mut state.outbox, &row);
        if let Some(other) = self.return_rides_on_another(state, &row)
            && !is_routable(state, &row)
        {
            // The neighbour was published, but its row stays: it seems to be the one that came back.
            take(&mut state.outbox, &other);
            publish(state, &other);
            add(&mut state.outbox, Row { leaving: Leaving::Left, ..other });
            return;
        }
        publish(state, &row);
    }

    /// "Its id came in no return of its whole batch" (R5): lapin may attach a return to another message's confirm.
    fn return_rides_on_another(&self, state: &State, row: &Row) -> Option<Row> {
        if !self.drops(Mutant::ReturnMisattributed) {
            return None;
        }
        let same_batch = |other: &&Row| other.service == row.service && other.message != row.message;
        state.outbox.iter().copied().find(|other| same_batch(&other) && is_routable(state, other))
    }

    /// A relay publishes and stands still before it has forgotten the row; its confirm may have been lost.
    pub(crate) fn stall(&self, state: &mut State, row: Row) {
        state.left.stalls -= 1;
        take(&mut state.outbox, &row);
        if self.drops(Mutant::ForgetsFirst) {
            // The row went first, and its process with it.
            return;
        }
        publish(state, &row);
        add(&mut state.outbox, Row { leaving: Leaving::Sent, ..row });
    }

    /// It was only slow: `forget_confirmed`.
    pub(crate) fn forget(&self, state: &mut State, row: Row) {
        take(&mut state.outbox, &row);
    }

    /// Its lease has run out: the sweeper will publish the row again, under the same id.
    pub(crate) fn overtake(&self, state: &mut State, row: Row) {
        take(&mut state.outbox, &row);
        add(&mut state.outbox, Row { leaving: Leaving::Left, ..row });
    }

    /// A queue can be deleted with what it holds (R4). From here on the announcer's clock starts anew.
    pub(crate) fn lose_queue(&self, state: &mut State, queue: Queue) {
        state.left.losses -= 1;
        state.lost = true;
        state.queued.retain(|delivery| delivery.queue != queue);
        add(&mut state.missing, queue);
        for saga in &mut state.sagas {
            saga.idle_repeats = 0;
        }
    }

    /// A copy with another body under the same saga (R1).
    pub(crate) fn tamper(&self, state: &mut State, delivery: Delivery) {
        state.left.tampered -= 1;
        state.saga(delivery.message.saga).tampered = true;
        let message = Message { altered: true, ..delivery.message };
        add(&mut state.queued, Delivery { message, redelivered: false, ..delivery });
    }
}

fn is_routable(state: &State, row: &Row) -> bool {
    row.message.event.is_failure() || row.message.event.queues().iter().all(|queue| !state.missing.contains(queue))
}

fn publish(state: &mut State, row: &Row) {
    for queue in row.message.event.queues() {
        if !state.missing.contains(&queue) {
            add(&mut state.queued, Delivery { queue, message: row.message, redelivered: false });
        }
    }
}
