//! Publishing with confirms: one batch in flight on a channel of its own.

use super::{BrokerError, Link, bounded};
use crate::bundle::{self, BUNDLE, Bundling, Parcel};
use crate::envelope::{ANNOUNCEMENT, CAUSATION_ID, FAULT, JSON, PUBLISHED, TRACEPARENT};
use crate::faults::{self, Fault};
use crate::ids::{MessageId, now_ms};
use crate::outbox::Outgoing;
use futures::future::join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

const UNBLOCK_LOOK: Duration = Duration::from_millis(100);

/// What became of a batch.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// The broker is responsible for these now.
    pub(crate) confirmed: HashSet<MessageId>,
    /// No queue was there for these.
    pub(crate) returned: HashSet<MessageId>,
}

impl Report {
    /// Has the broker this message? Of two copies that were published together, one may have come back.
    pub(crate) fn has(&self, id: MessageId) -> bool {
        self.confirmed.contains(&id) && !self.returned.contains(&id)
    }
}

/// Publishes one batch at a time, on a channel that is made anew after any failure: what was unclear on the old one
/// is published again, under the same ids.
pub(crate) struct Publisher {
    link: Arc<Link>,
    bundling: Bundling,
    channel: Option<Channel>,
}

impl Publisher {
    pub(crate) fn new(link: Arc<Link>, bundling: Bundling) -> Self {
        Self { link, bundling, channel: None }
    }

    /// Publishes, mandatory and persistent, and waits for all confirms. An event counts as confirmed only if its message's
    /// own confirm is a clean ack *and* that message's id is in no return of the whole batch: the client can attach a return
    /// to another message's confirm (R5).
    pub(crate) async fn publish(&mut self, batch: &[Outgoing]) -> Result<Report, BrokerError> {
        while self.link.is_blocked() {
            tokio::time::sleep(UNBLOCK_LOOK).await;
        }
        let channel = match self.channel.take() {
            Some(channel) if channel.status().connected() => channel,
            _ => self.open().await?,
        };
        let published = async {
            faults::BEFORE_PUBLISH.reached().await?;
            let parcels = bundle::pack(batch, &self.bundling, self.link.service());
            let report = publish_on(&channel, self.link.service(), &parcels).await?;
            faults::AFTER_CONFIRM.reached().await?;
            Ok(report)
        };
        let published = published.await;
        match &published {
            Ok(_) => self.channel = Some(channel),
            // No answer, and the broker has not said that it blocks: the connection may be half-open.
            Err(BrokerError::Silent(_)) if !self.link.is_blocked() => self.link.discard().await,
            Err(BrokerError::Injected(Fault::Dropped)) => self.link.discard().await,
            Err(_) => {}
        }
        published
    }

    async fn open(&self) -> Result<Channel, BrokerError> {
        let channel = self.link.channel().await?;
        bounded("ask for confirms", channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(channel)
    }
}

async fn publish_on(channel: &Channel, source: &str, parcels: &[Parcel<'_>]) -> Result<Report, BrokerError> {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    // All are handed to the client before the first is awaited: one wake-up of its thread instead of one each.
    let sent = join_all(parcels.iter().filter_map(|parcel| {
        let first = parcel.events.first()?;
        Some(channel.basic_publish(
            first.route.exchange().into(),
            first.routing_key().into(),
            options,
            parcel.bundle.as_ref().unwrap_or(&first.body),
            properties(parcel, first, source),
        ))
    }));
    let sent = bounded("publish", async { sent.await.into_iter().collect::<Result<Vec<_>, _>>() }).await?;
    faults::BEFORE_CONFIRM.reached().await?;
    let confirms = join_all(sent);
    let confirms = bounded("await confirms", async { Ok(confirms.await) }).await?;
    let (mut clean, mut returned) = (HashSet::new(), HashSet::new());
    for (parcel, confirm) in parcels.iter().zip(confirms) {
        match confirm.map_err(|source| BrokerError::Client { what: "await a confirm", source })? {
            Confirmation::Ack(None) => {
                clean.insert(parcel.id);
            }
            Confirmation::Ack(Some(message)) | Confirmation::Nack(Some(message)) => {
                let id = message.delivery.properties.message_id().as_ref().and_then(|id| id.as_str().parse().ok());
                returned.insert(id.unwrap_or(parcel.id));
                returned.insert(parcel.id);
            }
            Confirmation::Nack(None) | Confirmation::NotRequested => {}
        }
    }
    let mut report = Report::default();
    for parcel in parcels {
        let events = parcel.events.iter().map(|event| event.id);
        if returned.contains(&parcel.id) {
            report.returned.extend(events);
        } else if clean.contains(&parcel.id) {
            report.confirmed.extend(events);
        }
    }
    Ok(report)
}

fn properties(parcel: &Parcel<'_>, first: &Outgoing, source: &str) -> BasicProperties {
    let now_ms = now_ms();
    let properties = BasicProperties::default()
        .with_message_id(parcel.id.to_string().into())
        .with_type(first.event_type.as_str().into())
        .with_app_id(source.into())
        .with_timestamp(now_ms / 1_000)
        .with_delivery_mode(2);
    let mut headers = FieldTable::default();
    headers.insert(PUBLISHED.into(), AMQPValue::LongLongInt(i64::try_from(now_ms).unwrap_or(i64::MAX)));
    if parcel.bundle.is_some() {
        return properties.with_content_type(BUNDLE.into()).with_headers(headers);
    }
    tell(&mut headers, first);
    let correlation_id = first.saga_id.to_string().into();
    properties.with_correlation_id(correlation_id).with_content_type(JSON.into()).with_headers(headers)
}

/// What AMQP has no property for.
fn tell(headers: &mut FieldTable, message: &Outgoing) {
    let text = |text: String| AMQPValue::LongString(text.into());
    if let Some(cause) = message.causation_id {
        headers.insert(CAUSATION_ID.into(), text(cause.to_string()));
    }
    if let Some(trace) = &message.traceparent {
        headers.insert(TRACEPARENT.into(), text(trace.clone()));
    }
    if message.announcement > 0 {
        headers.insert(ANNOUNCEMENT.into(), AMQPValue::LongLongInt(i64::from(message.announcement)));
    }
    if let Some(fault) = &message.fault {
        headers.insert(FAULT.into(), text(fault.clone()));
    }
}
