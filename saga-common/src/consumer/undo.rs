//! A batch of failures: every compensatable step of each saga is fenced or undone, in one transaction, and the
//! participant answers once.
//!
//! A failure of unknown type, version or body still undoes: only its correlation id is needed, and an undo reads its own
//! rows. The fence is written first, under the action's own key (R1), so whichever of action and undo comes second finds
//! the other.

use super::fate::{Redrive, is_held, park};
use super::settle::{Failed, Inbound};
use crate::action::{Ended, Reversed};
use crate::answer::{COMPENSATE, CompensationOutcome, SagaCompensated};
use crate::engine::Engine;
use crate::envelope::Envelope;
use crate::event::{EventType, Said};
use crate::faults;
use crate::guard::{self, Existing, Expected, Found, Key, NewGuard, Settled, Verdict, Words};
use crate::ids::{MessageId, SagaId};
use crate::jobs::NewJob;
use crate::outbox::Outgoing;
use crate::said;
use crate::step::{Cx, Failure, StepError};
use crate::telemetry::trace::{Cause, span};
use crate::topology::{QueueRole, Route};
use crate::unit::{Ends, Unit};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A failure that is being handled.
struct Heard {
    envelope: Arc<Envelope>,
    announcement: u32,
    /// It has no row in `saga.waiting`.
    fresh: bool,
    attempt: u32,
}

pub(super) async fn run<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    batch: Vec<Inbound>,
) -> Result<(), Failed> {
    let mut ends = Ends::default();
    // One failure a saga is enough; of several, one that asks for an answer again.
    let mut failures: BTreeMap<SagaId, Heard> = BTreeMap::new();
    for inbound in batch {
        let envelope = &inbound.envelope;
        let fit = match &envelope.saga_id {
            Ok(saga_id) => engine.window.check(*saga_id).map(|()| *saga_id).map_err(str::to_owned),
            Err(malformed) => Err(malformed.to_string()),
        };
        match fit {
            Err(_) if is_held(engine, QueueRole::Failures, &inbound).await? => {}
            Err(reason) => {
                park(engine, QueueRole::Failures, &inbound, reason, Redrive::Refused).await.map_err(Failed::Gone)?
            }
            Ok(saga_id) => {
                if failures.contains_key(&saga_id) {
                    ends.tally.duplicate(COMPENSATE);
                }
                let first = failures.entry(saga_id).or_insert_with(|| Heard {
                    envelope: Arc::clone(envelope),
                    announcement: 0,
                    fresh: inbound.row.is_none(),
                    attempt: inbound.attempt,
                });
                first.announcement = first.announcement.max(envelope.announcement);
                ends.handled.extend(inbound.row);
            }
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    faults::BEFORE_GUARDS.reached().await?;
    let fences = failures.iter().flat_map(|(saga_id, heard)| fences(engine, *saga_id, heard)).collect::<Vec<_>>();
    let keys: BTreeSet<Key> = fences.iter().map(|fence| fence.key.clone()).collect();
    let (unit, found) = Unit::open(&engine.db, ends, &fences).await?;
    if !found.held.is_empty() {
        unit.rollback().await;
        return Err(Failed::Held(found.held));
    }
    faults::AFTER_GUARDS.reached().await?;
    let keys_met: BTreeSet<Key> = keys.into_iter().filter(|key| !found.has(key)).collect();
    // Guard rows first, then the rows that sagas share (R7); both at once, as neither asks what the other said.
    let sagas: Vec<SagaId> = failures.keys().copied().collect();
    let locks: Vec<_> = guard::locking(&keys_met).into_iter().chain(engine.locks(&[], &sagas)).collect();
    let locked = unit.tx().send(&locks).await?;
    let met = guard::locked(locked.first().filter(|_| !keys_met.is_empty()).map_or(&[], |answer| &answer.rows))?;
    if keys_met.len() > met.len() {
        return Err(Failed::Passing("a guard row is neither new nor there".to_owned()));
    }
    let asked = failures.iter().filter(|(_, heard)| heard.announcement > 0);
    let asked =
        asked.map(|(saga_id, _)| (*saga_id, COMPENSATE.to_owned())).filter(|key| met.contains_key(key)).collect();
    let answers = said::read(unit.tx(), &asked).await?;
    faults::AFTER_LOCKS.reached().await?;

    let (tx, mut ends) = unit.into_parts();
    let mut cx = Cx::new(tx, Arc::clone(&engine.participant.app));
    for (saga_id, Heard { envelope, attempt, .. }) in &failures {
        // The owner's step has always run: there is something to do as long as that stands.
        let stands = |key: &Key| met.get(key).is_some_and(|it| matches!(it.verdict, Verdict::Done | Verdict::Intent));
        let mut its = fences.iter().map(|fence| &fence.key).filter(|key| key.0 == *saga_id);
        let is_new = its.any(|key| found.has(key) || stands(key));
        if is_new {
            ends.tally.hop(COMPENSATE, envelope.published_ms);
        } else {
            ends.tally.duplicate(COMPENSATE);
        }
        let cause = if is_new { engine.tracer().cause(envelope.traceparent.as_deref()) } else { Cause::Untraced };
        if let Some(reaction) = cause.recorded() {
            let of = (engine.participant.name.as_str(), QueueRole::Failures);
            ends.tally.spans.push(span::process(reaction, envelope, of, COMPENSATE, *attempt, ends.tally.began()));
        }
        cx.cause = cause;
        undo_saga(engine, &mut cx, &mut ends, *saga_id, envelope, &found, &met).await?;
        // Answered before: a repeated announcement asks for the recorded answer, under its recorded id.
        if let Some(answer) = answers.get(&(*saga_id, COMPENSATE.to_owned())) {
            ends.repeated.push(Outgoing::repeated(*saga_id, answer, envelope));
        }
    }
    faults::AFTER_STEPS.reached().await?;
    ends.take(&mut cx);
    ends.tally.batch(&QueueRole::Failures.queue(&engine.participant.name), failures.len());
    let new_jobs = !ends.jobs.is_empty();
    Unit::with(cx.tx, ends).commit(&engine.outbox).await?;
    if new_jobs {
        engine.new_jobs.notify_one();
    }
    Ok(())
}

/// The rows an undo inserts first: the keys of the actions it undoes, fenced, and the line of its own answer.
fn fences<App: Send + Sync + 'static>(engine: &Engine<App>, saga_id: SagaId, heard: &Heard) -> Vec<NewGuard> {
    let Heard { envelope, fresh, .. } = heard;
    let guard = |step: &str, verdict| NewGuard {
        key: (saga_id, step.to_owned()),
        expected: Expected::silent(verdict),
        message_id: envelope.message_id,
        causation_id: envelope.causation_id,
        body_hash: None,
        waits_as: fresh.then(|| COMPENSATE.to_owned()),
    };
    let mut guards: Vec<NewGuard> =
        engine.participant.compensatable().map(|step| guard(step.name, Verdict::Fenced)).collect();
    // The owner of the saga learns of its failure, but it is the one who collects answers: it gives none.
    if !engine.participant.owner {
        guards.push(guard(COMPENSATE, Verdict::Open));
    }
    guards
}

async fn undo_saga<App: Send + Sync + 'static>(
    engine: &Engine<App>,
    cx: &mut Cx<App>,
    ends: &mut Ends,
    saga_id: SagaId,
    envelope: &Envelope,
    found: &Found,
    met: &BTreeMap<Key, Existing>,
) -> Result<(), StepError> {
    cx.saga_id = saga_id;
    cx.message_id = envelope.message_id;
    cx.failure = Some(Failure::of(envelope));
    cx.remark = None;
    let mut outcome = CompensationOutcome::Fenced;
    let mut silent = false;
    for step in engine.participant.compensatable().rev() {
        let key: Key = (saga_id, step.name.to_owned());
        let Some(existing) = met.get(&key) else { continue };
        match existing.verdict {
            Verdict::Done | Verdict::Intent => {
                let Some(undo) = &step.undo else { continue };
                let mut detail = why(envelope);
                let verdict = match undo.run(cx).await? {
                    Reversed::Done => Verdict::Undone,
                    Reversed::Said(Ended::Said { route, event_type, body }) => {
                        let cause = Some(envelope.message_id);
                        let message =
                            Outgoing::new(saga_id, route, event_type.as_str(), cause, cx.cause.origin(), body);
                        detail = format!("{detail}, said {event_type}");
                        ends.outgoing.push(message);
                        Verdict::Undone
                    }
                    Reversed::Said(_) => Verdict::Undone,
                    Reversed::Deferred(data) => {
                        let (message_id, traceparent) = (envelope.message_id, cx.cause.traceparent());
                        ends.jobs.push(NewJob { key: key.clone(), message_id, undo: true, data, traceparent });
                        Verdict::Undoing
                    }
                };
                if verdict == Verdict::Undone && existing.verdict == Verdict::Intent {
                    ends.finished_jobs.push(key.clone());
                }
                silent |= verdict == Verdict::Undoing;
                outcome = CompensationOutcome::Undone;
                let settled = Settled { key, was: existing.verdict, verdict, words: Words::Kept, detail: Some(detail) };
                ends.tally.verdict(step.name, verdict);
                if let Some(reaction) = cx.cause.recorded() {
                    let began = ends.tally.began();
                    ends.tally.spans.push(span::undo(reaction, saga_id, step.name, verdict.as_str(), began));
                }
                ends.verdicts.push(settled);
            }
            Verdict::Undoing => silent = true,
            Verdict::Fenced => {}
            _ if outcome == CompensationOutcome::Fenced => outcome = CompensationOutcome::NothingToUndo,
            _ => {}
        }
    }
    if engine.participant.owner {
        return Ok(());
    }
    let compensate: Key = (saga_id, COMPENSATE.to_owned());
    match met.get(&compensate) {
        Some(_) => {}
        None if found.has(&compensate) && silent => ends.verdicts.push(Settled {
            key: compensate,
            was: Verdict::Open,
            verdict: Verdict::Undoing,
            words: Words::None,
            detail: Some(why(envelope)),
        }),
        None => {
            let (remark, cause) = (cx.remark.take(), (envelope.message_id, &cx.cause));
            answer(engine, ends, saga_id, Verdict::Open, outcome, cause, remark)?;
        }
    }
    Ok(())
}

/// For the timeline: what made it happen.
fn why(envelope: &Envelope) -> String {
    format!("on {}", if envelope.event_type.is_empty() { "a failure without a type" } else { &envelope.event_type })
}

/// Writes the participant's answer into its line and the outbox.
pub(crate) fn answer<App: Send + Sync + 'static>(
    engine: &Engine<App>,
    ends: &mut Ends,
    saga_id: SagaId,
    was: Verdict,
    outcome: CompensationOutcome,
    (failure, cause): (MessageId, &Cause),
    remark: Option<String>,
) -> Result<(), StepError> {
    let event_type = EventType::of::<SagaCompensated>()?;
    let body =
        SagaCompensated { participant: engine.participant.name.clone(), outcome, remark: remark.clone() }.encode()?;
    let message = Outgoing::new(saga_id, Route::Direct, event_type.as_str(), Some(failure), cause.origin(), body);
    let verdict = match outcome {
        CompensationOutcome::Undone => Verdict::Undone,
        CompensationOutcome::NothingToUndo => Verdict::NothingToUndo,
        CompensationOutcome::Fenced => Verdict::Fenced,
    };
    let words = Words::New { id: message.id, event_type: message.event_type.clone() };
    ends.tally.verdict(COMPENSATE, verdict);
    ends.tally.answer(outcome, failure);
    ends.verdicts.push(Settled { key: (saga_id, COMPENSATE.to_owned()), was, verdict, words, detail: remark });
    ends.outgoing.push(message);
    Ok(())
}
