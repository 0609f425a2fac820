//! A queue's consumer: takes what is waiting, settles all of it, acks all of it. Here and in `salvage` are the only acks.
//!
//! `next -> settle -> ack`, one batch after another on one channel, so "everything up to this tag is settled" (R5) is
//! true by construction. A batch is settled when each of its events is committed, waiting or parked; that may take as
//! long as the database is away. What the client cannot read at all is salvaged, on a connection of its own. The engine
//! never nacks or rejects.

mod alone;
mod fate;
mod forward;
mod salvage;
mod scheduler;
mod settle;
pub(crate) mod undo;

pub(crate) use scheduler::run_due;
use settle::Delivery;
#[cfg(feature = "testkit")]
pub(crate) use {scheduler::run_what_is_due, settle::settle};

use crate::broker::{BrokerError, Link, Subscription};
use crate::engine::Engine;
use crate::error::chain;
use crate::faults::{self, Fault, Lane};
use crate::telemetry::meters;
use crate::topology::{QueueRole, Topology};
use rand::RngExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// What a consumer needs to subscribe.
pub(crate) struct Source {
    pub(crate) link: Arc<Link>,
    pub(crate) topology: Topology,
    pub(crate) role: QueueRole,
    pub(crate) tag: String,
    /// How many of the service's consumers are subscribed, for readiness.
    pub(crate) subscribed: Arc<AtomicUsize>,
}

/// Consumes until stopped; subscribes anew, with everything declared anew, whenever the subscription ends.
pub(crate) async fn consume<App: Send + Sync + 'static>(
    engine: Arc<Engine<App>>,
    source: Source,
    stop: CancellationToken,
) {
    let mut wait = FIRST_WAIT;
    let mut unreadable = salvage::Watch::new(&source.link);
    while !stop.is_cancelled() {
        let subscribed = tokio::select! {
            subscribed = engine.faults().scope(Vec::new, subscribe(&source, engine.settings.prefetch)) => subscribed,
            () = stop.cancelled() => return,
        };
        let error = match subscribed {
            Ok(subscription) => {
                wait = FIRST_WAIT;
                source.subscribed.fetch_add(1, Ordering::Relaxed);
                let ended = work(&engine, &source, subscription, &stop).await;
                source.subscribed.fetch_sub(1, Ordering::Relaxed);
                match ended {
                    Ok(()) => return,
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        if matches!(error, BrokerError::Injected(Fault::Dropped)) {
            source.link.discard().await;
        }
        meters::resubscribed(source.role).increment(1);
        tracing::warn!(queue = %source.role.queue(&source.topology.service), error = %chain(&error), "subscribing anew");
        let jittered = wait.mul_f64(rand::rng().random_range(0.5..1.0));
        tokio::select! { () = tokio::time::sleep(jittered) => {}, () = stop.cancelled() => return }
        wait = (wait * 2).min(LONGEST_WAIT);
        unreadable.salvage(&engine, &source, &stop).await;
    }
}

async fn subscribe(source: &Source, prefetch: u16) -> Result<Subscription, BrokerError> {
    source.link.declare(&source.topology).await?;
    let queue = source.role.queue(&source.topology.service);
    faults::BEFORE_SUBSCRIBE.reached().await?;
    Subscription::open(&source.link, &queue, &source.tag, prefetch).await
}

/// Settles a batch, and once more what a fault has duplicated.
async fn settle_all<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    role: QueueRole,
    events: &[Delivery],
    stop: &CancellationToken,
) -> bool {
    if !settle::settle(engine, role, events.to_vec(), stop).await {
        return false;
    }
    let of_saga = |(envelope, _): &Delivery| envelope.saga_id.as_ref().ok().copied();
    let again = engine.faults().take_duplicates(Lane::Deliveries, events, of_saga);
    again.is_empty() || settle::settle(engine, role, again, stop).await
}

/// Works one subscription until it fails (`Err`) or the service stops (`Ok`).
async fn work<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    source: &Source,
    mut subscription: Subscription,
    stop: &CancellationToken,
) -> Result<(), BrokerError> {
    loop {
        let next = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            next = subscription.next(engine.settings.batch_events) => next,
        };
        let mut deliveries = next?;
        let events = std::mem::take(&mut deliveries.events);
        let events: Vec<Delivery> = events.into_iter().map(|(envelope, again)| (Arc::new(envelope), again)).collect();
        engine.faults().learn(events.iter().map(|(envelope, _)| &**envelope)).await;
        let about = || events.iter().filter_map(|(envelope, _)| settle::subject(envelope)).collect();
        let settled = engine.faults().scope_in(Some(Lane::Deliveries), about, async {
            faults::AFTER_DELIVERY.reached().await?;
            if !settle_all(engine, source.role, &events, stop).await {
                return Ok(false);
            }
            faults::BEFORE_ACK.reached().await?;
            subscription.ack(&deliveries).await?;
            faults::AFTER_ACK.reached().await?;
            Ok::<_, BrokerError>(true)
        });
        if !settled.await? {
            break;
        }
    }
    subscription.close().await;
    Ok(())
}
