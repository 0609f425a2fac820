//! The runner: leases jobs, calls outside of any transaction, settles in one.

use super::{Found, Job, Phase, Worker};
use crate::action::Ended;
use crate::answer::{ANSWER, COMPENSATE};
use crate::consumer::undo::answer;
use crate::db::DbError;
use crate::engine::Engine;
use crate::error::chain;
use crate::faults::{self, Lane};
use crate::guard::{self, Expected, Key, Settled, Verdict, Words};
use crate::step::{Cx, Retry, StepError};
use crate::telemetry::meters;
use crate::telemetry::trace::{Cause, Span, span};
use crate::unit::{Ends, Saying, Unit};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

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
             returning j.saga_id, j.step, j.message_id, j.phase, j.epoch, j.attempts, j.held, j.call_error, j.data,
                       j.traceparent",
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
        held: row.get(6),
        call_error: row.get(7),
        data: row.get(8),
        traceparent: row.get(9),
    };
    Ok(rows.iter().map(job).collect())
}

/// Calls, then settles; what fails is due again later.
pub(crate) async fn run_one<App: Send + Sync + 'static>(engine: Arc<Engine<App>>, job: Job<App>) {
    let Some(worker) = engine.participant.step(&job.step).and_then(|step| step.worker.clone()) else {
        tracing::error!(saga.id = %job.saga_id, step = %job.step, "there is a job, but its step calls nobody");
        return;
    };
    let event = match job.phase {
        Phase::Call => engine.participant.step(&job.step).and_then(|step| step.on).map(|on| on.to_string()),
        Phase::Undo => None,
    };
    // The undo of a job stands under what it will say.
    let about = || vec![(job.saga_id, event.unwrap_or_else(|| ANSWER.to_owned()))];
    engine.faults().scope_in(Some(Lane::Calls), about, attempt(&engine, &*worker, &job)).await;
}

/// One attempt, and another if a fault has duplicated it.
async fn attempt<App: Send + Sync + 'static>(engine: &Arc<Engine<App>>, worker: &dyn Worker<App>, job: &Job<App>) {
    call_and_settle(engine, worker, job).await;
    if !engine.faults().take_duplicates(Lane::Calls, &[job.saga_id], |saga_id| Some(*saga_id)).is_empty() {
        call_and_settle(engine, worker, job).await;
    }
}

async fn call_and_settle<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    worker: &dyn Worker<App>,
    job: &Job<App>,
) {
    let call = async {
        faults::AFTER_LEASE.reached().await?;
        let found = match job.phase {
            Phase::Call => worker.call(job).await,
            Phase::Undo => worker.reverse(job).await,
        }?;
        faults::AFTER_CALL.reached().await?;
        Ok::<_, Retry>(found)
    };
    let cause = engine.tracer().cause(job.traceparent.as_deref());
    let (began, since) = (Instant::now(), SystemTime::now());
    let called = tokio::select! {
        called = tokio::time::timeout(CALL_LIMIT, call) => called,
        () = until_taken_over(engine, job) => return,
    };
    if !matches!(&called, Ok(Err(retry)) if retry.held().is_some()) {
        meters::call_duration(&job.step, job.phase.as_str()).record(began.elapsed());
    }
    let outcome = match called {
        Ok(Ok(found)) => settle(engine, worker, job, found, &cause).await,
        Ok(Err(retry)) => Err(retry.into()),
        Err(_) => Err(Retry::because("the call did not end in time: its outcome is unknown").into()),
    };
    if let Some(reaction) = cause.recorded() {
        let (on, attempt) = ((job.step.as_str(), job.phase.as_str()), job.attempt());
        let span = span::call(reaction, job.saga_id, on, attempt, since);
        let failed = outcome.as_ref().err().map(|error| format!("{error:?}"));
        engine.tracer().record(Span { ended: SystemTime::now(), ..span.failed(failed) });
    }
    match outcome {
        Err(StepError::Retry(retry)) if let Some(wait) = retry.held() => hold(engine, job, wait, &retry).await,
        Err(error) => postpone(engine, job, &format!("{error:?}")).await,
        Ok(()) => {}
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
    let attempt = u32::try_from(job.attempts - job.held).unwrap_or(1);
    let wait = match engine.retry.after(attempt, crate::retry::Patience::Endless, rand::random()) {
        crate::retry::Decision::Wait(wait) => wait,
        crate::retry::Decision::Park => engine.retry.longest_wait,
    };
    tracing::warn!(saga.id = %job.saga_id, step = %job.step, attempt, error = why, "a call outside is tried again");
    meters::call_retries(&job.step).increment(1);
    give_back(engine, job, wait, why, 0).await;
}

/// Nobody was asked, because it would have been in vain: the job is due when that may be otherwise.
async fn hold<App: Send + Sync + 'static>(engine: &Engine<App>, job: &Job<App>, wait: Duration, why: &Retry) {
    let wait = wait.min(engine.retry.longest_wait);
    tracing::debug!(saga.id = %job.saga_id, step = %job.step, ?wait, why = ?why, "a call outside is held back");
    meters::call_holds(&job.step).increment(1);
    give_back(engine, job, wait, &format!("{why:?}"), 1).await;
}

/// Ends the lease; the job is due again after the wait.
async fn give_back<App: Send + Sync + 'static>(
    engine: &Engine<App>,
    job: &Job<App>,
    wait: Duration,
    why: &str,
    held: i32,
) {
    let postponed = engine
        .db
        .execute(
            "update saga.jobs set leased_until = null, last_error = $4, held = held + $6,
                                  due_at = clock_timestamp() + $5::float8 * interval '1 ms'
             where saga_id = $1 and step = $2 and epoch = $3",
            &[&job.saga_id.as_uuid(), &job.step, &job.epoch, &why, &(wait.as_secs_f64() * 1_000.0), &held],
        )
        .await;
    if let Err(error) = postponed {
        tracing::warn!(saga.id = %job.saga_id, error = %chain(&error), "the job falls due when its lease runs out");
    }
}

/// The last part: one transaction. Dropped half-way (a stop that took too long), it closes its connection: the server rolls
/// back, and the job is taken up again.
async fn settle<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    worker: &dyn Worker<App>,
    job: &Job<App>,
    found: Found,
    cause: &Cause,
) -> Result<(), StepError> {
    let mut ends = Ends { finished_jobs: vec![job.key()], ..Ends::default() };
    let tx = engine.db.begin_unit(ends.unit).await?;
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
    faults::BEFORE_SETTLE.reached().await?;
    let mut cx = Cx::new(tx, Arc::clone(&engine.participant.app));
    cx.saga_id = job.saga_id;
    cx.message_id = job.message_id;
    cx.cause = cause.clone();
    match job.phase {
        Phase::Call => {
            let ended = worker.settle(&mut cx, found).await?;
            if matches!(ended, Ended::Deferred(_)) {
                // Its job must not end with this transaction.
                return Err(Retry::because("the call is not settled: it is made again").into());
            }
            let expected = Expected::silent(expected);
            let verdict =
                engine.end_step(&mut ends, job.key(), &expected, ended, job.message_id, cause, Saying::Once)?;
            ends.tally.verdict(&job.step, verdict);
        }
        Phase::Undo => {
            worker.settle_reversal(&mut cx, found).await?;
            let remark = cx.remark.take();
            ends.tally.verdict(&job.step, Verdict::Undone);
            ends.verdicts.push(Settled {
                key: job.key(),
                was: expected,
                verdict: Verdict::Undone,
                words: Words::Kept,
                detail: None,
            });
            // The answer goes out with the last undo of the saga.
            let others = guard::count(&cx.tx, job.saga_id, Verdict::Undoing).await? - 2;
            if others <= 0 && guards.get(&compensate).is_some_and(|guard| guard.verdict == Verdict::Undoing) {
                let outcome = crate::answer::CompensationOutcome::Undone;
                answer(engine, &mut ends, job.saga_id, Verdict::Undoing, outcome, (job.message_id, cause), remark)?;
            }
        }
    }
    ends.take(&mut cx);
    Unit::with(cx.tx, ends).commit(&engine.outbox).await?;
    Ok(faults::AFTER_SETTLE.reached().await?)
}
