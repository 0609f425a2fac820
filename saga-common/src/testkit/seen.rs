//! What a test has seen on the broker, with the client's own properties: so it can be sent again as it was.

use super::wire::properties;
use crate::envelope::{ANNOUNCEMENT, BUNDLE, CAUSATION_ID, Envelope, RawMessage, open};
use crate::ids::{MessageId, SagaId};
use lapin::message::Delivery;
use lapin::protocol::basic::AMQPProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use std::str::FromStr;
use uuid::Uuid;

/// An event with what came with it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Where it was published.
    pub exchange: String,
    /// Under which key.
    pub routing_key: String,
    /// Its id, if it has one that is a UUID.
    pub message_id: Option<MessageId>,
    /// Its saga, if it has one.
    pub saga_id: Option<SagaId>,
    /// Its wire type; empty if it has none.
    pub event_type: String,
    /// The service that signed it; none of what a [`Wire`](super::Wire) says.
    pub source: Option<String>,
    /// What caused it.
    pub causation_id: Option<MessageId>,
    /// Which repeat of an announcement it is.
    pub announcement: Option<i64>,
    /// All of its properties, to be sent again.
    pub properties: AMQPProperties,
    /// Its body.
    pub body: Vec<u8>,
    /// The bundle it came in, if it did not come alone.
    pub bundle: Option<MessageId>,
}

/// The events of a message: a bundle is opened, because it was said as events.
pub(super) fn events(delivery: Delivery) -> Vec<Seen> {
    let bundled = delivery.properties.content_type().as_ref().is_some_and(|it| it.as_str() == BUNDLE);
    let seen = Seen::from(delivery);
    if !bundled {
        return vec![seen];
    }
    let content_type = Some(BUNDLE.to_owned());
    let events = open(RawMessage { content_type, body: seen.body.clone(), ..RawMessage::default() });
    events.into_iter().map(|event| element(event, &seen)).collect()
}

/// An element of a bundle, as its plain message would be.
fn element(event: Envelope, bundle: &Seen) -> Seen {
    let saga_id = event.saga_id.ok();
    let announced = (event.announcement > 0).then(|| i64::from(event.announcement));
    let mut headers = FieldTable::default();
    if let Some(cause) = event.causation_id {
        headers.insert(CAUSATION_ID.into(), AMQPValue::LongString(cause.to_string().into()));
    }
    if let Some(n) = announced {
        headers.insert(ANNOUNCEMENT.into(), AMQPValue::LongLongInt(n));
    }
    let plain = properties(&event.event_type, saga_id.unwrap_or_else(|| Uuid::nil().into()));
    Seen {
        exchange: bundle.exchange.clone(),
        routing_key: bundle.routing_key.clone(),
        message_id: Some(event.message_id),
        saga_id,
        event_type: event.event_type,
        source: Some(event.source.clone()),
        causation_id: event.causation_id,
        announcement: announced,
        properties: plain
            .with_message_id(event.message_id.to_string().into())
            .with_app_id(event.source.into())
            .with_headers(headers),
        body: event.body,
        bundle: bundle.message_id,
    }
}

impl From<Delivery> for Seen {
    fn from(delivery: Delivery) -> Self {
        let properties = delivery.properties;
        let headers = properties.headers().clone().unwrap_or_default();
        let causation_id = match headers.inner().get(CAUSATION_ID) {
            Some(AMQPValue::LongString(id)) => String::from_utf8_lossy(id.as_bytes()).parse().ok(),
            _ => None,
        };
        let announcement = match headers.inner().get(ANNOUNCEMENT) {
            Some(AMQPValue::LongLongInt(n)) => Some(*n),
            _ => None,
        };
        Self {
            exchange: delivery.exchange.to_string(),
            routing_key: delivery.routing_key.to_string(),
            message_id: id(properties.message_id()),
            saga_id: id(properties.correlation_id()),
            event_type: properties.kind().as_ref().map(ToString::to_string).unwrap_or_default(),
            source: properties.app_id().as_ref().map(ToString::to_string),
            causation_id,
            announcement,
            properties,
            body: delivery.data,
            bundle: None,
        }
    }
}

fn id<T: FromStr>(text: &Option<ShortString>) -> Option<T> {
    text.as_ref()?.as_str().parse().ok()
}
