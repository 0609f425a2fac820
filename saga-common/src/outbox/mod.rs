//! The outbox: what is committed goes out, straight from memory; the table is what survives a crash.
//!
//! [`Outbox`] holds what this process has in flight. The relay publishes it and forgets it once confirmed; the sweeper
//! republishes what is left over, from a crash or a failed publication. Nobody polls on the way of a message.

mod relay;
mod store;

pub(crate) use relay::{forget_confirmed, publish_batches, sweep};
pub(crate) use store::{delete, insert};

use crate::faults::{Faults, Subject};
use crate::ids::{MessageId, SagaId};
use crate::topology::Route;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

/// A message on its way out.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) id: MessageId,
    pub(crate) saga_id: SagaId,
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
    pub(crate) event_type: String,
    pub(crate) causation_id: Option<MessageId>,
    pub(crate) traceparent: Option<String>,
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
        traceparent: Option<String>,
        body: Vec<u8>,
    ) -> Self {
        let routing_key = match route {
            Route::Direct => crate::event::routing_key(event_type).to_owned(),
            Route::Fanout => String::new(),
        };
        Self {
            id: MessageId::new(),
            saga_id,
            exchange: route.exchange().to_owned(),
            routing_key,
            event_type: event_type.to_owned(),
            causation_id,
            traceparent,
            announcement: 0,
            fault: None,
            body,
        }
    }
}

/// What faults are looked for while these messages are on their way.
pub(crate) fn subjects(messages: &[Outgoing]) -> Vec<Subject> {
    messages.iter().map(|message| (message.saga_id, message.event_type.clone())).collect()
}

/// Confirmed rows that one transaction deletes at most.
const DELETED_AT_ONCE: usize = 1_024;

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
    in_flight: Mutex<HashSet<MessageId>>,
    batches: mpsc::Sender<Vec<Outgoing>>,
    /// With the broker, but still in the table.
    confirmed: Mutex<Vec<MessageId>>,
    newly_confirmed: Notify,
}

/// What units hand over to those who publish it.
pub(crate) type Batches = mpsc::Receiver<Vec<Outgoing>>;

impl Outbox {
    pub(crate) fn new(instance: Uuid, lease: Duration, faults: Faults) -> (Self, Batches) {
        let (batches, far_end) = mpsc::channel(BATCHES_WAITING);
        let shared = Shared {
            instance,
            lease,
            faults,
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

    /// Marks messages as in flight in this process, before their commit.
    pub(crate) fn in_flight_until_known(&self, messages: Vec<Outgoing>) -> InFlight {
        self.mark_in_flight(&messages);
        InFlight { outbox: self.clone(), messages }
    }

    fn mark_in_flight(&self, messages: &[Outgoing]) {
        self.in_flight().extend(messages.iter().map(|m| m.id));
    }

    /// Is anything of this process on its way?
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight().is_empty()
    }

    pub(crate) fn in_flight_ids(&self) -> Vec<Uuid> {
        self.in_flight().iter().map(MessageId::as_uuid).collect()
    }

    /// The broker is responsible for these now: their rows may go, with whatever commits next.
    fn confirm(&self, ids: Vec<MessageId>) {
        self.confirmed().extend(ids);
        self.shared.newly_confirmed.notify_one();
    }

    /// Takes what may be deleted; what is not [forgotten](Confirmed::forget) is there again. What is about to be said `again`
    /// stays in the table: it will be confirmed anew.
    pub(crate) fn take_confirmed(&self, again: &[Outgoing]) -> Confirmed {
        let mut ids = {
            let mut confirmed = self.confirmed();
            let rest = confirmed.len().saturating_sub(DELETED_AT_ONCE);
            confirmed.split_off(rest)
        };
        let again: HashSet<MessageId> = again.iter().map(|message| message.id).collect();
        ids.retain(|id| !again.contains(id));
        Confirmed { outbox: self.clone(), ids }
    }

    fn confirmed(&self) -> std::sync::MutexGuard<'_, Vec<MessageId>> {
        self.shared.confirmed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_flight(&self) -> std::sync::MutexGuard<'_, HashSet<MessageId>> {
        // A panic while the set was held cannot leave it half-changed.
        self.shared.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self, ids: impl IntoIterator<Item = MessageId>) {
        let mut in_flight = self.in_flight();
        for id in ids {
            in_flight.remove(&id);
        }
    }
}

/// Confirmed messages whose rows somebody is about to delete.
pub(crate) struct Confirmed {
    outbox: Outbox,
    ids: Vec<MessageId>,
}

impl Confirmed {
    pub(crate) fn ids(&self) -> &[MessageId] {
        &self.ids
    }

    /// Their deletion is committed. Rows that another process had locked are its to delete.
    pub(crate) fn forget(mut self) {
        self.outbox.release(std::mem::take(&mut self.ids));
    }
}

impl Drop for Confirmed {
    fn drop(&mut self) {
        if !self.ids.is_empty() {
            self.outbox.confirm(std::mem::take(&mut self.ids));
        }
    }
}

/// Messages marked as in flight whose commit is not known yet. Dropped, they are the sweeper's.
pub(crate) struct InFlight {
    outbox: Outbox,
    messages: Vec<Outgoing>,
}

impl InFlight {
    pub(crate) fn messages(&self) -> &[Outgoing] {
        &self.messages
    }

    /// Hands the messages over to the relay.
    pub(crate) fn publish(mut self) {
        let messages = std::mem::take(&mut self.messages);
        if messages.is_empty() {
            return;
        }
        if let Err(refused) = self.outbox.shared.batches.try_send(messages) {
            // The broker takes nothing and memory is bounded: the rows are there for the sweeper.
            let messages = refused.into_inner();
            self.outbox.release(messages.iter().map(|m| m.id));
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.outbox.release(self.messages.iter().map(|m| m.id));
    }
}
