//! Failure injection, part of the product: named fault points around every await that touches the database, the broker
//! or a provider, in released binaries too.
//!
//! A [`FaultPoint`] does nothing until the process was started with `FAULTS` on; then it asks whether something is to go
//! wrong here, for the sagas being handled. A saga carries its directives in the header `saga-fault` of its messages
//! (set by the request that started it); each is spent by a committed row before it fires. A process may have directives
//! of its own besides, with a probability and a seed. What is being handled is known from the task (`Faults::scope`), so that
//! a point takes no parameters and can be put anywhere, also in a participant's own code.
//!
//! A hold makes what reaches its point wait until somebody releases the saga's holds (`PUT /faults`): an order of events
//! that is made, not guessed by delays. It holds whoever passes there, and so all that is behind: at `after-delivery` or
//! `before-begin` that queue of that replica stands still, at `before-publish` one of its publishers. It ends when it is
//! released, when its limit is over (counted from its first firing), or when the service stops. Inside of a step, a call or
//! a transaction it ends, as anything slow there would, with `STEP_LIMIT_MS`, the call's limit, or the 30 s after which
//! PostgreSQL ends an idle transaction; what is tried again is held again, while the limit lasts.
//!
//! The points are those of the `fail` crate in spirit; that they fire for one saga only, durably once, is what lets many
//! crashes be tried in one running system.

mod directive;
mod injector;
mod memory;
mod place;
mod points;
mod store;

pub use directive::{Action, BadDirective, Directive, Directives};
pub use place::{FaultPoint, Place};
pub(crate) use points::*;
#[cfg(feature = "testkit")]
pub(crate) use store::release;

use crate::db::{Db, DbError};
use crate::envelope::Envelope;
use crate::ids::SagaId;
use crate::outbox::Outgoing;
pub(crate) use injector::Count;
use injector::{Injector, SCOPE, Scope};
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A fault that has fired, as the error its place sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The operation failed.
    #[error("injected fault: the operation failed")]
    Failed,
    /// The connection was lost.
    #[error("injected fault: the connection was lost")]
    Dropped,
    /// The ack was not sent.
    #[error("injected fault: the ack was not sent")]
    SkippedAck,
}

/// Fault injection could not take directives, or not release holds.
#[derive(Debug, thiserror::Error)]
pub enum NotInjected {
    /// The process was started without it.
    #[error("fault injection is off: start the services with FAULTS=on")]
    Off,
    /// A directive cannot be read.
    #[error(transparent)]
    Bad(#[from] BadDirective),
    /// The database could not be asked.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// The setting `FAULTS`: off, on, or on with directives for the whole process.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Setting {
    /// Points do nothing.
    #[default]
    Off,
    /// Points are live; these directives are the process's own.
    On(Directives),
}

impl std::str::FromStr for Setting {
    type Err = BadDirective;

    fn from_str(text: &str) -> Result<Self, BadDirective> {
        match text.trim() {
            "off" | "" => Ok(Self::Off),
            "on" => Ok(Self::On(Directives::default())),
            directives => directives.parse().map(Self::On),
        }
    }
}

/// What is being handled: a saga, and the type of its event.
pub(crate) type Subject = (SagaId, String);

/// Whoever runs what is being handled, and so handles it again when a fault has duplicated it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// The consumer.
    Deliveries,
    /// The scheduler of waiting messages.
    Waiting,
    /// The relay.
    Publications,
    /// The runner of jobs.
    Calls,
}

/// In whose lane the running task works: for what it spawns.
pub(crate) fn lane() -> Option<Lane> {
    SCOPE.try_with(|scope| scope.lane).ok().flatten()
}

/// A process's fault injection. Cheap to clone; off, it is nothing.
#[derive(Clone, Default)]
pub(crate) struct Faults(Option<Arc<Injector>>);

/// Connections of the injector's own: what is held inside of a transaction has one of the service's, and must neither keep
/// itself from being released nor others from being held.
const CONNECTIONS: usize = 2;

impl Faults {
    /// As the setting says, for one participant.
    pub(crate) fn new(setting: &Setting, seed: u64, service: &str, database_url: &str) -> Result<Self, DbError> {
        let Setting::On(directives) = setting else { return Ok(Self(None)) };
        tracing::warn!(service, directives = %directives, seed, "FAULT INJECTION IS ON");
        let db = Db::new(database_url, CONNECTIONS)?;
        Ok(Self(Some(Arc::new(Injector::new(service, db, directives.clone(), seed)))))
    }

    /// Holds end when this is cancelled.
    pub(crate) fn end_holds_with(&self, stop: &CancellationToken) {
        if let Some(injector) = &self.0 {
            injector.end_holds_with(stop.clone());
        }
    }

    pub(crate) fn are_on(&self) -> bool {
        self.0.is_some()
    }

    /// Gives a saga directives to carry, before it starts.
    pub(crate) async fn plant(&self, saga_id: SagaId, text: &str) -> Result<(), NotInjected> {
        let injector = self.0.as_ref().ok_or(NotInjected::Off)?;
        Ok(injector.learn(saga_id, text.parse::<Directives>()?).await?)
    }

    /// Takes over what messages carry.
    pub(crate) async fn learn(&self, envelopes: impl Iterator<Item = &Envelope>) {
        let Some(injector) = &self.0 else { return };
        for envelope in envelopes {
            if let (Ok(saga_id), Some(text)) = (&envelope.saga_id, &envelope.fault)
                && !injector.knows(*saga_id)
            {
                let learnt = match text.parse() {
                    Ok(directives) => injector.learn(*saga_id, directives).await.map_err(NotInjected::from),
                    Err(bad) => Err(NotInjected::Bad(bad)),
                };
                if let Err(why) = learnt {
                    tracing::warn!(saga.id = %saga_id, error = %why, "what a message carries is not injected");
                }
            }
        }
    }

    /// Writes on messages what their sagas carry.
    pub(crate) async fn label(&self, messages: &mut [Outgoing]) {
        let Some(injector) = &self.0 else { return };
        let sagas: Vec<SagaId> = messages.iter().map(|message| message.saga_id).collect();
        for (message, carried) in messages.iter_mut().zip(injector.carried_by(&sagas).await) {
            message.fault = (!carried.0.is_empty()).then(|| carried.to_string());
        }
    }

    /// Runs work that nobody handles again, during which points ask for these subjects. Spawned tasks are not inside.
    pub(crate) async fn scope<F: Future>(&self, subjects: impl FnOnce() -> Vec<Subject>, work: F) -> F::Output {
        self.scope_in(None, subjects, work).await
    }

    /// The same for work of this lane, which looks afterwards for what is to be handled again (`take_duplicates`).
    pub(crate) async fn scope_in<F: Future>(
        &self,
        lane: Option<Lane>,
        subjects: impl FnOnce() -> Vec<Subject>,
        work: F,
    ) -> F::Output {
        let Some(injector) = &self.0 else { return work.await };
        let subjects = subjects();
        let sagas: Vec<SagaId> = subjects.iter().map(|(saga_id, _)| *saga_id).collect();
        let carried = injector.carried_by(&sagas).await;
        let subjects = Arc::new(subjects.into_iter().zip(carried).collect());
        SCOPE.scope(Scope { injector: Arc::clone(injector), lane, subjects }, work).await
    }

    /// Which of these a fault has duplicated, so that this lane handles them once more; each is told once.
    pub(crate) fn take_duplicates<T: Clone>(
        &self,
        lane: Lane,
        handled: &[T],
        saga: impl Fn(&T) -> Option<SagaId>,
    ) -> Vec<T> {
        let Some(injector) = &self.0 else { return Vec::new() };
        let sagas: BTreeSet<SagaId> = handled.iter().filter_map(&saga).collect();
        let flagged = injector.take_duplicated(lane, &sagas);
        handled.iter().filter(|one| saga(one).is_some_and(|id| flagged.contains(&id))).cloned().collect()
    }

    /// The process's own directives from now on.
    pub(crate) fn set(&self, directives: Directives, seed: u64) -> Result<(), NotInjected> {
        let injector = self.0.as_ref().ok_or(NotInjected::Off)?;
        tracing::warn!(directives = %directives, seed, "fault directives of this process");
        injector.set_own(directives, seed);
        Ok(())
    }

    /// Ends, durably and in all its replicas, the holds of a saga in this service that it has already heard of: from the
    /// saga's first message on. Tells how many.
    pub(crate) async fn release(&self, saga_id: SagaId) -> Result<u64, NotInjected> {
        let injector = self.0.as_ref().ok_or(NotInjected::Off)?;
        let released = injector.release(saga_id).await?;
        tracing::warn!(saga.id = %saga_id, released, "holds released");
        Ok(released)
    }

    /// The process's own directives.
    pub(crate) fn own(&self) -> Directives {
        self.0.as_ref().map(|injector| injector.own()).unwrap_or_default()
    }

    /// How often each point was reached and fired, by event type.
    pub(crate) fn counts(&self) -> Vec<(&'static str, String, Count)> {
        self.0.as_ref().map(|injector| injector.counts()).unwrap_or_default()
    }
}
