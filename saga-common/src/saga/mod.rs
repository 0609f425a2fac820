//! The service's way into the engine from outside of any event: HTTP handlers and timers.

mod part;

pub use part::{SagaPart, SaidLine, StepLine, WaitingLine};

use crate::acts;
use crate::db::Db;
use crate::engine::Engine;
use crate::error::Error;
use crate::event::Event;
use crate::faults::NotInjected;
use crate::ids::SagaId;
use crate::outbox::{self, Outbox};
use crate::unit::Unit;
use sqlx::PgPool;
use std::sync::Arc;

/// Starts and ends sagas, and tells what is known of them. Cheap to clone.
#[derive(Clone)]
pub struct Saga {
    participant: Arc<str>,
    db: Db,
    reads: PgPool,
    outbox: Outbox,
}

impl Saga {
    pub(crate) fn new<App>(engine: &Engine<App>) -> Self {
        Self {
            participant: engine.participant.name.as_str().into(),
            db: engine.db.clone(),
            reads: engine.reads.clone(),
            outbox: engine.outbox.clone(),
        }
    }

    /// Begins a unit of work.
    ///
    /// # Errors
    /// When no connection is to be had.
    pub async fn begin(&self) -> Result<Unit, Error> {
        Ok(Unit::begin(&self.db).await?)
    }

    /// Begins a unit of work that starts sagas: as [`Unit::start`], in the same round trip. The ids must be new.
    ///
    /// # Errors
    /// When no connection is to be had, the statement fails or an id is already taken.
    pub async fn start<E: Event>(&self, step: &str, sagas: &[(SagaId, E)]) -> Result<Unit, Error> {
        Unit::starting(&self.db, step, sagas).await
    }

    /// Lets the messages of a saga that is about to start carry fault directives: `text` is what a request's `Saga-Fault`
    /// says. They are kept before the saga is.
    ///
    /// # Errors
    /// When fault injection is off or the text cannot be read.
    pub async fn plant_faults(&self, saga_id: SagaId, text: &str) -> Result<(), NotInjected> {
        self.outbox.faults().plant(saga_id, text).await
    }

    /// Commits a unit and publishes what it said. An error leaves the outcome unknown.
    ///
    /// # Errors
    /// When a row could not be written or the commit was not confirmed.
    pub async fn commit(&self, unit: Unit) -> Result<(), Error> {
        let about = outbox::subjects(&unit.ends.outgoing);
        Ok(self.outbox.faults().scope(|| about, unit.commit(&self.outbox)).await?)
    }

    /// Notes that `subject` has done `act` to `target`, where that is no transaction of its own ([`acts::note`] notes it in one).
    ///
    /// # Errors
    /// When the database cannot be reached or the commit was not confirmed.
    pub async fn note(&self, subject: &str, act: &'static str, target: &str) -> Result<(), Error> {
        let unit = self.begin().await?;
        acts::note(unit.tx(), subject, act, target)?;
        self.commit(unit).await
    }

    /// What this participant knows of a saga: what `GET /sagas/{saga_id}` shows. Of one it has never heard of, nothing.
    ///
    /// Two statements on a connection for reads: a step that ends between them may be in one and not in the other.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn part(&self, saga_id: SagaId) -> Result<SagaPart, Error> {
        Ok(part::read(&self.reads, &self.participant, saga_id).await?)
    }
}
