//! R3, calls outside of the database: intent, call, settle. All SQL on `saga.jobs`.
//!
//! The action commits the verdict `intent` together with a durable job and its message is acked. The runner leases the
//! job, calls outside of any transaction, and settles in one: verdict, business rows and what is said, if the guard
//! still says `intent` and nobody else has taken the job since. An undo that comes in between turns the job round.

mod runner;

pub(crate) use runner::run;
#[cfg(feature = "testkit")]
pub(crate) use runner::{CALLS_AT_ONCE, lease, run_one};

use crate::action::{BoxFuture, Ended};
use crate::db::{Db, DbError, Statement};
use crate::event::Said;
use crate::guard::Key;
use crate::ids::{MessageId, SagaId, UnitId};
use crate::step::{Cx, Retry, StepError, StepResult};
use crate::telemetry::meters::{CALL, UNDO};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use tokio_postgres::Row;
use uuid::Uuid;

/// The calls of a step that needs the outside. `call` runs in no transaction and may run again after a crash or an
/// unclear answer, so it first finds out what became of the time before.
pub trait External<App>: Send + Sync + 'static {
    /// What the step says.
    type Says: Said;
    /// What it refuses with.
    type Refuses: Said;
    /// What the call found out, for `settle`.
    type Called: Send + Sync + 'static;

    /// Makes the outside do it, once, whatever happened before. An unclear answer is an error: unknown, not failed.
    fn call(&self, job: &Job<App>) -> impl Future<Output = Result<Self::Called, Retry>> + Send;

    /// Ends the step in a transaction. [`Outcome::Defer`](crate::Outcome::Defer) ends nothing: as after an error, the
    /// call is made again later.
    fn settle(
        &self,
        cx: &mut Cx<App>,
        called: Self::Called,
    ) -> impl Future<Output = StepResult<Self::Says, Self::Refuses>> + Send;
}

/// How such calls are taken back: for steps that can be undone. `reverse` runs as `call` does.
pub trait Reversible<App>: External<App> {
    /// What reversing found out, for `settle_reversal`.
    type Reversed: Send + Sync + 'static;

    /// Makes the outside take it back, whether or not the call got through.
    fn reverse(&self, job: &Job<App>) -> impl Future<Output = Result<Self::Reversed, Retry>> + Send;

    /// Ends the undo in a transaction.
    fn settle_reversal(
        &self,
        cx: &mut Cx<App>,
        reversed: Self::Reversed,
    ) -> impl Future<Output = Result<(), Retry>> + Send;
}

/// A leased job, as its worker sees it.
pub struct Job<App> {
    app: Arc<App>,
    db: Db,
    pub(crate) saga_id: SagaId,
    pub(crate) step: String,
    pub(crate) message_id: MessageId,
    phase: Phase,
    epoch: i64,
    attempts: i32,
    /// Of the attempts, those in which nobody was asked.
    held: i32,
    call_error: Option<String>,
    data: serde_json::Value,
    traceparent: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Call,
    Undo,
}

impl Phase {
    fn as_str(self) -> &'static str {
        match self {
            Self::Call => CALL,
            Self::Undo => UNDO,
        }
    }
}

impl<App> Job<App> {
    /// The service's state.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The saga it belongs to.
    #[must_use]
    pub fn saga_id(&self) -> SagaId {
        self.saga_id
    }

    /// Which attempt at its call, or at reversing it, this is, counted from 1. No two leases of a job have the same,
    /// so a name made with it is this attempt's own.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempts.unsigned_abs()
    }

    /// In a job that an undo has turned round: what the last attempt at the call had failed with, if it had failed.
    #[must_use]
    pub fn call_error(&self) -> Option<&str> {
        self.call_error.as_deref()
    }

    /// What was stored with the job last.
    ///
    /// # Errors
    /// When it has another shape.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Retry> {
        Ok(serde_json::from_value(self.data.clone())?)
    }

    /// Replaces what is stored with the job, by compare-and-set on its lease: an error means that an undo or another
    /// process has taken it over, and that nothing more may be done outside on its behalf.
    ///
    /// # Errors
    /// When the job is no longer ours, or the database fails.
    pub async fn store<T: Serialize + Sync>(&self, data: &T) -> Result<(), Retry> {
        let data = serde_json::to_value(data)?;
        let stored = self
            .db
            .execute(
                "update saga.jobs set data = $4 where saga_id = $1 and step = $2 and epoch = $3",
                &[&self.saga_id.as_uuid(), &self.step, &self.epoch, &data],
            )
            .await?;
        if stored == 1 { Ok(()) } else { Err(Retry::because("the job was taken over while it ran")) }
    }

    fn key(&self) -> Key {
        (self.saga_id, self.step.clone())
    }
}

pub(crate) type Found = Box<dyn Any + Send + Sync>;

/// [`External`] without its types.
pub(crate) trait Worker<App>: Send + Sync {
    fn call<'a>(&'a self, job: &'a Job<App>) -> BoxFuture<'a, Result<Found, Retry>>;
    fn settle<'a>(&'a self, cx: &'a mut Cx<App>, found: Found) -> BoxFuture<'a, Result<Ended, StepError>>;
    fn reverse<'a>(&'a self, job: &'a Job<App>) -> BoxFuture<'a, Result<Found, Retry>>;
    fn settle_reversal<'a>(&'a self, cx: &'a mut Cx<App>, found: Found) -> BoxFuture<'a, Result<(), Retry>>;
}

/// Of a step that can be undone.
pub(crate) struct ReversibleWorker<W>(pub(crate) W);

/// Of a step after the pivot: nothing takes its call back.
pub(crate) struct LastingWorker<W>(pub(crate) W);

fn found<T: 'static>(found: Found) -> Result<T, Retry> {
    found.downcast::<T>().map(|found| *found).map_err(|_| Retry::because("a job was settled by another worker's code"))
}

async fn call<App, W: External<App>>(worker: &W, job: &Job<App>) -> Result<Found, Retry> {
    Ok(Box::new(worker.call(job).await?))
}

async fn settle<App, W: External<App>>(worker: &W, cx: &mut Cx<App>, called: Found) -> Result<Ended, StepError> {
    Ended::of(worker.settle(cx, found(called)?).await.map_err(Into::into)?)
}

impl<App: Send + Sync + 'static, W: Reversible<App>> Worker<App> for ReversibleWorker<W> {
    fn call<'a>(&'a self, job: &'a Job<App>) -> BoxFuture<'a, Result<Found, Retry>> {
        Box::pin(call(&self.0, job))
    }

    fn settle<'a>(&'a self, cx: &'a mut Cx<App>, called: Found) -> BoxFuture<'a, Result<Ended, StepError>> {
        Box::pin(settle(&self.0, cx, called))
    }

    fn reverse<'a>(&'a self, job: &'a Job<App>) -> BoxFuture<'a, Result<Found, Retry>> {
        Box::pin(async { Ok(Box::new(self.0.reverse(job).await?) as Found) })
    }

    fn settle_reversal<'a>(&'a self, cx: &'a mut Cx<App>, reversed: Found) -> BoxFuture<'a, Result<(), Retry>> {
        Box::pin(async { self.0.settle_reversal(cx, found(reversed)?).await })
    }
}

impl<App: Send + Sync + 'static, W: External<App>> Worker<App> for LastingWorker<W> {
    fn call<'a>(&'a self, job: &'a Job<App>) -> BoxFuture<'a, Result<Found, Retry>> {
        Box::pin(call(&self.0, job))
    }

    fn settle<'a>(&'a self, cx: &'a mut Cx<App>, called: Found) -> BoxFuture<'a, Result<Ended, StepError>> {
        Box::pin(settle(&self.0, cx, called))
    }

    fn reverse<'a>(&'a self, _: &'a Job<App>) -> BoxFuture<'a, Result<Found, Retry>> {
        Box::pin(async { Err(Retry::because(LASTS)) })
    }

    fn settle_reversal<'a>(&'a self, _: &'a mut Cx<App>, _: Found) -> BoxFuture<'a, Result<(), Retry>> {
        Box::pin(async { Err(Retry::because(LASTS)) })
    }
}

/// No undo makes such a job; it would be a row that the engine has not written.
const LASTS: &str = "a call after the pivot is not taken back";

/// A job to be committed with its intent, or turned round by an undo.
#[derive(Debug, Clone)]
pub(crate) struct NewJob {
    pub(crate) key: Key,
    pub(crate) message_id: MessageId,
    pub(crate) undo: bool,
    /// `None`: what the job has already.
    pub(crate) data: Option<serde_json::Value>,
    /// What it is a part of, for traces.
    pub(crate) traceparent: Option<String>,
}

/// Writes new jobs and turns round those that are under way. A job's epochs count up from the microsecond it was made, so
/// that none is used twice: a worker left over from a call that others have ended meanwhile must not pass for the worker
/// of the undo.
pub(crate) fn insert(unit: UnitId, jobs: &[NewJob]) -> Option<Statement<'_>> {
    if jobs.is_empty() {
        return None;
    }
    let sagas: Vec<Uuid> = jobs.iter().map(|j| j.key.0.as_uuid()).collect();
    let steps: Vec<&str> = jobs.iter().map(|j| j.key.1.as_str()).collect();
    let messages: Vec<Uuid> = jobs.iter().map(|j| j.message_id.as_uuid()).collect();
    let phases: Vec<&str> = jobs.iter().map(|j| if j.undo { "undo" } else { "call" }).collect();
    let data: Vec<Option<&serde_json::Value>> = jobs.iter().map(|j| j.data.as_ref()).collect();
    let statement = Statement::new(
        "insert into saga.jobs as j (saga_id, step, message_id, phase, data, epoch, traceparent)
         select u.saga_id, u.step, u.message_id, u.phase, coalesce(u.data, '{}'),
                (extract(epoch from clock_timestamp()) * 1000000)::bigint, u.traceparent
         from unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::jsonb[], $7::text[])
              u(saga_id, step, message_id, phase, data, traceparent)
         where saga.must_be($6::uuid)
         order by u.saga_id, u.step
         on conflict (saga_id, step) do update
         set phase = excluded.phase, epoch = j.epoch + 1, attempts = 0, held = 0, last_error = null,
             call_error = case when j.phase = 'call' then j.last_error else j.call_error end, leased_until = null,
             due_at = clock_timestamp(), traceparent = excluded.traceparent,
             data = case when excluded.data = '{}' then j.data else excluded.data end",
    );
    let traces: Vec<Option<&str>> = jobs.iter().map(|j| j.traceparent.as_deref()).collect();
    let statement = statement.with(sagas).with(steps).with(messages).with(phases).with(data);
    Some(statement.with(unit.as_uuid()).with(traces))
}

/// The open jobs of a step and phase.
pub(crate) struct Open {
    pub(crate) step: String,
    pub(crate) phase: String,
    pub(crate) jobs: i64,
    /// Those that were tried without coming to an end: perhaps the call got through. One that was only held back was not made.
    pub(crate) unknown: i64,
    pub(crate) oldest_seconds: f64,
}

/// What is open, by step and phase.
pub(crate) async fn open(db: &Db) -> Result<Vec<Open>, DbError> {
    let rows = db
        .query(
            "select step, phase, count(*), count(*) filter (where last_error is not null and attempts > held),
                    extract(epoch from clock_timestamp() - min(created_at))::float8
             from saga.jobs group by step, phase",
            &[],
        )
        .await?;
    let open = |row: &Row| Open {
        step: row.get(0),
        phase: row.get(1),
        jobs: row.get(2),
        unknown: row.get(3),
        oldest_seconds: row.get(4),
    };
    Ok(rows.iter().map(open).collect())
}

pub(crate) fn finish(unit: UnitId, keys: &[Key]) -> Option<Statement<'_>> {
    if keys.is_empty() {
        return None;
    }
    let sagas: Vec<Uuid> = keys.iter().map(|key| key.0.as_uuid()).collect();
    let steps: Vec<&str> = keys.iter().map(|key| key.1.as_str()).collect();
    let sql = "delete from saga.jobs j using (
                   select f.saga_id, f.step from saga.jobs f
                   join unnest($1::uuid[], $2::text[]) u(saga_id, step) on f.saga_id = u.saga_id and f.step = u.step
                   order by f.saga_id, f.step for update of f
               ) l where saga.must_be($3) and j.saga_id = l.saga_id and j.step = l.step";
    Some(Statement::new(sql).with(sagas).with(steps).with(unit.as_uuid()))
}
