//! What the author of a step writes and returns.
//!
//! An action is a plain async function. Its types are the choreography: what it takes is what it reacts to, what it
//! says goes over the direct exchange, what it refuses with goes to everybody. Reading rule: **`Ok` commits exactly
//! what it says, a refusal included; `Err` means nothing happened and it will be tried again.**
//!
//! The shape (builder, free functions, action beside undo) follows steno; the fate in the return value follows oban.

use crate::db::{DbError, Tx};
use crate::envelope::{Envelope, storable};
use crate::event::{Never, Said};
use crate::guard;
use crate::ids::{MessageId, SagaId};
use crate::telemetry::AfterCommit;
use crate::telemetry::trace::Cause;
use crate::unit::Announcement;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Row;

/// How an action ends: `R` is [`Never`] for a step that cannot refuse.
pub type StepResult<S, R = Never> = Result<Outcome<S, R>, <R as Said>::Error>;

/// How a set-based action ends: one outcome per event, in the order given.
pub type SetResult<S, R = Never> = Result<Vec<Outcome<S, R>>, <R as Said>::Error>;

/// How an undo ends. It may find nothing, but it cannot refuse and cannot give up. Only the owner's undo may say
/// something: that everybody had answered already.
pub type UndoResult<S = Never> = Result<Undo<S>, Retry>;

/// What an action commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<S, R = Never> {
    /// Success: this event goes out over the direct exchange.
    Say(S),
    /// A business no: this event goes to every participant, which makes them undo.
    Refuse(R),
    /// Success with nothing to say.
    Quiet,
    /// Too late to act: recorded, nothing said. The text is the reason, for the timeline.
    Superseded(&'static str),
    /// The answer comes from outside the database: this job is committed with the verdict `intent` and called later.
    Defer(serde_json::Value),
}

/// What an undo commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undo<S = Never> {
    /// The action is reversed.
    Done,
    /// The action is reversed, and this event goes out over the direct exchange.
    Say(S),
    /// Reversing needs a call outside: the job (with this data, or the data it has) runs it, and the participant
    /// stays silent until then.
    Defer(Option<serde_json::Value>),
}

/// Says an event.
///
/// # Errors
/// Never; the `Result` lets it stand at the end of an action.
pub fn say<S, R: Said>(event: S) -> StepResult<S, R> {
    Ok(Outcome::Say(event))
}

/// Refuses: commits the verdict `rejected` and fails the saga.
///
/// # Errors
/// Never; the `Result` lets it stand at the end of an action.
pub fn refuse<S, R: Said>(event: R) -> StepResult<S, R> {
    Ok(Outcome::Refuse(event))
}

/// Nothing happened, and it will be tried again. `?` makes one of any error.
pub struct Retry {
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// A call outside was not made, because it would have been in vain: somebody has found out that the other side does not
/// answer, or is asked by too many at once. Where a job's error is this, or was caused by it, the job waits for that long
/// and no longer: it is no attempt, so the waits after real ones do not grow by it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Held {
    /// When it may be worth while to ask; the engine's longest wait is the limit.
    pub wait: Duration,
    /// Why nobody was asked.
    pub why: String,
}

/// How a step before or at the pivot fails.
pub enum StepError {
    /// Nothing happened; it will be tried again.
    Retry(Retry),
    /// No retry can mend it: the message is parked at once, for a person.
    DeadLetter(String),
}

impl StepError {
    /// What no retry can mend. Does not exist after the pivot, where a step's error is [`Retry`].
    pub fn dead_letter(reason: impl Into<String>) -> Self {
        Self::DeadLetter(reason.into())
    }
}

impl Retry {
    /// Try again later, for a reason that is no error value.
    pub fn because(reason: impl Into<String>) -> Self {
        Self { source: reason.into().into() }
    }

    /// For how long to wait, if the error is [`Held`] or was caused by it.
    pub(crate) fn held(&self) -> Option<Duration> {
        let mut error: Option<&(dyn std::error::Error + 'static)> = Some(&*self.source);
        while let Some(it) = error {
            if let Some(held) = it.downcast_ref::<Held>() {
                return Some(held.wait);
            }
            error = it.source();
        }
        None
    }

    /// The error behind it.
    #[must_use]
    pub fn source(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.source
    }
}

// Neither error implements `std::error::Error`: the blanket conversions behind `?` would overlap with themselves.
impl<E: std::error::Error + Send + Sync + 'static> From<E> for Retry {
    fn from(error: E) -> Self {
        Self { source: Box::new(error) }
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for StepError {
    fn from(error: E) -> Self {
        Self::Retry(error.into())
    }
}

impl From<Retry> for StepError {
    fn from(retry: Retry) -> Self {
        Self::Retry(retry)
    }
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::error::chain(&*self.source))
    }
}

impl fmt::Debug for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(retry) => retry.fmt(f),
            Self::DeadLetter(reason) => f.write_str(reason),
        }
    }
}

/// What made a saga fail, as far as the message tells; an undo never depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The wire type of the failure, such as `payment.declined.v1`.
    pub event_type: String,
    /// The body's `reason`, if it has one.
    pub reason: Option<String>,
}

/// Characters of a failure's reason that are kept.
const LONGEST_REASON: usize = 200;

impl Failure {
    pub(crate) fn of(envelope: &Envelope) -> Self {
        #[derive(serde::Deserialize)]
        struct Reasoned {
            reason: String,
        }
        // What a stranger wrote must not be able to stop an undo: not by its length, nor by what a database cannot hold.
        let short = |reason: String| storable(reason.chars().take(LONGEST_REASON).collect());
        let reason = serde_json::from_slice::<Reasoned>(&envelope.body).ok().map(|body| short(body.reason));
        Self { event_type: envelope.event_type.clone(), reason }
    }
}

/// A step's context: the transaction it shares with its guard row and outbox rows, the service's state, the message.
pub struct Cx<App> {
    pub(crate) tx: Tx,
    pub(crate) app: Arc<App>,
    pub(crate) saga_id: SagaId,
    pub(crate) message_id: MessageId,
    pub(crate) failure: Option<Failure>,
    pub(crate) announcements: Vec<Announcement>,
    pub(crate) withdrawn: Vec<SagaId>,
    pub(crate) locked: Vec<Row>,
    pub(crate) remark: Option<String>,
    pub(crate) after_commit: Vec<AfterCommit>,
    pub(crate) cause: Cause,
}

impl<App> Cx<App> {
    pub(crate) fn new(tx: Tx, app: Arc<App>) -> Self {
        let nil = uuid::Uuid::nil();
        Self {
            tx,
            app,
            saga_id: nil.into(),
            message_id: nil.into(),
            failure: None,
            announcements: Vec::new(),
            withdrawn: Vec::new(),
            locked: Vec::new(),
            remark: None,
            after_commit: Vec::new(),
            cause: Cause::Untraced,
        }
    }

    /// In an undo, or at its end outside: what people should read beside the participant's answer, such as what its step had
    /// been waiting for. Decides nothing. Of several undos of a saga, that of the last one counts.
    pub fn remark(&mut self, text: impl Into<String>) {
        self.remark = Some(text.into());
    }

    /// What the participant's [`locking`](crate::Builder::locking) statements have returned, one after another: the rows that
    /// are locked, so that an action need not read them again. As they were before the first action of the batch: an action
    /// reads what others of its participant change itself. An undo and the end of a job get none.
    #[must_use]
    pub fn locked(&self) -> &[Row] {
        &self.locked
    }

    /// The open transaction. Never commit or roll back yourself.
    #[must_use]
    pub fn tx(&self) -> &Tx {
        &self.tx
    }

    /// The service's state.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The saga of the event being handled. In a set-based action: of each [`Received`] instead.
    #[must_use]
    pub fn saga_id(&self) -> SagaId {
        self.saga_id
    }

    /// The message being handled. In a set-based action: of each [`Received`] instead.
    #[must_use]
    pub fn message_id(&self) -> MessageId {
        self.message_id
    }

    /// In an undo: what made the saga fail.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Fans `event` out, in a while and again, until the announcement is withdrawn (R4): for the owner of a saga
    /// that learnt of a failure whose fanout may not have reached everybody.
    ///
    /// # Errors
    /// When the event cannot be written as JSON or has no wire type.
    pub fn announce_until_withdrawn<E: crate::event::Event>(&mut self, event: &E) -> Result<(), Retry> {
        let announcement = Announcement::fanout(self.saga_id, event, self.message_id, self.cause.origin())?;
        self.announcements.push(announcement);
        Ok(())
    }

    /// Have all these steps of the saga run here, this one (or others of its batch) included? For a step that counts without a
    /// business row to count on: of replicas that each run one of them at once, the last to commit sees all, if the saga
    /// is being announced and the step is [`keyed_by`](crate::Builder::keyed_by) its events: for such a step the engine
    /// locks the announcement's row, on which they take turns, before any handler. A step that an undo has fenced has not run.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn all_have_run(&self, saga_id: SagaId, steps: &[String]) -> Result<bool, DbError> {
        guard::all_run(&self.tx, saga_id, steps).await
    }

    /// Has this told or done once the transaction has committed: for metrics. It is lost with a process that ends before it.
    pub fn after_commit(&mut self, tell: impl FnOnce() + Send + Sync + 'static) {
        self.after_commit.push(Box::new(tell));
    }

    /// Ends the saga's open announcement: everybody has answered.
    pub fn withdraw_announcement(&mut self, saga_id: SagaId) {
        self.withdrawn.push(saga_id);
    }
}

/// One event of a set-based action.
#[derive(Debug, Clone)]
pub struct Received<E> {
    /// Its saga.
    pub saga_id: SagaId,
    /// Its message.
    pub message_id: MessageId,
    /// The event.
    pub event: E,
}
