//! The tasks that serve the outbox: publish, forget what is confirmed while nothing commits, sweep up what is left over.

use super::{Batch, Batches, Outbox, Outgoing, store, subjects};
use crate::broker::{BrokerError, Link, Publisher, Report};
use crate::db::{Db, DbError};
use crate::error::chain;
use crate::faults::{self, Fault, Lane};
use crate::ids::UnitId;
use crate::telemetry::trace::{Span, span};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Events that are published together at most: enough for some full bundles.
const PUBLISHED_AT_ONCE: usize = 256;

/// Takes what units have handed over and publishes it; one batch in flight per channel (R5), so several of these tasks run
/// side by side. Ends when every sender is gone.
pub(crate) async fn publish_batches(
    outbox: Outbox,
    db: Db,
    mut publisher: Publisher,
    batches: Arc<Mutex<Batches>>,
    done: CancellationToken,
) {
    loop {
        match tokio::select! { next = next(&batches) => next, () = done.cancelled() => None } {
            Some(batches) => drop(publish(&outbox, &db, &mut publisher, batches).await),
            None => return,
        }
    }
}

/// Waits for what a unit says, and takes what others have said that is there already: more for a bundle, and no wait.
async fn next(batches: &Mutex<Batches>) -> Option<Vec<Batch>> {
    let mut batches = batches.lock().await;
    let mut next = vec![batches.recv().await?];
    let mut events = next[0].messages.len();
    while events < PUBLISHED_AT_ONCE
        && let Ok(more) = batches.try_recv()
    {
        events += more.messages.len();
        next.push(more);
    }
    Some(next)
}

/// Publishes what units have said; `false` if that failed as a whole.
async fn publish(outbox: &Outbox, db: &Db, publisher: &mut Publisher, batches: Vec<Batch>) -> bool {
    let of_units: Vec<(UnitId, usize, Instant)> =
        batches.iter().map(|batch| (batch.unit, batch.messages.len(), batch.committed)).collect();
    let mut messages: Vec<Outgoing> = batches.into_iter().flat_map(|batch| batch.messages).collect();
    outbox.faults().label(&mut messages).await;
    let about = || subjects(&messages);
    let publishing = publish_and_confirm(outbox, publisher, &messages);
    match outbox.faults().scope_in(Some(Lane::Publications), about, publishing).await {
        Ok(report) => {
            let (mut confirmed, mut others, mut rest) = (Vec::new(), Vec::new(), &messages[..]);
            for (unit, count, committed) in of_units {
                let (its, behind) = rest.split_at(count.min(rest.len()));
                rest = behind;
                trace(outbox, its, &report, messages.len(), committed);
                if its.iter().all(|message| report.has(message.id)) {
                    outbox.meters().commit_to_publish.record(committed.elapsed());
                    confirmed.push(unit);
                } else {
                    others.push((unit, its));
                }
            }
            outbox.meters().published.increment(report.confirmed.len() as u64);
            keep_unsent(outbox, db, &others, &report).await;
            // Those that were not confirmed stop being in flight here and are the sweeper's.
            outbox.release(others.iter().map(|(unit, _)| *unit));
            outbox.confirm(confirmed);
            true
        }
        Err(error) => {
            tracing::warn!(messages = messages.len(), error = %error, "a publication failed; the sweeper will repeat it");
            outbox.release(of_units.into_iter().map(|(unit, ..)| unit));
            false
        }
    }
}

/// From the commit to the confirm, of each message whose making is recorded.
fn trace(outbox: &Outbox, messages: &[Outgoing], report: &Report, together: usize, committed: Instant) {
    if !outbox.tracer().is_on() {
        return;
    }
    let now = SystemTime::now();
    let began = now.checked_sub(committed.elapsed()).unwrap_or(now);
    let together = u32::try_from(together).unwrap_or(u32::MAX);
    for message in messages.iter().filter(|message| message.traceparent.is_some()) {
        if let Some(made) = outbox.tracer().recorded(message.traceparent.as_deref()) {
            let unconfirmed = (!report.has(message.id)).then(|| "the broker has not taken it".to_owned());
            let span = span::publish(message, &made, together, began).failed(unconfirmed);
            outbox.tracer().record(Span { ended: now, ..span });
        }
    }
}

/// Once, and once more what a fault has duplicated.
async fn publish_and_confirm(
    outbox: &Outbox,
    publisher: &mut Publisher,
    batch: &[Outgoing],
) -> Result<Report, BrokerError> {
    let report = publisher.publish(batch).await?;
    let again = outbox.faults().take_duplicates(Lane::Publications, batch, |message| Some(message.saga_id));
    if !again.is_empty() {
        publisher.publish(&again).await?;
    }
    Ok(report)
}

/// Publishes left-over units together or, if that fails, one by one: one that the broker refuses must not keep others waiting.
/// `false` if it is the broker that is not there, or if the service stops meanwhile.
async fn publish_even_alone(
    outbox: &Outbox,
    db: &Db,
    publisher: &mut Publisher,
    units: Vec<Batch>,
    (link, done): (&Link, &CancellationToken),
) -> bool {
    let goes_on = async || !done.is_cancelled() && link.ensure().await.is_ok();
    if publish(outbox, db, publisher, units.clone()).await || units.len() == 1 {
        return goes_on().await;
    }
    for unit in units {
        if !goes_on().await {
            return false;
        }
        outbox.mark_in_flight(std::slice::from_ref(&unit));
        publish(outbox, db, publisher, vec![unit]).await;
    }
    goes_on().await
}

/// What the broker has no queue for, or has not taken with the others of its unit, stays in the outbox, and is tried again after
/// growing waits.
async fn keep_unsent(outbox: &Outbox, db: &Db, units: &[(UnitId, &[Outgoing])], report: &Report) {
    let mut unsent = Vec::new();
    for (unit, messages) in units {
        let unroutable: Vec<&Outgoing> = messages.iter().filter(|m| report.returned.contains(&m.id)).collect();
        for message in &unroutable {
            outbox.meters().unroutable.increment(1);
            tracing::warn!(message.id = %message.id, saga.id = %message.saga_id, r#type = %message.event_type,
                "the broker has no queue for this message; it stays in the outbox");
        }
        if !unroutable.is_empty() || messages.iter().any(|m| report.has(m.id)) {
            unsent.extend(messages.iter().filter(|m| !report.has(m.id)).map(|m| (*unit, m.id)));
        }
    }
    if unsent.is_empty() {
        return;
    }
    if let Err(error) = store::postpone(db, &unsent).await {
        tracing::warn!(error = %chain(&error), "what is left of these units is tried again when their leases run out");
    }
}

/// So long confirmed rows wait for a unit that takes them along.
const FORGET_AFTER: Duration = Duration::from_millis(250);
const DATABASE_WAIT: Duration = Duration::from_millis(500);

/// Deletes the confirmed rows that no unit has taken along in time.
pub(crate) async fn forget_confirmed(outbox: Outbox, db: Db, done: CancellationToken) {
    let mut wait = FORGET_AFTER;
    loop {
        let newly_confirmed = async {
            outbox.shared.newly_confirmed.notified().await;
            tokio::time::sleep(wait).await;
        };
        tokio::select! { () = newly_confirmed => {}, () = done.cancelled() => return }
        wait = FORGET_AFTER;
        loop {
            let confirmed = outbox.take_confirmed();
            let Some(deletion) = store::delete(confirmed.units()) else { break };
            match db.run(&deletion).await {
                Ok(_) => confirmed.forget(),
                Err(error) => {
                    // They stay in flight here, so nobody but another process's sweeper repeats them, which is harmless.
                    tracing::warn!(rows = confirmed.units().len(), error = %chain(&error),
                        "confirmed outbox rows cannot be deleted yet");
                    wait = DATABASE_WAIT;
                    break;
                }
            }
        }
    }
}

const SWEEP_EVERY: Duration = Duration::from_millis(500);
const SWEEP_ROWS: i64 = 64;

async fn lease_left_over(outbox: &Outbox, db: &Db) -> Result<Vec<Batch>, DbError> {
    faults::BEFORE_SWEEP.reached().await?;
    let left = store::lease(db, outbox.instance(), &outbox.units_in_flight(), outbox.lease(), SWEEP_ROWS).await?;
    if !left.is_empty() {
        let about = || left.iter().flat_map(|batch| subjects(&batch.messages)).collect();
        outbox.faults().scope_in(Some(Lane::Publications), about, faults::AFTER_SWEEP.reached()).await?;
    }
    Ok(left)
}

/// Units in groups that are published together: as the relay does, no more than [`PUBLISHED_AT_ONCE`] events if several.
fn few_at_once(batches: Vec<Batch>) -> Vec<Vec<Batch>> {
    let mut groups: Vec<(usize, Vec<Batch>)> = Vec::new();
    for batch in batches {
        let count = batch.messages.len();
        match groups.last_mut() {
            Some((events, group)) if *events + count <= PUBLISHED_AT_ONCE => {
                *events += count;
                group.push(batch);
            }
            _ => groups.push((count, vec![batch])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Republishes left-over rows. Rests while the broker blocks publishers: publishing then would only fill its buffers.
pub(crate) async fn sweep(outbox: Outbox, db: Db, link: Arc<Link>, mut publisher: Publisher, done: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(SWEEP_EVERY) => {}
            () = done.cancelled() => return,
        }
        // Connected also while there is nothing to say, so that readiness can tell.
        if link.is_blocked() || link.ensure().await.is_err() {
            continue;
        }
        loop {
            let batches = match outbox.faults().scope(Vec::new, lease_left_over(&outbox, &db)).await {
                Ok(batches) if batches.is_empty() => break,
                Ok(batches) => batches,
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "the outbox cannot be swept");
                    if matches!(error, DbError::Injected(Fault::Dropped)) {
                        link.discard().await;
                    }
                    break;
                }
            };
            let events: usize = batches.iter().map(|batch| batch.messages.len()).sum();
            outbox.meters().swept.increment(events as u64);
            let full = batches.len() as i64 == SWEEP_ROWS;
            outbox.mark_in_flight(&batches);
            // What the broker had no queue for is due later, so this is no circle; and it must not keep others waiting.
            let mut units = few_at_once(batches).into_iter();
            let mut published = true;
            while published && let Some(together) = units.next() {
                published = publish_even_alone(&outbox, &db, &mut publisher, together, (&link, &done)).await;
            }
            outbox.release(units.flatten().map(|batch| batch.unit));
            if !full || !published || done.is_cancelled() {
                break;
            }
        }
    }
}
