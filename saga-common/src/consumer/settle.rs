//! The fate of a batch of deliveries (R8): committed, waiting or parked, each event for itself.
//!
//! First deliveries run as one batch, uncounted. Redelivered ones are marked suspect first, and run alone once they have
//! been suspect before, each attempt committed before its handler starts: what kills the process counts too.

use super::alone::{attempt, run_alone};
use super::fate::{dead_letters, suspect_entry, waiting_key};
use super::{forward, undo};
use crate::db::{DbError, Trouble, trouble};
use crate::engine::Engine;
use crate::envelope::Envelope;
use crate::error::chain;
use crate::faults::{self, Fault, Subject};
use crate::step::StepError;
use crate::topology::QueueRole;
use crate::waiting::{self, Entry, Suspicion, WaitingKey};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

/// An event as it came, and whether the broker says that it was delivered before.
pub(crate) type Delivery = (Arc<Envelope>, bool);

/// One event on its way to a verdict.
#[derive(Debug, Clone)]
pub(crate) struct Inbound {
    /// Shared: a batch is handed on many times, and may be tried again.
    pub(crate) envelope: Arc<Envelope>,
    /// Its row in `saga.waiting`, which goes with the transaction that settles it. Carried, not worked out again: a newer
    /// version of the service may give the message to another step.
    pub(crate) row: Option<WaitingKey>,
    /// Which attempt this is, and when it was taken up; for traces.
    pub(crate) attempt: u32,
    pub(crate) since: SystemTime,
}

impl Inbound {
    pub(crate) fn new(envelope: Arc<Envelope>, row: Option<WaitingKey>) -> Self {
        Self { envelope, row, attempt: 1, since: SystemTime::now() }
    }
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
    /// Copies of these messages wait or are parked: nothing was done.
    Held(BTreeMap<WaitingKey, Suspicion>),
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
    events: Vec<Delivery>,
    stop: &CancellationToken,
) -> bool {
    if role == QueueRole::Parked {
        return until_settled(stop, || dead_letters(engine, &events)).await.is_some();
    }
    // Each stage is tried again by itself: an outage during a later one must not count suspicions again.
    let Some(Sorted { together, alone }) = until_settled(stop, || sort(engine, role, &events)).await else {
        return false;
    };
    let Some(met) = until_settled(stop, || run_together(engine, role, together.clone())).await else {
        return false;
    };
    for inbound in alone.into_iter().chain(met) {
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
    events: &[Delivery],
) -> Result<Sorted, String> {
    let (redelivered, fresh): (Vec<_>, Vec<_>) = events.iter().partition(|(_, redelivered)| *redelivered);
    let inbound = |envelope: &Arc<Envelope>, row| Inbound::new(Arc::clone(envelope), row);
    let mut together: Vec<Inbound> = fresh.into_iter().map(|(envelope, _)| inbound(envelope, None)).collect();
    let mut alone = Vec::new();
    if !redelivered.is_empty() {
        faults::BEFORE_SUSPECT.reached().await.map_err(|fault| fault.to_string())?;
        let entries: Vec<Entry> = redelivered.iter().map(|(e, _)| suspect_entry(engine, role, e)).collect();
        let found = waiting::suspect(&engine.db, &entries).await.map_err(|e| chain(&e))?;
        faults::AFTER_SUSPECT.reached().await.map_err(|fault| fault.to_string())?;
        for entry in entries {
            let key = (entry.envelope.message_id, entry.step);
            let suspicion = found.get(&key);
            let inbound = Inbound::new(entry.envelope, Some(key.clone()));
            match suspicion {
                Some(Suspicion::New) => together.push(inbound),
                Some(Suspicion::Again) => alone.push(inbound),
                Some(Suspicion::Settled) => engine.meters().step(&key.1).duplicates.increment(1),
                None => {}
            }
        }
    }
    Ok(Sorted { together, alone })
}

/// Runs events as one batch; if it fails, one by one, so that only the guilty suffer. Returns those of which a suspect copy
/// was met: they have to be run alone.
async fn run_together<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    role: QueueRole,
    mut batch: Vec<Inbound>,
) -> Result<Vec<Inbound>, String> {
    let mut suspect = Vec::new();
    while !batch.is_empty() {
        match run(engine, role, batch.clone()).await {
            Ok(()) => return Ok(suspect),
            Err(Failed::Gone(why)) => return Err(why),
            Err(Failed::Held(held)) => {
                batch = without(engine, role, batch, &held, &mut suspect);
                continue;
            }
            Err(Failed::Passing(why)) => tracing::debug!(error = why, "a batch is run one by one"),
            Err(Failed::Own(error)) => tracing::debug!(error = ?error, "a batch is run one by one"),
        }
        engine.meters().batches_split.increment(1);
        for inbound in std::mem::take(&mut batch) {
            run_alone(engine, role, inbound, 1).await?;
        }
    }
    Ok(suspect)
}

/// The batch without those messages of which a copy has a row: it waits or is parked, so this copy is settled, or it is
/// suspect.
fn without<App: Send + Sync + 'static>(
    engine: &Engine<App>,
    role: QueueRole,
    batch: Vec<Inbound>,
    held: &BTreeMap<WaitingKey, Suspicion>,
    suspect: &mut Vec<Inbound>,
) -> Vec<Inbound> {
    let mut rest = Vec::with_capacity(batch.len());
    for inbound in batch {
        let key = waiting_key(engine, role, &inbound.envelope);
        match held.get(&key).filter(|_| inbound.row.is_none()) {
            None => rest.push(inbound),
            Some(Suspicion::Again) => suspect.push(Inbound { row: Some(key), ..inbound }),
            Some(_) => engine.meters().step(&key.1).duplicates.increment(1),
        }
    }
    rest
}

/// One unit of work over these events, in a task of its own: neither a stop nor a panic drops it half-way. It ends in
/// time: a step that hangs must not hold its queue.
pub(super) async fn run<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    role: QueueRole,
    batch: Vec<Inbound>,
) -> Result<(), Failed> {
    let (shared, lane) = (Arc::clone(engine), faults::lane());
    let mut unit = tokio::spawn(async move {
        let about = batch.iter().map(|inbound| Arc::clone(&inbound.envelope)).collect::<Vec<_>>();
        let about = || about.iter().filter_map(|envelope| subject(envelope)).collect();
        let work = async {
            faults::BEFORE_BEGIN.reached().await?;
            match role {
                QueueRole::Failures => undo::run(&shared, batch).await,
                _ => forward::run(&shared, batch).await,
            }
        };
        shared.faults().scope_in(lane, about, work).await
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
