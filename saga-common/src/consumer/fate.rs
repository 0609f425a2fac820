//! What becomes of an event that could not be run: it waits, or it is parked (R8). All of it is written down before the ack.

use super::settle::{Delivery, Inbound};
use crate::answer::COMPENSATE;
use crate::db::DbError;
use crate::engine::Engine;
use crate::envelope::Envelope;
use crate::error::chain;
use crate::faults;
use crate::participant::StepKind;
use crate::retry::{Decision, Patience};
use crate::telemetry::trace::{Span, span};
use crate::topology::QueueRole;
use crate::waiting::{self, Entry, State, WaitingKey};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// May a person have a parked message tried again?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Redrive {
    Allowed,
    /// No attempt could ever succeed.
    Refused,
}

pub(super) const SUSPECT_AGAIN: Duration = Duration::from_secs(60);

/// What cannot be mended: parked before the pivot; after it and in undos nothing is parked for good, it waits.
pub(super) async fn give_up<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    role: QueueRole,
    inbound: &Inbound,
    attempts: u32,
    reason: String,
) -> Result<(), String> {
    if patience(engine, role, &inbound.envelope) == Patience::Bounded {
        return park(engine, role, inbound, reason, Redrive::Allowed).await;
    }
    match engine.retry.after(attempts, Patience::Endless, rand::random()) {
        Decision::Wait(wait) => postpone(engine, role, inbound, reason, wait).await,
        Decision::Park => park(engine, role, inbound, reason, Redrive::Allowed).await,
    }
}

/// May this message be given up?
pub(super) fn patience<App: Send + Sync + 'static>(
    engine: &Engine<App>,
    role: QueueRole,
    envelope: &Envelope,
) -> Patience {
    let after_pivot =
        engine.participant.reacting_to(&envelope.event_type).is_some_and(|step| step.kind == StepKind::Retriable);
    if role == QueueRole::Failures || after_pivot { Patience::Endless } else { Patience::Bounded }
}

/// The step part of a message's key in `saga.waiting`: known before the body is.
pub(super) fn waiting_step<App: Send + Sync + 'static>(
    engine: &Engine<App>,
    role: QueueRole,
    envelope: &Envelope,
) -> String {
    if role == QueueRole::Failures {
        return COMPENSATE.to_owned();
    }
    engine.participant.reacting_to(&envelope.event_type).map_or_else(|| "-".to_owned(), |step| step.name.to_owned())
}

/// The key of an event's row in `saga.waiting`.
pub(super) fn waiting_key<App: Send + Sync + 'static>(
    engine: &Engine<App>,
    role: QueueRole,
    envelope: &Envelope,
) -> WaitingKey {
    (envelope.message_id, waiting_step(engine, role, envelope))
}

/// Has another copy of this message a row? Then this one is settled: the row is what is tried again.
pub(super) async fn is_held<App: Send + Sync + 'static>(
    engine: &Engine<App>,
    role: QueueRole,
    inbound: &Inbound,
) -> Result<bool, DbError> {
    let key = waiting_key(engine, role, &inbound.envelope);
    Ok(inbound.row.is_none() && waiting::is_held(&engine.db, &key).await?)
}

fn entry<App: Send + Sync + 'static>(
    engine: &Engine<App>,
    role: QueueRole,
    inbound: &Inbound,
    state: State,
    reason: String,
    due_in: Duration,
) -> Entry {
    let step = match &inbound.row {
        Some((_, step)) => step.clone(),
        None => waiting_step(engine, role, &inbound.envelope),
    };
    Entry { step, queue: role, envelope: Arc::clone(&inbound.envelope), state, reason, redrivable: true, due_in }
}

/// A row for what was delivered again: suspect, and due if nobody settles it.
pub(super) fn suspect_entry<App: Send + Sync + 'static>(
    engine: &Engine<App>,
    role: QueueRole,
    envelope: &Arc<Envelope>,
) -> Entry {
    let reason = "delivered again after a connection or process ended".to_owned();
    let inbound = Inbound::new(Arc::clone(envelope), None);
    entry(engine, role, &inbound, State::Suspect, reason, SUSPECT_AGAIN)
}

pub(super) async fn postpone<App: Send + Sync + 'static>(
    engine: &Engine<App>,
    role: QueueRole,
    inbound: &Inbound,
    reason: String,
    wait: Duration,
) -> Result<(), String> {
    let entry = entry(engine, role, inbound, State::Waiting, reason, wait);
    tracing::warn!(message.id = %inbound.envelope.message_id, saga.id = %saga(&inbound.envelope), step = %entry.step,
        wait_ms = wait.as_millis(), reason = %entry.reason, "waiting");
    engine.meters().step(&entry.step).waited.increment(1);
    trace(engine, role, inbound, &entry);
    faults::BEFORE_WAIT.reached().await.map_err(|fault| fault.to_string())?;
    waiting::put(&engine.db, &[entry]).await.map_err(|e| chain(&e))?;
    faults::AFTER_WAIT.reached().await.map_err(|fault| fault.to_string())
}

pub(super) async fn park<App: Send + Sync + 'static>(
    engine: &Engine<App>,
    role: QueueRole,
    inbound: &Inbound,
    reason: String,
    redrive: Redrive,
) -> Result<(), String> {
    let redrivable = redrive == Redrive::Allowed;
    let entry = Entry { redrivable, ..entry(engine, role, inbound, State::Parked, reason, Duration::ZERO) };
    tracing::error!(message.id = %inbound.envelope.message_id, saga.id = %saga(&inbound.envelope), step = %entry.step,
        reason = %entry.reason, "parked");
    engine.meters().step(&entry.step).parked.increment(1);
    trace(engine, role, inbound, &entry);
    faults::BEFORE_PARK.reached().await.map_err(|fault| fault.to_string())?;
    waiting::put(&engine.db, &[entry]).await.map_err(|e| chain(&e))?;
    faults::AFTER_PARK.reached().await.map_err(|fault| fault.to_string())
}

/// The attempt that came to nothing.
fn trace<App>(engine: &Engine<App>, role: QueueRole, inbound: &Inbound, entry: &Entry)
where
    App: Send + Sync + 'static,
{
    let cause = engine.tracer().cause(inbound.envelope.traceparent.as_deref());
    if let Some(reaction) = cause.recorded() {
        let of = (engine.participant.name.as_str(), role);
        let span = span::process(reaction, &inbound.envelope, of, &entry.step, inbound.attempt, inbound.since);
        let span = span.with("saga.verdict", entry.state.as_str()).failed(Some(entry.reason.clone()));
        engine.tracer().record(Span { ended: SystemTime::now(), ..span });
    }
}

fn saga(envelope: &Envelope) -> String {
    envelope.saga_id.as_ref().map_or_else(|_| "-".to_owned(), ToString::to_string)
}

/// The backstop: what the broker itself gave up becomes parked rows, which are the truth.
pub(super) async fn dead_letters<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    events: &[Delivery],
) -> Result<(), String> {
    for (envelope, _) in events {
        // Only what died in the failures queue may undo: a stray event must not.
        let failed = envelope.died_in.as_deref() == Some(&QueueRole::Failures.queue(&engine.participant.name));
        let role = if failed { QueueRole::Failures } else { QueueRole::Events };
        let inbound = Inbound::new(Arc::clone(envelope), None);
        park(engine, role, &inbound, "the broker gave the message up".to_owned(), Redrive::Allowed).await?;
    }
    Ok(())
}
