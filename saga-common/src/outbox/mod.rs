//! The outbox: what is committed goes out, straight from memory; the table is what survives a crash.
//!
//! A unit of work has one row, with all that it says: writing and deleting it costs the same for one event and for a hundred.
//! [`Outbox`] holds what this process has in flight. The relay publishes it and forgets it once confirmed; the sweeper
//! republishes what is left over, from a crash or a failed publication. Nobody polls on the way of a message.

mod relay;
mod store;

pub(crate) use relay::{forget_confirmed, publish_batches, sweep};
use store::insert;
pub(crate) use store::{backlog, delete};

use crate::db::Statement;
use crate::faults::{Faults, Subject};
use crate::ids::{MessageId, SagaId, UnitId};
use crate::telemetry::Meters;
use crate::telemetry::trace::{Origin, Tracer};
use crate::topology::Route;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

/// A message on its way out.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) id: MessageId,
    pub(crate) saga_id: SagaId,
    pub(crate) route: Route,
    pub(crate) event_type: String,
    pub(crate) causation_id: Option<MessageId>,
    /// Where in which trace it was made: what it carries.
    pub(crate) traceparent: Option<String>,
    /// The span that made it, if that is recorded, and by this process.
    pub(crate) made_by: Option<u64>,
    pub(crate) announcement: u32,
    /// Fault directives, written on it just before it leaves.
    pub(crate) fault: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Outgoing {
    /// A message with a new id.
    pub(crate) fn new(
        saga_id: SagaId,
        route: Route,
        event_type: &str,
        causation_id: Option<MessageId>,
        Origin { traceparent, made_by }: Origin,
        body: Vec<u8>,
    ) -> Self {
        Self {
            id: MessageId::new(),
            saga_id,
            route,
            event_type: event_type.to_owned(),
            causation_id,
            traceparent,
            made_by,
            announcement: 0,
            fault: None,
            body,
        }
    }

    /// A fanout has none.
    pub(crate) fn routing_key(&self) -> &str {
        match self.route {
            Route::Direct => crate::event::routing_key(&self.event_type),
            Route::Fanout => "",
        }
    }
}

/// What a unit of work says: a row of the outbox.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) unit: UnitId,
    pub(crate) messages: Vec<Outgoing>,
    /// When it was committed, or as near to that as is known.
    committed: Instant,
}

/// What faults are looked for while these messages are on their way.
pub(crate) fn subjects(messages: &[Outgoing]) -> Vec<Subject> {
    messages.iter().map(|message| (message.saga_id, message.event_type.clone())).collect()
}

/// Confirmed rows that a unit takes along at least.
const DELETED_BY_THE_WAY: usize = 8;
/// Confirmed rows that one transaction deletes at most.
const DELETED_AT_ONCE: usize = 256;

/// Batches that may wait for the broker in memory; beyond, rows are left to the sweeper.
const BATCHES_WAITING: usize = 1_024;

/// The process's side of the outbox: who we are, what we have in flight. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Outbox {
    shared: Arc<Shared>,
}

struct Shared {
    instance: Uuid,
    lease: Duration,
    faults: Faults,
    meters: Meters,
    tracer: Tracer,
    in_flight: Mutex<HashSet<UnitId>>,
    batches: mpsc::Sender<Batch>,
    /// With the broker, but still in the table.
    confirmed: Mutex<Vec<UnitId>>,
    newly_confirmed: Notify,
}

/// What units hand over to those who publish it.
pub(crate) type Batches = mpsc::Receiver<Batch>;

impl Outbox {
    pub(crate) fn new(
        instance: Uuid,
        lease: Duration,
        faults: Faults,
        (meters, tracer): (Meters, Tracer),
    ) -> (Self, Batches) {
        let (batches, far_end) = mpsc::channel(BATCHES_WAITING);
        let shared = Shared {
            instance,
            lease,
            faults,
            meters,
            tracer,
            in_flight: Mutex::default(),
            batches,
            confirmed: Mutex::default(),
            newly_confirmed: Notify::new(),
        };
        (Self { shared: Arc::new(shared) }, far_end)
    }

    pub(crate) fn instance(&self) -> Uuid {
        self.shared.instance
    }

    /// How long other processes leave a row of ours alone.
    pub(crate) fn lease(&self) -> Duration {
        self.shared.lease
    }

    /// Failure injection, for everything that commits or publishes.
    pub(crate) fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// What everything that commits or publishes is recorded with.
    pub(crate) fn meters(&self) -> &Meters {
        &self.shared.meters
    }

    /// What everything that commits or publishes is traced with.
    pub(crate) fn tracer(&self) -> &Tracer {
        &self.shared.tracer
    }

    /// Marks what a unit says as in flight in this process, before its commit.
    pub(crate) fn in_flight_until_known(&self, unit: UnitId, messages: Vec<Outgoing>) -> InFlight {
        if !messages.is_empty() {
            self.in_flight().insert(unit);
        }
        InFlight { outbox: self.clone(), batch: Batch { unit, messages, committed: Instant::now() } }
    }

    fn mark_in_flight(&self, batches: &[Batch]) {
        self.in_flight().extend(batches.iter().map(|batch| batch.unit));
    }

    /// Is anything of this process on its way?
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight().is_empty()
    }

    pub(crate) fn units_in_flight(&self) -> Vec<Uuid> {
        self.in_flight().iter().map(UnitId::as_uuid).collect()
    }

    /// The broker is responsible for these now: their rows may go, with whatever commits next.
    fn confirm(&self, units: Vec<UnitId>) {
        self.confirmed().extend(units);
        self.shared.newly_confirmed.notify_one();
    }

    /// Takes what may be deleted by the way: nothing, until that is worth a statement.
    pub(crate) fn take_some_confirmed(&self) -> Confirmed {
        if self.confirmed().len() < DELETED_BY_THE_WAY {
            return Confirmed { outbox: self.clone(), units: Vec::new() };
        }
        self.take_confirmed()
    }

    /// Takes what may be deleted; what is not [forgotten](Confirmed::forget) is there again.
    pub(crate) fn take_confirmed(&self) -> Confirmed {
        let mut confirmed = self.confirmed();
        let rest = confirmed.len().saturating_sub(DELETED_AT_ONCE);
        Confirmed { outbox: self.clone(), units: confirmed.split_off(rest) }
    }

    fn confirmed(&self) -> std::sync::MutexGuard<'_, Vec<UnitId>> {
        self.shared.confirmed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_flight(&self) -> std::sync::MutexGuard<'_, HashSet<UnitId>> {
        // A panic while the set was held cannot leave it half-changed.
        self.shared.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self, units: impl IntoIterator<Item = UnitId>) {
        let mut in_flight = self.in_flight();
        for unit in units {
            in_flight.remove(&unit);
        }
    }
}

/// Units whose messages the broker has, and whose rows somebody is about to delete.
pub(crate) struct Confirmed {
    outbox: Outbox,
    units: Vec<UnitId>,
}

impl Confirmed {
    pub(crate) fn units(&self) -> &[UnitId] {
        &self.units
    }

    /// Their deletion is committed. Rows that another process had locked are its to delete.
    pub(crate) fn forget(mut self) {
        self.outbox.release(std::mem::take(&mut self.units));
    }
}

impl Drop for Confirmed {
    fn drop(&mut self) {
        if !self.units.is_empty() {
            self.outbox.confirm(std::mem::take(&mut self.units));
        }
    }
}

/// What a unit says, marked as in flight while its commit is not known yet. Dropped, it is the sweeper's.
pub(crate) struct InFlight {
    outbox: Outbox,
    batch: Batch,
}

impl InFlight {
    /// The row of the outbox, for the transaction that makes it true; none if nothing is said. What the first `recorded`
    /// messages say is kept for good.
    pub(crate) fn row(&self, recorded: usize) -> Option<Statement<'_>> {
        let shared = &self.outbox.shared;
        insert(&self.batch, recorded, (shared.instance, shared.lease))
    }

    /// The commit is known: hands the messages over to the relay.
    pub(crate) fn publish(mut self) {
        let messages = std::mem::take(&mut self.batch.messages);
        if messages.is_empty() {
            return;
        }
        let unit = self.batch.unit;
        if self.outbox.shared.batches.try_send(Batch { unit, messages, committed: Instant::now() }).is_err() {
            // The broker takes nothing and memory is bounded: the row is there for the sweeper.
            self.outbox.release([unit]);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.batch.messages.is_empty() {
            self.outbox.release([self.batch.unit]);
        }
    }
}
