//! The tasks that serve the outbox: publish, forget what is confirmed while nothing commits, sweep up what is left over.

use super::{Batches, Outbox, Outgoing, store, subjects};
use crate::broker::{BrokerError, Link, Publisher, Report};
use crate::db::{Db, DbError};
use crate::error::chain;
use crate::faults::{self, Fault, Lane};
use crate::ids::MessageId;
use std::sync::Arc;
use std::time::{Duration, Instant};
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
        match tokio::select! { batch = next(&batches) => batch, () = done.cancelled() => None } {
            Some(batch) => drop(publish(&outbox, &db, &mut publisher, batch).await),
            None => return,
        }
    }
}

/// Waits for a unit's messages, and takes those of others that are there already: more for a bundle, and no wait.
async fn next(batches: &Mutex<Batches>) -> Option<Vec<Outgoing>> {
    let mut batches = batches.lock().await;
    let mut next = batches.recv().await?;
    while next.len() < PUBLISHED_AT_ONCE
        && let Ok(more) = batches.try_recv()
    {
        next.extend(more);
    }
    Some(next)
}

/// Publishes a batch; `false` if that failed as a whole.
async fn publish(outbox: &Outbox, db: &Db, publisher: &mut Publisher, mut batch: Vec<Outgoing>) -> bool {
    outbox.faults().label(&mut batch).await;
    let about = || subjects(&batch);
    match outbox
        .faults()
        .scope_in(Some(Lane::Publications), about, publish_and_confirm(outbox, publisher, &batch))
        .await
    {
        Ok(report) => {
            let confirmed: Vec<MessageId> =
                batch.iter().map(|m| m.id).filter(|id| report.confirmed.contains(id)).collect();
            metrics::counter!("saga_published_total").increment(confirmed.len() as u64);
            keep_unroutable(db, &batch, &report).await;
            // Those that were not confirmed stop being in flight here and are the sweeper's.
            outbox.release(batch.iter().map(|m| m.id).filter(|id| !report.confirmed.contains(id)));
            outbox.confirm(confirmed);
            true
        }
        Err(error) => {
            tracing::warn!(messages = batch.len(), error = %error, "a publication failed; the sweeper will repeat it");
            outbox.release(batch.iter().map(|m| m.id));
            false
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

/// What the broker has no queue for stays in the outbox, and is tried again after growing waits.
async fn keep_unroutable(db: &Db, batch: &[Outgoing], report: &Report) {
    let unroutable: Vec<&Outgoing> = batch.iter().filter(|m| report.returned.contains(&m.id)).collect();
    if unroutable.is_empty() {
        return;
    }
    for message in &unroutable {
        metrics::counter!("saga_unroutable_total").increment(1);
        tracing::warn!(message.id = %message.id, saga.id = %message.saga_id, r#type = %message.event_type,
            "the broker has no queue for this message; it stays in the outbox");
    }
    let ids: Vec<MessageId> = unroutable.iter().map(|m| m.id).collect();
    if let Err(error) = store::postpone(db, &ids).await {
        tracing::warn!(error = %chain(&error), "unroutable messages are tried again when their leases run out");
    }
}

/// So long confirmed rows wait for a unit that takes them along.
const FORGET_AFTER: Duration = Duration::from_millis(50);
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
            let confirmed = outbox.take_confirmed(&[]);
            if confirmed.ids().is_empty() {
                break;
            }
            match db.run(&store::delete(confirmed.ids())).await {
                Ok(_) => confirmed.forget(),
                Err(error) => {
                    // They stay in flight here, so nobody but another process's sweeper repeats them, which is harmless.
                    tracing::warn!(rows = confirmed.ids().len(), error = %chain(&error),
                        "confirmed outbox rows cannot be deleted yet");
                    wait = DATABASE_WAIT;
                    break;
                }
            }
        }
    }
}

const SWEEP_EVERY: Duration = Duration::from_millis(500);
const SWEEP_ROWS: i64 = 256;
const COUNT_EVERY: Duration = Duration::from_secs(5);

async fn lease_left_over(outbox: &Outbox, db: &Db) -> Result<Vec<Outgoing>, DbError> {
    faults::BEFORE_SWEEP.reached().await?;
    let left = store::lease(db, outbox.instance(), &outbox.in_flight_ids(), outbox.lease(), SWEEP_ROWS).await?;
    if !left.is_empty() {
        let about = || subjects(&left);
        outbox.faults().scope_in(Some(Lane::Publications), about, faults::AFTER_SWEEP.reached()).await?;
    }
    Ok(left)
}

/// Republishes left-over rows. Rests while the broker blocks publishers: publishing then would only fill its buffers.
pub(crate) async fn sweep(outbox: Outbox, db: Db, link: Arc<Link>, mut publisher: Publisher, done: CancellationToken) {
    let mut counted = Instant::now();
    loop {
        tokio::select! {
            () = tokio::time::sleep(SWEEP_EVERY) => {}
            () = done.cancelled() => return,
        }
        if counted.elapsed() > COUNT_EVERY
            && let Ok((rows, age)) = store::backlog(&db).await
        {
            counted = Instant::now();
            #[allow(clippy::cast_precision_loss)]
            metrics::gauge!("saga_outbox_rows").set(rows as f64);
            metrics::gauge!("saga_outbox_oldest_seconds").set(age);
        }
        // Connected also while there is nothing to say, so that readiness can tell.
        if link.is_blocked() || link.ensure().await.is_err() {
            continue;
        }
        loop {
            let batch = match outbox.faults().scope(Vec::new, lease_left_over(&outbox, &db)).await {
                Ok(batch) if batch.is_empty() => break,
                Ok(batch) => batch,
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "the outbox cannot be swept");
                    if matches!(error, DbError::Injected(Fault::Dropped)) {
                        link.discard().await;
                    }
                    break;
                }
            };
            metrics::counter!("saga_swept_total").increment(batch.len() as u64);
            let full = batch.len() as i64 == SWEEP_ROWS;
            outbox.mark_in_flight(&batch);
            // What the broker had no queue for is due later, so this is no circle; and it must not keep others waiting.
            let published = publish(&outbox, &db, &mut publisher, batch).await;
            if !full || !published || done.is_cancelled() {
                break;
            }
        }
    }
}
