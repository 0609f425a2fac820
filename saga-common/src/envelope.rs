//! One event as it travels: pure translation from AMQP properties plus body to [`Envelope`]s. A plain message carries one
//! event, its metadata in the AMQP properties; a bundle carries several (see `bundle.rs`).

use crate::bundle;
pub use crate::bundle::{BUNDLE, BUNDLE_EVENTS};
use crate::ids::{MessageId, SagaId};
use std::collections::BTreeMap;

/// Content type of a plain message.
pub const JSON: &str = "application/json";
/// Header: the message that caused this one.
pub const CAUSATION_ID: &str = "causation-id";
/// Header: W3C trace context.
pub const TRACEPARENT: &str = "traceparent";
/// Header: when the message was published, in milliseconds since 1970. The name is that of RabbitMQ's own interceptor, which can
/// set it too.
pub const PUBLISHED: &str = "timestamp_in_ms";
/// Header of the broker's: where a dead-lettered message died first.
pub(crate) const FIRST_DEATH: &str = "x-first-death-queue";
/// Header: fault directives of the message's saga (see [`faults`](crate::faults)).
pub const FAULT: &str = "saga-fault";
/// Header: how often this announcement was made before.
pub const ANNOUNCEMENT: &str = "announcement";

/// A message as the broker client hands it over: strings, not yet believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawMessage {
    /// AMQP property.
    pub message_id: Option<String>,
    /// AMQP property: the saga id.
    pub correlation_id: Option<String>,
    /// AMQP property `type`: the event type.
    pub event_type: Option<String>,
    /// AMQP property: the service that said it.
    pub app_id: Option<String>,
    /// AMQP property.
    pub content_type: Option<String>,
    /// Headers that hold text or numbers.
    pub headers: BTreeMap<String, String>,
    /// The payload.
    pub body: Vec<u8>,
}

/// One event with its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Stable over republish; derived from the content where the sender gave none.
    pub message_id: MessageId,
    /// The saga, or why it cannot be told.
    pub saga_id: Result<SagaId, Malformed>,
    /// The wire type; empty where the sender gave none.
    pub event_type: String,
    /// The service that said it.
    pub source: String,
    /// The message that caused it.
    pub causation_id: Option<MessageId>,
    /// W3C trace context of the sender.
    pub traceparent: Option<String>,
    /// When it was published, in milliseconds since 1970 by its sender's clock. For metrics only.
    pub published_ms: Option<u64>,
    /// 0 for what is said once; n for the nth repeat of an announcement.
    pub announcement: u32,
    /// Fault directives its saga carries.
    pub fault: Option<String>,
    /// The queue the broker gave the message up in, if it did.
    pub died_in: Option<String>,
    /// The event, JSON if its sender behaved.
    pub body: Vec<u8>,
}

/// Why a message cannot be taken as an event of a saga.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No correlation id.
    #[error("malformed: the message has no correlation id, so it belongs to no saga")]
    NoSaga,
    /// The correlation id is no UUID.
    #[error("malformed: the correlation id is no UUID")]
    BadSaga,
    /// The message id is no UUID.
    #[error("malformed: the message id is missing or no UUID")]
    BadMessageId,
    /// A bundle that is no array of envelopes.
    #[error("malformed: the bundle is no array of at most {BUNDLE_EVENTS} envelopes")]
    BadBundle,
    /// An element of a bundle that is no envelope; its neighbours are handled.
    #[error("malformed: an element of a bundle is no envelope")]
    BadElement,
}

/// Opens a message: one envelope for a plain one, one per event for a bundle. Never fails: what cannot be read comes
/// back as an envelope whose saga id says why, so that it can be parked.
#[must_use]
pub fn open(raw: RawMessage) -> Vec<Envelope> {
    match raw.content_type.as_deref() {
        Some(BUNDLE) => bundle::open(raw),
        _ => vec![open_plain(raw)],
    }
}

pub(crate) fn open_plain(raw: RawMessage) -> Envelope {
    let given_id = raw.message_id.as_deref().and_then(|id| id.parse::<MessageId>().ok());
    let saga_id = match raw.correlation_id.as_deref() {
        None | Some("") => Err(Malformed::NoSaga),
        Some(id) => id.parse::<SagaId>().map_err(|_| Malformed::BadSaga),
    };
    let header = |name: &str| raw.headers.get(name).map(String::as_str);
    let event_type = storable(raw.event_type.unwrap_or_default());
    Envelope {
        message_id: given_id.unwrap_or_else(|| {
            // Without NULs of its own, so that no other message's parts are joined to the same bytes.
            let correlation = storable(raw.correlation_id.clone().unwrap_or_default());
            MessageId::of_content(&[event_type.as_bytes(), correlation.as_bytes(), &raw.body].join(&0))
        }),
        saga_id,
        source: storable(raw.app_id.unwrap_or_default()),
        causation_id: header(CAUSATION_ID).and_then(|id| id.parse().ok()),
        traceparent: header(TRACEPARENT).map(str::to_owned).map(storable),
        published_ms: header(PUBLISHED).and_then(|at| at.parse().ok()),
        announcement: header(ANNOUNCEMENT).and_then(|n| n.parse().ok()).unwrap_or(0),
        fault: header(FAULT).map(str::to_owned),
        died_in: header(FIRST_DEATH).map(str::to_owned),
        event_type,
        body: raw.body,
    }
}

/// Text that the database can hold: PostgreSQL's has no NUL.
pub(crate) fn storable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> RawMessage {
        RawMessage {
            message_id: Some(MessageId::new().to_string()),
            correlation_id: Some(SagaId::new().to_string()),
            event_type: Some("order.placed.v1".to_owned()),
            app_id: Some("order".to_owned()),
            content_type: Some(JSON.to_owned()),
            headers: BTreeMap::from([(ANNOUNCEMENT.to_owned(), "2".to_owned())]),
            body: b"{}".to_vec(),
        }
    }

    #[test]
    fn a_plain_message_opens_to_one_envelope() {
        let raw = plain();
        let opened = open(raw.clone());
        assert_eq!(opened.len(), 1);
        assert_eq!(Some(opened[0].message_id.to_string()), raw.message_id);
        assert_eq!((opened[0].announcement, opened[0].event_type.as_str()), (2, "order.placed.v1"));
        assert!(opened[0].saga_id.is_ok());
    }

    #[test]
    fn a_bundle_opens_to_its_events_with_their_own_ids() {
        let (a, b) = (MessageId::new(), MessageId::new());
        let saga = SagaId::new();
        let event = |id: MessageId, n: u32| {
            format!(
                r#"{{"id":"{id}","subject":"{saga}","type":"order.placed.v1","source":"order","data":{{"n": {n}}},"future":1}}"#
            )
        };
        let body = format!("[{},{}]", event(a, 1), event(b, 2)).into_bytes();
        let opened = open(RawMessage { content_type: Some(BUNDLE.to_owned()), body, ..plain() });
        assert_eq!(opened.iter().map(|e| e.message_id).collect::<Vec<_>>(), [a, b]);
        assert_eq!(opened[1].body, br#"{"n": 2}"#);
    }

    #[test]
    fn what_cannot_be_read_keeps_an_id_that_its_redelivery_has_too() {
        let broken = RawMessage { message_id: None, correlation_id: Some("7".to_owned()), ..plain() };
        let (first, second) = (open(broken.clone()), open(broken));
        assert_eq!(first[0].message_id, second[0].message_id);
        assert_eq!(first[0].saga_id, Err(Malformed::BadSaga));
        let bundle = |body: &[u8]| RawMessage { content_type: Some(BUNDLE.to_owned()), body: body.to_vec(), ..plain() };
        assert_eq!(open(bundle(b"{}"))[0].saga_id, Err(Malformed::BadBundle));
        assert_eq!(open(bundle(b"[]"))[0].saga_id, Err(Malformed::BadBundle));
    }

    #[test]
    fn a_bad_element_does_not_take_its_bundle_with_it() {
        let (id, saga) = (MessageId::new(), SagaId::new());
        let body =
            format!(r#"[7, {{"id":"{id}","subject":"{saga}","type":"order.placed.v1","data":{{}}}}]"#).into_bytes();
        let opened = open(RawMessage { content_type: Some(BUNDLE.to_owned()), body, ..plain() });
        assert_eq!(opened[0].saga_id, Err(Malformed::BadElement));
        assert_eq!((opened[1].message_id, &opened[1].saga_id), (id, &Ok(saga)));
    }

    #[test]
    fn no_text_of_a_message_is_one_that_the_database_refuses() {
        let raw = RawMessage { event_type: Some("bad\0type".to_owned()), app_id: Some("\0".to_owned()), ..plain() };
        let opened = open(raw);
        assert_eq!((opened[0].event_type.as_str(), opened[0].source.as_str()), ("bad\u{fffd}type", "\u{fffd}"));
    }
}
