//! A batch of successes: guard rows first, then locks, then the actions, then what they said; one transaction.

use super::fate::{Redrive, is_held, park, patience};
use super::settle::{Failed, Inbound};
use crate::action::{ActionItem, AnyEvent};
use crate::announcer;
use crate::db::Statement;
use crate::engine::Engine;
use crate::envelope::Envelope;
use crate::faults;
use crate::guard::{self, Copies, Existing, Expected, Found, Key, NewGuard, Verdict};
use crate::ids::SagaId;
use crate::outbox::Outgoing;
use crate::participant::Step;
use crate::retry::Patience;
use crate::said::{self, Recorded};
use crate::step::{Cx, StepError};
use crate::telemetry::trace::span;
use crate::topology::{QueueRole, Route};
use crate::unit::{Ends, Unit};
use crate::waiting::WaitingKey;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio_postgres::Row;

/// An event whose step is known and whose body has been read.
struct Ready<'a, App> {
    step: &'a Step<App>,
    key: Key,
    saga_id: SagaId,
    hash: Vec<u8>,
    envelope: Arc<Envelope>,
    /// 0, or what the highest of its copies in the batch says.
    announcement: u32,
    row: Option<WaitingKey>,
    attempt: u32,
    event: AnyEvent,
    expected: Expected,
}

/// Why an event cannot be run at all.
struct Unfit {
    reason: String,
    redrive: Redrive,
}

pub(super) async fn run<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    batch: Vec<Inbound>,
) -> Result<(), Failed> {
    let mut ends = Ends::default();
    let mut ready: Vec<Ready<App>> = Vec::with_capacity(batch.len());
    let mut by_key: BTreeMap<Key, usize> = BTreeMap::new();
    for inbound in batch {
        match prepare(engine, &inbound.envelope) {
            Err(unfit) => refuse_unfit(engine, &inbound, unfit).await?,
            Ok(new) => {
                if let Some(&first) = by_key.get(&new.key) {
                    // The batch is made unique by guard key in memory; a copy is settled with the first.
                    let first = &mut ready[first];
                    if first.hash != new.hash {
                        conflict(engine, &inbound).await?;
                        continue;
                    }
                    first.announcement = first.announcement.max(new.announcement);
                    ends.tally.duplicate(new.step.name);
                } else {
                    by_key.insert(new.key.clone(), ready.len());
                    ready.push(Ready { row: inbound.row.clone(), attempt: inbound.attempt, ..new });
                }
                ends.handled.extend(inbound.row);
            }
        }
    }
    if ready.is_empty() {
        return Ok(());
    }
    faults::BEFORE_GUARDS.reached().await?;
    let guards: Vec<NewGuard> = ready.iter().map(Ready::guard).collect();
    let (mut unit, found, mut locked) = open(engine, ends, &ready, &guards).await?;
    if !found.held.is_empty() {
        unit.rollback().await;
        return Err(Failed::Held(found.held));
    }
    faults::AFTER_GUARDS.reached().await?;
    let met: BTreeSet<Key> = ready.iter().map(|r| &r.key).filter(|key| !found.has(key)).cloned().collect();
    let met = guard::lock(unit.tx(), &met).await?;
    let (new, old): (Vec<_>, Vec<_>) = ready.into_iter().partition(|r| found.has(&r.key));
    let asked = old.iter().filter(|known| known.announcement > 0).map(|known| known.key.clone()).collect();
    let answers = said::read(unit.tx(), &asked).await?;
    for known in &old {
        let Some(existing) = met.get(&known.key) else {
            return Err(Failed::Passing("a guard row is neither new nor there".to_owned()));
        };
        meet(engine, &mut unit.ends, known, existing, answers.get(&known.key)).await?;
    }
    if !new.is_empty() && locked.is_none() {
        let (keys, sagas) = shared(&new);
        locked = Some(engine.lock_rows(unit.tx(), &keys, &sagas).await?);
        unit.tx().send(turns(&new).as_slice()).await?;
    }
    faults::AFTER_LOCKS.reached().await?;
    act(engine, unit, new, locked.unwrap_or_default()).await
}

/// Begins with the guard rows, and where no copies are likely with the locks on shared rows as well; returns those if it has them.
/// (Behind copies they would come before the locks on the rows of those.)
async fn open<App: Send + Sync + 'static>(
    engine: &Engine<App>,
    ends: Ends,
    ready: &[Ready<'_, App>],
    guards: &[NewGuard],
) -> Result<(Unit, Found, Option<Vec<Row>>), Failed> {
    let told = ready.iter().any(|r| r.row.is_some() || r.announcement > 0);
    let ends = match engine.copies.expected(told) {
        Copies::Likely => ends,
        Copies::Unlikely => {
            let (keys, sagas) = shared(ready);
            match Unit::open_new(&engine.db, ends, guards, engine.locks(&keys, &sagas), turns(ready)).await? {
                Ok((unit, locked)) => return Ok((unit, Found::all(), Some(locked))),
                Err(ends) => {
                    engine.copies.met();
                    ends
                }
            }
        }
    };
    let (unit, found) = Unit::open(&engine.db, ends, guards).await?;
    if !found.all {
        engine.copies.met();
    }
    Ok((unit, found, None))
}

/// The rows that these events share with other sagas: by the keys that their steps declare, or else by their sagas.
fn shared<App>(ready: &[Ready<'_, App>]) -> (Vec<String>, Vec<SagaId>) {
    let keys = ready.iter().flat_map(|r| r.step.lock_keys(&r.event)).collect();
    let sagas = ready.iter().filter(|r| !r.step.declares_locks()).map(|r| r.saga_id).collect();
    (keys, sagas)
}

/// What `Cx::all_have_run` takes turns on; its count is a statement after this wait.
fn turns<App>(ready: &[Ready<'_, App>]) -> Option<Statement<'static>> {
    let counted: Vec<SagaId> = ready.iter().filter(|r| r.step.is_keyed()).map(|r| r.saga_id).collect();
    announcer::locking(&counted)
}

/// Runs the actions, step by step in the order of delivery, and commits.
async fn act<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    unit: Unit,
    ready: Vec<Ready<'_, App>>,
    locked: Vec<Row>,
) -> Result<(), Failed> {
    let (tx, mut ends) = unit.into_parts();
    let mut cx = Cx::new(tx, Arc::clone(&engine.participant.app));
    cx.locked = locked;
    let events = ready.len();
    let mut groups: Vec<(&Step<App>, Vec<Ready<App>>)> = Vec::new();
    for event in ready {
        match groups.iter_mut().find(|(step, _)| step.name == event.step.name && step.on == event.step.on) {
            Some((_, group)) => group.push(event),
            None => groups.push((event.step, vec![event])),
        }
    }
    for (step, group) in groups {
        let Some(action) = &step.action else { continue };
        let mut metas = Vec::with_capacity(group.len());
        let mut items = Vec::with_capacity(group.len());
        for ready in group {
            let message_id = ready.envelope.message_id;
            items.push(ActionItem { saga_id: ready.saga_id, message_id, event: ready.event });
            metas.push((ready.key, ready.expected, ready.envelope, ready.attempt));
        }
        let ended = action.run(&mut cx, items).await?;
        for ((key, expected, envelope, attempt), ended) in metas.into_iter().zip(ended) {
            let message_id = envelope.message_id;
            tracing::debug!(saga.id = %key.0, message.id = %message_id, step = %step.name, ended = ?kind(&ended), "handled");
            ends.tally.hop(step.name, envelope.published_ms);
            let cause = engine.tracer().cause(envelope.traceparent.as_deref());
            let verdict = engine.end_step(&mut ends, key, &expected, ended, message_id, &cause, step.saying)?;
            ends.tally.verdict(step.name, verdict);
            if let Some(reaction) = cause.recorded() {
                let of = (engine.participant.name.as_str(), QueueRole::Events);
                let span = span::process(reaction, &envelope, of, step.name, attempt, ends.tally.began());
                ends.tally.spans.push(span.with("saga.verdict", verdict.as_str()));
            }
        }
    }
    faults::AFTER_STEPS.reached().await?;
    ends.take(&mut cx);
    ends.tally.batch(&QueueRole::Events.queue(&engine.participant.name), events);
    let new_jobs = !ends.jobs.is_empty();
    Unit::with(cx.tx, ends).commit(&engine.outbox).await?;
    if new_jobs {
        engine.new_jobs.notify_one();
    }
    Ok(())
}

fn kind(ended: &crate::action::Ended) -> &'static str {
    use crate::action::Ended;
    match ended {
        Ended::Said { route: Route::Direct, .. } => "said",
        Ended::Said { .. } => "refused",
        Ended::Quiet => "quiet",
        Ended::Superseded(_) => "superseded",
        Ended::Deferred(_) => "deferred",
    }
}

impl<App> Ready<'_, App> {
    fn guard(&self) -> NewGuard {
        NewGuard {
            key: self.key.clone(),
            expected: self.expected.clone(),
            message_id: self.envelope.message_id,
            causation_id: self.envelope.causation_id,
            body_hash: Some(self.hash.clone()),
            waits_as: self.row.is_none().then(|| self.step.name.to_owned()),
        }
    }
}

fn prepare<'a, App: Send + Sync + 'static>(
    engine: &'a Engine<App>,
    envelope: &Arc<Envelope>,
) -> Result<Ready<'a, App>, Unfit> {
    let redrivable = |reason: String| Unfit { reason, redrive: Redrive::Allowed };
    let saga_id = envelope.saga_id.clone().map_err(|e| Unfit { reason: e.to_string(), redrive: Redrive::Refused })?;
    let expired = |reason: &str| Unfit { reason: reason.to_owned(), redrive: Redrive::Refused };
    engine.window.check(saga_id).map_err(expired)?;
    if envelope.body.len() > engine.settings.body_bytes {
        return Err(redrivable(format!("oversized: the body has {} bytes", envelope.body.len())));
    }
    let step = engine
        .participant
        .reacting_to(&envelope.event_type)
        .ok_or_else(|| redrivable(format!("unknown: no step reacts to `{}`", envelope.event_type)))?;
    let action = step.action.as_ref().ok_or_else(|| redrivable("the step has no action".to_owned()))?;
    let event = action.decode(envelope).map_err(|why| redrivable(format!("malformed: {why}")))?;
    Ok(Ready {
        key: (saga_id, step.guard_step(&event, envelope.message_id)),
        saga_id,
        hash: Sha256::digest(&envelope.body).to_vec(),
        expected: step.expected(),
        step,
        envelope: Arc::clone(envelope),
        announcement: envelope.announcement,
        row: None,
        attempt: 1,
        event,
    })
}

/// Parks what no attempt can help; after the pivot it goes the way of an attempt that failed, and waits.
async fn refuse_unfit<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    inbound: &Inbound,
    unfit: Unfit,
) -> Result<(), Failed> {
    if is_held(engine, QueueRole::Events, inbound).await? {
        return Ok(());
    }
    if unfit.redrive == Redrive::Allowed && patience(engine, QueueRole::Events, &inbound.envelope) == Patience::Endless
    {
        // In a batch this splits it; alone, the one at fault is the one to wait.
        return Err(Failed::Own(StepError::DeadLetter(unfit.reason)));
    }
    park(engine, QueueRole::Events, inbound, unfit.reason, unfit.redrive).await.map_err(Failed::Gone)
}

/// Another event under a guard key that is taken: never a duplicate, a person has to look.
async fn conflict<App: Send + Sync + 'static>(engine: &Arc<Engine<App>>, inbound: &Inbound) -> Result<(), Failed> {
    if is_held(engine, QueueRole::Events, inbound).await? {
        return Ok(());
    }
    let reason = "conflict: this step has handled another body for the same saga".to_owned();
    park(engine, QueueRole::Events, inbound, reason, Redrive::Allowed).await.map_err(Failed::Gone)
}

/// An event whose guard row was there: a duplicate, a fenced saga, a conflict, or a repeated announcement.
async fn meet<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    ends: &mut Ends,
    known: &Ready<'_, App>,
    existing: &Existing,
    answer: Option<&Recorded>,
) -> Result<(), Failed> {
    if existing.body_hash.as_ref().is_some_and(|hash| *hash != known.hash) {
        ends.handled.retain(|key| key.0 != known.envelope.message_id);
        return conflict(engine, &Inbound::new(Arc::clone(&known.envelope), known.row.clone())).await;
    }
    match existing.verdict {
        Verdict::Fenced => ends.tally.fenced(known.step.name),
        _ => ends.tally.duplicate(known.step.name),
    }
    tracing::debug!(saga.id = %known.saga_id, message.id = %known.envelope.message_id, step = %known.step.name,
        verdict = existing.verdict.as_str(), "seen before");
    if existing.verdict == Verdict::Done
        && let Some(answer) = answer
    {
        ends.repeated.push(Outgoing::repeated(known.saga_id, answer, &known.envelope));
    }
    Ok(())
}
