//! The fate of a batch of deliveries (R8): committed, waiting or parked, each event for itself.
//!
//! First deliveries run as one batch, uncounted. Redelivered ones are marked suspect first, and run alone once they have
//! been suspect before, each attempt committed before its handler starts: what kills the process counts too.

use super::fate::{
    Redrive, SUSPECT_AGAIN, dead_letters, give_up, park, patience, postpone, suspect_entry, waiting_key,
};
use super::{forward, undo};
use crate::db::{DbError, Trouble, trouble};
use crate::engine::Engine;
use crate::envelope::Envelope;
use crate::error::chain;
use crate::faults::{self, Fault, Subject};
use crate::retry::Decision;
use crate::step::StepError;
use crate::topology::QueueRole;
use crate::waiting::{self, Entry, Suspicion, WaitingKey};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// One event on its way to a verdict.
#[derive(Debug, Clone)]
pub(crate) struct Inbound {
    pub(crate) envelope: Envelope,
    /// Its row in `saga.waiting`, which goes with the transaction that settles it. Carried, not worked out again: a newer
    /// version of the service may give the message to another step.
    pub(crate) row: Option<WaitingKey>,
}

/// Why a batch came to nothing.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The database is gone: says nothing about the events.
    Gone(String),
    /// Passes by itself: try again at once.
    Passing(String),
    /// An event, or its step, is at fault.
    Own(StepError),
}

impl From<StepError> for Failed {
    fn from(error: StepError) -> Self {
        let text = format!("{error:?}");
        match &error {
            StepError::Retry(retry) => match trouble(retry.source()) {
                Trouble::Gone => Self::Gone(text),
                Trouble::Passing => Self::Passing(text),
                Trouble::Own => Self::Own(error),
            },
            StepError::DeadLetter(_) => Self::Own(error),
        }
    }
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        StepError::from(fault).into()
    }
}

impl From<DbError> for Failed {
    fn from(error: DbError) -> Self {
        StepError::from(error).into()
    }
}

/// What faults are looked for while this message is handled.
pub(super) fn subject(envelope: &Envelope) -> Option<Subject> {
    envelope.saga_id.as_ref().ok().map(|saga_id| (*saga_id, envelope.event_type.clone()))
}

const DATABASE_WAIT: Duration = Duration::from_millis(300);

/// Settles every event; `false` if the service stops before that was possible.
pub(crate) async fn settle<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    role: QueueRole,
    events: Vec<(Envelope, bool)>,
    stop: &CancellationToken,
) -> bool {
    if role == QueueRole::Parked {
        return until_settled(stop, || dead_letters(engine, &events)).await.is_some();
    }
    // Each stage is tried again by itself: an outage during a later one must not count suspicions again.
    let Some(Sorted { together, alone }) = until_settled(stop, || sort(engine, role, &events)).await else {
        return false;
    };
    if until_settled(stop, || run_together(engine, role, together.clone())).await.is_none() {
        return false;
    }
    for inbound in alone {
        if until_settled(stop, || attempt(engine, role, inbound.clone(), stop)).await.is_none() {
            return false;
        }
    }
    true
}

/// Without its database (or while a fault is injected) the engine consumes nothing and counts nothing: it keeps what it has
/// and tries again. `None` if the service stops before the database is back.
pub(super) async fn until_settled<T, F: Future<Output = Result<T, String>>>(
    stop: &CancellationToken,
    mut attempt: impl FnMut() -> F,
) -> Option<T> {
    loop {
        match attempt().await {
            Ok(done) => return Some(done),
            Err(why) => tracing::warn!(error = %why, "cannot be settled now; trying again"),
        }
        tokio::select! { () = tokio::time::sleep(DATABASE_WAIT) => {}, () = stop.cancelled() => return None }
    }
}

/// A batch of deliveries by how they have to be run.
struct Sorted {
    together: Vec<Inbound>,
    /// Those that were suspect before.
    alone: Vec<Inbound>,
}

/// Marks what was delivered again as suspect, once. `Err`: the database is gone.
async fn sort<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    role: QueueRole,
    events: &[(Envelope, bool)],
) -> Result<Sorted, String> {
    let (redelivered, fresh): (Vec<_>, Vec<_>) = events.iter().partition(|(_, redelivered)| *redelivered);
    let inbound = |envelope: &Envelope, row| Inbound { envelope: envelope.clone(), row };
    let (mut together, mut alone) = (Vec::with_capacity(events.len()), Vec::new());
    // Another copy of what waits or is parked meets its row and is settled.
    let keys: Vec<WaitingKey> = fresh.iter().map(|(envelope, _)| waiting_key(engine, role, envelope)).collect();
    let held = waiting::held(&engine.db, &keys).await.map_err(|e| chain(&e))?;
    for ((envelope, _), key) in fresh.into_iter().zip(keys) {
        match held.get(&key) {
            None => together.push(inbound(envelope, None)),
            Some(Suspicion::Again) => alone.push(inbound(envelope, Some(key))),
            Some(_) => {}
        }
    }
    if !redelivered.is_empty() {
        faults::BEFORE_SUSPECT.reached().await.map_err(|fault| fault.to_string())?;
        let entries: Vec<Entry> = redelivered.iter().map(|(e, _)| suspect_entry(engine, role, e)).collect();
        let found = waiting::suspect(&engine.db, &entries).await.map_err(|e| chain(&e))?;
        faults::AFTER_SUSPECT.reached().await.map_err(|fault| fault.to_string())?;
        for entry in entries {
            let key = (entry.envelope.message_id, entry.step);
            let suspicion = found.get(&key);
            let inbound = Inbound { envelope: entry.envelope, row: Some(key.clone()) };
            match suspicion {
                Some(Suspicion::New) => together.push(inbound),
                Some(Suspicion::Again) => alone.push(inbound),
                Some(Suspicion::Settled) | None => {}
            }
        }
    }
    Ok(Sorted { together, alone })
}

/// Runs events as one batch; if it fails, one by one, so that only the guilty suffer.
async fn run_together<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    role: QueueRole,
    batch: Vec<Inbound>,
) -> Result<(), String> {
    if batch.is_empty() {
        return Ok(());
    }
    match run(engine, role, batch.clone()).await {
        Ok(()) => return Ok(()),
        Err(Failed::Gone(why)) => return Err(why),
        Err(Failed::Passing(why)) => tracing::debug!(error = why, "a batch is run one by one"),
        Err(Failed::Own(error)) => tracing::debug!(error = ?error, "a batch is run one by one"),
    }
    metrics::counter!("saga_batches_split_total").increment(1);
    for inbound in batch {
        run_alone(engine, role, inbound, 1).await?;
    }
    Ok(())
}

/// Counted before the handler starts: what ends the process has counted. `Err`: the database is gone, so it does not count.
async fn attempt<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    role: QueueRole,
    inbound: Inbound,
    stop: &CancellationToken,
) -> Result<(), String> {
    let key = waiting_key(engine, role, &inbound.envelope);
    let attempts = waiting::count_attempt(&engine.db, &key, SUSPECT_AGAIN).await.map_err(|e| chain(&e))?;
    let ended = run_suspect(engine, role, inbound, attempts).await;
    if ended.is_err() {
        take_back(engine, &key, attempts, stop).await;
    }
    ended
}

/// Takes an attempt back that says nothing about the message: a database that goes away again and again must not get it
/// parked. A stop does not wait for the database: it tries once more while there is time to drain. If it is not back by then,
/// or the process is killed during the outage, the attempt stays counted, as one that ended the process: harmless, unless
/// all the attempts that a suspect has end so, before the pivot; then it is parked for a person.
pub(super) async fn take_back<App>(engine: &Engine<App>, key: &WaitingKey, counted: u32, stop: &CancellationToken) {
    let uncount = async || waiting::uncount_attempt(&engine.db, key, counted).await.map_err(|e| chain(&e));
    if until_settled(stop, uncount).await.is_some() {
        return;
    }
    let why = match tokio::time::timeout(engine.settings.drain() / 2, uncount()).await {
        Ok(Ok(_)) => return,
        Ok(Err(why)) => why,
        Err(_) => "the database does not answer".to_owned(),
    };
    tracing::warn!(message.id = %key.0, error = %why, "an attempt that the database has ended stays counted");
}

/// A message that was suspect before: it may have ended the process.
async fn run_suspect<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    role: QueueRole,
    inbound: Inbound,
    attempts: u32,
) -> Result<(), String> {
    faults::AFTER_COUNT.reached().await.map_err(|fault| fault.to_string())?;
    if attempts > engine.retry.fatal_attempts {
        let reason = format!("the service ended {} times while handling this message", engine.retry.fatal_attempts);
        return give_up(engine, role, &inbound, attempts, reason).await;
    }
    run_alone(engine, role, inbound, 1).await
}

/// Runs one event; what passes by itself is tried again in place; what fails otherwise waits or is parked.
/// `attempts` counts this one.
pub(super) async fn run_alone<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    role: QueueRole,
    inbound: Inbound,
    attempts: u32,
) -> Result<(), String> {
    let mut in_place = 0;
    let error = loop {
        match run(engine, role, vec![inbound.clone()]).await {
            Ok(()) => return Ok(()),
            Err(Failed::Gone(why)) => return Err(why),
            Err(Failed::Passing(why)) => {
                in_place += 1;
                if in_place > engine.retry.in_place {
                    break StepError::Retry(crate::step::Retry::because(why));
                }
            }
            Err(Failed::Own(error)) => break error,
        }
    };
    match error {
        StepError::DeadLetter(reason) => give_up(engine, role, &inbound, attempts, reason).await,
        StepError::Retry(retry) => {
            let patience = patience(engine, role, &inbound.envelope);
            match engine.retry.after(attempts, patience, rand::random()) {
                Decision::Wait(wait) => postpone(engine, role, &inbound, format!("{retry:?}"), wait).await,
                Decision::Park => park(engine, role, &inbound, format!("{retry:?}"), Redrive::Allowed).await,
            }
        }
    }
}

/// One unit of work over these events, in a task of its own: neither a stop nor a panic drops it half-way. It ends in
/// time: a step that hangs must not hold its queue.
async fn run<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    role: QueueRole,
    batch: Vec<Inbound>,
) -> Result<(), Failed> {
    let (shared, lane) = (Arc::clone(engine), faults::lane());
    let mut unit = tokio::spawn(async move {
        let about: Vec<Subject> = batch.iter().filter_map(|inbound| subject(&inbound.envelope)).collect();
        let work = async {
            faults::BEFORE_BEGIN.reached().await?;
            match role {
                QueueRole::Failures => undo::run(&shared, batch).await,
                _ => forward::run(&shared, batch).await,
            }
        };
        shared.faults().scope_in(lane, || about, work).await
    });
    let own = |why: String| Err(Failed::Own(StepError::Retry(crate::step::Retry::because(why))));
    let database_answers = async || engine.db.execute("select 1", &[]).await.is_ok();
    match tokio::time::timeout(engine.settings.step_limit(), &mut unit).await {
        // The connection was lost, but the database is there: either it is back, or the event is at fault.
        Ok(Ok(Err(Failed::Gone(why)))) if database_answers().await => Err(Failed::Passing(why)),
        Ok(Ok(ended)) => ended,
        Ok(Err(panic)) => own(format!("the step panicked: {panic}")),
        Err(_) => {
            // Its transaction ends with it.
            unit.abort();
            let late = format!("the step did not end within {} ms", engine.settings.step_limit_ms);
            // A database that has fallen silent holds every step; that says nothing about the events.
            if database_answers().await { own(late) } else { Err(Failed::Gone(late)) }
        }
    }
}
