//! What the broker's client cannot read is parked, or waits, like all else that is malformed (R8).

use super::Source;
use super::fate::{Redrive, park, postpone};
use super::settle::Inbound;
use crate::broker::{Link, Salvage, Unread};
use crate::engine::Engine;
use crate::envelope;
use crate::error::chain;
use crate::telemetry::meters;
use crate::topology::QueueRole;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The longest a salvage may take; what it has not come to is for the next one.
const LIMIT: Duration = Duration::from_secs(60);
/// The longest one message may take to be written down. Shorter than the broker's patience with a silent connection.
const WRITE_LIMIT: Duration = Duration::from_secs(20);

/// Knows of one queue's consumer whether its connection has met something unreadable since it last looked.
pub(super) struct Watch {
    seen: u64,
}

impl Watch {
    pub(super) fn new(link: &Link) -> Self {
        Self { seen: link.unreadable() }
    }

    /// If the connection has ended over a message that its client cannot read: looks whether this queue holds it, and
    /// gets it out of the way. Comes back in time whatever happens; what is not salvaged now ends the connection again.
    pub(super) async fn salvage<App: Send + Sync + 'static>(
        &mut self,
        engine: &Arc<Engine<App>>,
        source: &Source,
        stop: &CancellationToken,
    ) {
        let unreadable = source.link.unreadable();
        if unreadable == std::mem::replace(&mut self.seen, unreadable) {
            return;
        }
        let queue = source.role.queue(&source.topology.service);
        match tokio::time::timeout(LIMIT, salvage(engine, source, &queue, stop)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::warn!(queue, error = why, "salvaging the queue failed; trying again later"),
            Err(_) => tracing::warn!(queue, "salvaging the queue took too long; going on later"),
        }
    }
}

/// Looks at as many messages as this consumer and another one may have been handed at once.
async fn salvage<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    source: &Source,
    queue: &str,
    stop: &CancellationToken,
) -> Result<(), String> {
    let most = 2 * usize::from(engine.settings.prefetch).max(1);
    let mut salvage = Salvage::open(&source.link, queue, most, stop).await.map_err(|e| chain(&e))?;
    while let Some(unread) = salvage.next().await.map_err(|e| chain(&e))? {
        let written = tokio::time::timeout(WRITE_LIMIT, write_down(engine, source.role, &unread)).await;
        written.map_err(|_| "the database does not answer".to_owned())??;
        salvage.ack(&unread).await.map_err(|e| chain(&e))?;
        meters::salvaged(source.role).increment(1);
    }
    salvage.close().await.map_err(|e| chain(&e))
}

/// Parks every event of the message, for a person to look at; but a failure whose saga is known still undoes.
async fn write_down<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    role: QueueRole,
    unread: &Unread,
) -> Result<(), String> {
    let failures = QueueRole::Failures.queue(&engine.participant.name);
    for envelope in envelope::open(unread.raw.clone()) {
        let reason = unread.reason.to_owned();
        let of_saga = envelope.saga_id.is_ok();
        if role == QueueRole::Failures && of_saga {
            let inbound = Inbound::new(Arc::new(envelope), None);
            postpone(engine, role, &inbound, reason, Duration::ZERO).await?;
            engine.new_due.notify_one();
            continue;
        }
        let died = role == QueueRole::Parked && envelope.died_in.as_deref() == Some(&failures);
        let failure = died || role == QueueRole::Failures;
        let was = if failure { QueueRole::Failures } else { QueueRole::Events };
        // Under no step's name: a readable message of the same id must not be taken for another copy of this one.
        let row = Some((envelope.message_id, "-".to_owned()));
        let redrive = if failure && of_saga { Redrive::Allowed } else { Redrive::Refused };
        park(engine, was, &Inbound::new(Arc::new(envelope), row), reason, redrive).await?;
    }
    Ok(())
}
