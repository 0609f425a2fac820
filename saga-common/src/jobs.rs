//! R3, calls outside of the database: intent, call, settle. All SQL on `saga.jobs`.
//!
//! The action commits the verdict `intent` together with a durable job and its message is acked. The runner leases the
//! job, calls outside of any transaction, and settles in one: verdict, business rows and what is said, if the guard
//! still says `intent` and nobody else has taken the job since. An undo that comes in between turns the job round.

use crate::action::{BoxFuture, Ended};
use crate::answer::COMPENSATE;
use crate::consumer::undo::answer;
use crate::db::{Db, DbError, Tx};
use crate::engine::Engine;
use crate::error::chain;
use crate::event::Said;
use crate::guard::{self, Key, Settled, Verdict};
use crate::ids::{MessageId, SagaId};
use crate::step::{Cx, Retry, StepError, StepResult};
use crate::unit::{Ends, Unit};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// The calls of a step that needs the outside. `call` and `reverse` run in no transaction and may run again after a
/// crash or an unclear answer, so they first find out what became of the time before.
pub trait External<App>: Send + Sync + 'static {
    /// What the step says.
    type Says: Said;
    /// What it refuses with.
    type Refuses: Said;
    /// What the call found out, for `settle`.
    type Called: Send + Sync + 'static;
    /// What reversing found out, for `settle_reversal`.
    type Reversed: Send + Sync + 'static;

    /// Makes the outside do it, once, whatever happened before. An unclear answer is an error: unknown, not failed.
    fn call(&self, job: &Job<App>) -> impl Future<Output = Result<Self::Called, Retry>> + Send;

    /// Ends the step in a transaction. [`Outcome::Defer`](crate::Outcome::Defer) ends nothing: as after an error, the
    /// call is made again later.
    fn settle(
        &self,
        cx: &mut Cx<App>,
        called: Self::Called,
    ) -> impl Future<Output = StepResult<Self::Says, Self::Refuses>> + Send;

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
    data: serde_json::Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Call,
    Undo,
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

pub(crate) struct ExternalWorker<W>(pub(crate) W);

fn found<T: 'static>(found: Found) -> Result<T, Retry> {
    found.downcast::<T>().map(|found| *found).map_err(|_| Retry::because("a job was settled by another worker's code"))
}

impl<App: Send + Sync + 'static, W: External<App>> Worker<App> for ExternalWorker<W> {
    fn call<'a>(&'a self, job: &'a Job<App>) -> BoxFuture<'a, Result<Found, Retry>> {
        Box::pin(async { Ok(Box::new(self.0.call(job).await?) as Found) })
    }

    fn settle<'a>(&'a self, cx: &'a mut Cx<App>, called: Found) -> BoxFuture<'a, Result<Ended, StepError>> {
        Box::pin(async { Ended::of(self.0.settle(cx, found(called)?).await.map_err(Into::into)?) })
    }

    fn reverse<'a>(&'a self, job: &'a Job<App>) -> BoxFuture<'a, Result<Found, Retry>> {
        Box::pin(async { Ok(Box::new(self.0.reverse(job).await?) as Found) })
    }

    fn settle_reversal<'a>(&'a self, cx: &'a mut Cx<App>, reversed: Found) -> BoxFuture<'a, Result<(), Retry>> {
        Box::pin(async { self.0.settle_reversal(cx, found(reversed)?).await })
    }
}

/// A job to be committed with its intent, or turned round by an undo.
#[derive(Debug, Clone)]
pub(crate) struct NewJob {
    pub(crate) key: Key,
    pub(crate) message_id: MessageId,
    pub(crate) undo: bool,
    /// `None`: what the job has already.
    pub(crate) data: Option<serde_json::Value>,
}

/// Writes new jobs and turns round those that are under way. A job's epochs count up from the microsecond it was made, so
/// that none is used twice: a worker left over from a call that others have ended meanwhile must not pass for the worker
/// of the undo.
pub(crate) async fn insert(tx: &Tx, jobs: &[NewJob]) -> Result<(), DbError> {
    if jobs.is_empty() {
        return Ok(());
    }
    let sagas: Vec<Uuid> = jobs.iter().map(|j| j.key.0.as_uuid()).collect();
    let steps: Vec<&str> = jobs.iter().map(|j| j.key.1.as_str()).collect();
    let messages: Vec<Uuid> = jobs.iter().map(|j| j.message_id.as_uuid()).collect();
    let phases: Vec<&str> = jobs.iter().map(|j| if j.undo { "undo" } else { "call" }).collect();
    let data: Vec<Option<&serde_json::Value>> = jobs.iter().map(|j| j.data.as_ref()).collect();
    tx.execute(
        "insert into saga.jobs as j (saga_id, step, message_id, phase, data, epoch)
         select u.saga_id, u.step, u.message_id, u.phase, coalesce(u.data, '{}'),
                (extract(epoch from clock_timestamp()) * 1000000)::bigint
         from unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::jsonb[]) u(saga_id, step, message_id, phase, data)
         order by u.saga_id, u.step
         on conflict (saga_id, step) do update
         set phase = excluded.phase, epoch = j.epoch + 1, attempts = 0, last_error = null, leased_until = null,
             due_at = clock_timestamp(),
             data = case when excluded.data = '{}' then j.data else excluded.data end",
        &[&sagas, &steps, &messages, &phases, &data],
    )
    .await?;
    Ok(())
}

pub(crate) async fn finish(tx: &Tx, keys: &[Key]) -> Result<(), DbError> {
    for key in keys {
        tx.execute("delete from saga.jobs where saga_id = $1 and step = $2", &[&key.0.as_uuid(), &key.1]).await?;
    }
    Ok(())
}

/// How soon somebody else takes up the job of a process that has died in a call.
const LEASE: Duration = Duration::from_secs(5);
const RENEW_EVERY: Duration = Duration::from_millis(1_500);
const CALL_LIMIT: Duration = Duration::from_secs(25);
const LOOK_EVERY: Duration = Duration::from_millis(250);
pub(crate) const CALLS_AT_ONCE: usize = 32;

/// Leases and runs jobs, as soon as one is committed here or falls due.
pub(crate) async fn run<App: Send + Sync + 'static>(engine: Arc<Engine<App>>, done: CancellationToken) {
    if !engine.participant.steps.iter().any(|step| step.worker.is_some()) {
        return;
    }
    let running = TaskTracker::new();
    loop {
        tokio::select! {
            () = engine.new_jobs.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = done.cancelled() => break,
        }
        let room = CALLS_AT_ONCE.saturating_sub(running.len());
        match lease(&engine, room).await {
            Ok(jobs) => {
                for job in jobs {
                    running.spawn(run_one(Arc::clone(&engine), job));
                }
            }
            Err(error) => tracing::warn!(error = %chain(&error), "jobs cannot be leased"),
        }
    }
    running.close();
    // A call that does not end in time is taken up again after its lease, by whoever lives then.
    let _ = tokio::time::timeout(engine.settings.drain(), running.wait()).await;
}

/// Takes jobs that are due, under a new epoch each.
pub(crate) async fn lease<App: Send + Sync + 'static>(
    engine: &Engine<App>,
    room: usize,
) -> Result<Vec<Job<App>>, DbError> {
    if room == 0 {
        return Ok(Vec::new());
    }
    let rows = engine
        .db
        .query(
            "update saga.jobs j
             set epoch = j.epoch + 1, attempts = j.attempts + 1,
                 leased_until = clock_timestamp() + $2::float8 * interval '1 ms'
             from (select saga_id, step from saga.jobs
                   where due_at <= clock_timestamp() and (leased_until is null or leased_until < clock_timestamp())
                   order by due_at limit $1 for update skip locked) d
             where j.saga_id = d.saga_id and j.step = d.step
             returning j.saga_id, j.step, j.message_id, j.phase, j.epoch, j.attempts, j.data",
            &[&(room as i64), &(LEASE.as_secs_f64() * 1_000.0)],
        )
        .await?;
    let job = |row: &tokio_postgres::Row| Job {
        app: Arc::clone(&engine.participant.app),
        db: engine.db.clone(),
        saga_id: row.get::<_, Uuid>(0).into(),
        step: row.get(1),
        message_id: row.get::<_, Uuid>(2).into(),
        phase: if row.get::<_, &str>(3) == "undo" { Phase::Undo } else { Phase::Call },
        epoch: row.get(4),
        attempts: row.get(5),
        data: row.get(6),
    };
    Ok(rows.iter().map(job).collect())
}

/// Calls, then settles; what fails is due again later.
pub(crate) async fn run_one<App: Send + Sync + 'static>(engine: Arc<Engine<App>>, job: Job<App>) {
    let Some(worker) = engine.participant.step(&job.step).and_then(|step| step.worker.clone()) else {
        tracing::error!(saga.id = %job.saga_id, step = %job.step, "there is a job, but its step calls nobody");
        return;
    };
    let call = async {
        match job.phase {
            Phase::Call => worker.call(&job).await,
            Phase::Undo => worker.reverse(&job).await,
        }
    };
    let called = tokio::select! {
        called = tokio::time::timeout(CALL_LIMIT, call) => called,
        () = until_taken_over(&engine, &job) => return,
    };
    let outcome = match called {
        Ok(Ok(found)) => settle(&engine, &*worker, &job, found).await,
        Ok(Err(retry)) => Err(retry.into()),
        Err(_) => Err(Retry::because("the call did not end in time: its outcome is unknown").into()),
    };
    if let Err(error) = outcome {
        postpone(&engine, &job, &format!("{error:?}")).await;
    }
}

/// Renews the lease while the call is under way. Ends when there is none to renew: an undo or, after a time in which
/// this process or its database stood still, another process has the job now.
async fn until_taken_over<App: Send + Sync + 'static>(engine: &Engine<App>, job: &Job<App>) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let renewed = engine
            .db
            .execute(
                "update saga.jobs set leased_until = clock_timestamp() + $4::float8 * interval '1 ms'
                 where saga_id = $1 and step = $2 and epoch = $3",
                &[&job.saga_id.as_uuid(), &job.step, &job.epoch, &(LEASE.as_secs_f64() * 1_000.0)],
            )
            .await;
        match renewed {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => tracing::warn!(saga.id = %job.saga_id, error = %chain(&error), "a lease cannot be renewed"),
        }
    }
}

async fn postpone<App: Send + Sync + 'static>(engine: &Engine<App>, job: &Job<App>, why: &str) {
    let attempt = u32::try_from(job.attempts).unwrap_or(1);
    let wait = match engine.retry.after(attempt, crate::retry::Patience::Endless, rand::random()) {
        crate::retry::Decision::Wait(wait) => wait,
        crate::retry::Decision::Park => engine.retry.longest_wait,
    };
    tracing::warn!(saga.id = %job.saga_id, step = %job.step, attempt, error = why, "a call outside is tried again");
    metrics::counter!("saga_job_retries_total", "step" => job.step.clone()).increment(1);
    let postponed = engine
        .db
        .execute(
            "update saga.jobs set leased_until = null, last_error = $4,
                                  due_at = clock_timestamp() + $5::float8 * interval '1 ms'
             where saga_id = $1 and step = $2 and epoch = $3",
            &[&job.saga_id.as_uuid(), &job.step, &job.epoch, &why, &(wait.as_secs_f64() * 1_000.0)],
        )
        .await;
    if let Err(error) = postponed {
        tracing::warn!(saga.id = %job.saga_id, error = %chain(&error), "the job falls due when its lease runs out");
    }
}

/// The last part: one transaction, in a task of its own so that nothing can drop it half-way.
async fn settle<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    worker: &dyn Worker<App>,
    job: &Job<App>,
    found: Found,
) -> Result<(), StepError> {
    let tx = engine.db.begin().await?;
    let compensate: Key = (job.saga_id, COMPENSATE.to_owned());
    let guards = guard::lock(&tx, &[job.key(), compensate.clone()].into()).await?;
    let expected = if job.phase == Phase::Call { Verdict::Intent } else { Verdict::Undoing };
    let current = tx
        .query_opt(
            "select 1 from saga.jobs where saga_id = $1 and step = $2 and epoch = $3 for update",
            &[&job.saga_id.as_uuid(), &job.step, &job.epoch],
        )
        .await?;
    if current.is_none() || guards.get(&job.key()).is_none_or(|guard| guard.verdict != expected) {
        // An undo got in between, or another process has settled it: nothing is said.
        tx.rollback().await;
        return Ok(());
    }
    engine.lock_rows(&tx, &[], &[job.saga_id]).await?;
    let mut cx = Cx::new(tx, Arc::clone(&engine.participant.app));
    cx.saga_id = job.saga_id;
    cx.message_id = job.message_id;
    let mut ends = Ends { finished_jobs: vec![job.key()], ..Ends::default() };
    match job.phase {
        Phase::Call => {
            let ended = worker.settle(&mut cx, found).await?;
            if matches!(ended, Ended::Deferred(_)) {
                // Its job must not end with this transaction.
                return Err(Retry::because("the call is not settled: it is made again").into());
            }
            engine.end_step(&mut ends, job.key(), expected, ended, job.message_id, None, false)?;
        }
        Phase::Undo => {
            worker.settle_reversal(&mut cx, found).await?;
            ends.verdicts.push(Settled {
                key: job.key(),
                was: expected,
                verdict: Verdict::Undone,
                said: None,
                detail: None,
            });
            // The answer goes out with the last undo of the saga.
            let others = guard::count(&cx.tx, job.saga_id, Verdict::Undoing).await? - 2;
            if others <= 0 && guards.get(&compensate).is_some_and(|guard| guard.verdict == Verdict::Undoing) {
                let outcome = crate::answer::CompensationOutcome::Undone;
                answer(engine, &mut ends, job.saga_id, Verdict::Undoing, outcome, job.message_id)?;
            }
        }
    }
    ends.announcements.append(&mut cx.announcements);
    ends.withdrawn.append(&mut cx.withdrawn);
    Unit::with(cx.tx, ends).commit(&engine.outbox).await?;
    Ok(())
}
