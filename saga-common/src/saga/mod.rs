//! The service's way into the engine from outside of any event: HTTP handlers and timers.

mod part;

pub use part::{AnnouncedLine, CallLine, FaultLine, SagaPart, SaidLine, StepLine, WaitingLine};

use crate::acts;
use crate::db::{Db, Statement};
use crate::engine::Engine;
use crate::error::Error;
use crate::event::Event;
use crate::faults::NotInjected;
use crate::ids::SagaId;
use crate::outbox::{self, Outbox};
use crate::partitions::Window;
use crate::telemetry::trace::Trace;
use crate::unit::{Saying, Unit};
use sqlx::PgPool;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio_postgres::Row;

/// Starts and ends sagas, and tells what is known of them. Cheap to clone.
#[derive(Clone)]
pub struct Saga {
    participant: Arc<str>,
    db: Db,
    reads: PgPool,
    outbox: Outbox,
    window: Arc<Window>,
    /// Steps whose word is repeated until it is withdrawn.
    announced: Arc<BTreeSet<&'static str>>,
}

impl Saga {
    pub(crate) fn new<App>(engine: &Engine<App>) -> Self {
        let announced = engine.participant.steps.iter().filter(|step| step.saying == Saying::UntilWithdrawn);
        Self {
            participant: engine.participant.name.as_str().into(),
            db: engine.db.clone(),
            reads: engine.reads.clone(),
            outbox: engine.outbox.clone(),
            window: Arc::clone(&engine.window),
            announced: Arc::new(announced.map(|step| step.name).collect()),
        }
    }

    /// Begins a unit of work.
    ///
    /// # Errors
    /// When no connection is to be had.
    pub async fn begin(&self) -> Result<Unit, Error> {
        Ok(Unit::begin(&self.db).await?)
    }

    /// Begins a unit of work with statements of the service, in one round trip; returns the rows of each of them.
    ///
    /// They are on their way before it is known that the transaction has begun. One that writes must ask for it, so that it fails by
    /// itself if there is none: `where (select saga.in_unit())`.
    ///
    /// # Errors
    /// When no connection is to be had, or a statement fails: then nothing has happened.
    pub async fn begin_with(&self, first: Vec<Statement<'_>>) -> Result<(Unit, Vec<Vec<Row>>), Error> {
        Ok(Unit::begin_with(&self.db, first).await?)
    }

    /// Begins a unit of work that starts sagas: as [`Unit::start`], in the same round trip. The ids must be new.
    ///
    /// # Errors
    /// When no connection is to be had, the statement fails or an id is already taken.
    pub async fn start<E: Event>(&self, step: &str, sagas: &[(SagaId, E)]) -> Result<Unit, Error> {
        let unit = Unit::starting(&self.db, step, sagas).await?;
        Ok(self.saying(step, unit))
    }

    /// Begins a unit of work that does a step of a saga on request, once: its guard row is the first thing in it, and what
    /// it says goes out with its commit. `None` if the step has been done before; of two requests at once the second waits
    /// until it is known what became of the first.
    ///
    /// # Errors
    /// When no connection is to be had or the statement fails; [`Error::Expired`] when the saga is so old that its guard
    /// rows have been dropped.
    pub async fn once<E: Event>(&self, step: &str, saga_id: SagaId, event: E) -> Result<Option<Unit>, Error> {
        self.window.check(saga_id).map_err(Error::Expired)?;
        let unit = Unit::once(&self.db, step, saga_id, event).await?;
        Ok(unit.map(|unit| self.saying(step, unit)))
    }

    /// What the step has said is announced, if the participant's table says so.
    fn saying(&self, step: &str, mut unit: Unit) -> Unit {
        if self.announced.contains(step) {
            unit.announce();
        }
        unit
    }

    /// The trace that something is a part of which was kept with it ([`Trace::traceparent`]).
    #[must_use]
    pub fn trace(&self, traceparent: Option<&str>) -> Trace {
        Trace::from(self.outbox.tracer().resume(traceparent))
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

    /// The same behind the service's `last` statement, in one round trip; returns its rows once they are committed. COMMIT is on its
    /// way before it is known what the statement did: it must fail by itself if it does not do all that it has to, as an INSERT does.
    ///
    /// # Errors
    /// As [`commit`](Saga::commit), and when the statement fails: then nothing is committed.
    pub async fn commit_with(&self, unit: Unit, last: Statement<'_>) -> Result<Vec<Row>, Error> {
        let about = outbox::subjects(&unit.ends.outgoing);
        Ok(self.outbox.faults().scope(|| about, unit.commit_with(&self.outbox, Some(last))).await?)
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
    /// Several statements on connections for reads: a step that ends between them may be in one and not in the other.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn part(&self, saga_id: SagaId) -> Result<SagaPart, Error> {
        Ok(part::read(&self.reads, &self.participant, saga_id).await?)
    }
}
