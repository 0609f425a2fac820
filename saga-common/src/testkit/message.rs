//! Messages as the broker would hand them over.

use crate::bundle::{self, BUNDLE, BUNDLE_EVENTS, Bundling, Parcel};
use crate::envelope::{Envelope, JSON, Malformed, RawMessage};
use crate::error::Error;
use crate::event::{Event, EventType};
use crate::ids::{MessageId, SagaId};
use crate::outbox::Outgoing;
use crate::telemetry::trace::Origin;
use crate::topology::{QueueRole, Route};
use std::sync::Arc;

/// A message to be delivered, with an id of its own. Delivered twice, or cloned, it is the same message again.
#[derive(Debug, Clone)]
pub struct Message {
    pub(super) envelope: Envelope,
    pub(super) role: QueueRole,
    redelivered: bool,
}

impl Message {
    /// A success, as the service that says `event` sends it.
    ///
    /// # Errors
    /// When the event has no wire type or cannot be written as JSON.
    pub fn of<E: Event>(saga_id: SagaId, event: &E) -> Result<Self, Error> {
        let event_type = EventType::of::<E>()?;
        let body = serde_json::to_vec(event)?;
        Ok(Self::new(QueueRole::Events, saga_id, event_type.as_str(), body))
    }

    /// A failure with a reason, as the service that refuses with `event` fans it out.
    ///
    /// # Errors
    /// When the event has no wire type or cannot be written as JSON.
    pub fn refusal<E: Event>(saga_id: SagaId, event: &E) -> Result<Self, Error> {
        Ok(Self { role: QueueRole::Failures, ..Self::of(saga_id, event)? })
    }

    /// A failure that has nothing but a saga id: all that an undo may rely on.
    #[must_use]
    pub fn failure(saga_id: SagaId) -> Self {
        Self::new(QueueRole::Failures, saga_id, "", Vec::new())
    }

    fn new(role: QueueRole, saga_id: SagaId, event_type: &str, body: Vec<u8>) -> Self {
        let envelope = Envelope {
            message_id: MessageId::new(),
            saga_id: Ok(saga_id),
            event_type: event_type.to_owned(),
            source: "testkit".to_owned(),
            causation_id: None,
            traceparent: None,
            published_ms: None,
            announcement: 0,
            fault: None,
            died_in: None,
            body,
        };
        Self { envelope, role, redelivered: false }
    }

    /// Messages as they travel when one service publishes them together: in bundles, as far as they have the same route.
    #[must_use]
    pub fn travelling(messages: &[Self]) -> Vec<RawMessage> {
        let outgoing: Vec<Outgoing> = messages.iter().filter_map(Self::outgoing).collect();
        let bundling = Bundling { events: BUNDLE_EVENTS, alone: Arc::default() };
        bundle::pack(&outgoing, &bundling, "testkit").into_iter().map(raw).collect()
    }

    pub(super) fn outgoing(&self) -> Option<Outgoing> {
        let envelope = &self.envelope;
        let saga_id = envelope.saga_id.as_ref().ok().copied()?;
        let route = if self.role == QueueRole::Failures { Route::Fanout } else { Route::Direct };
        let body = envelope.body.clone();
        let message =
            Outgoing::new(saga_id, route, &envelope.event_type, envelope.causation_id, Origin::default(), body);
        Some(Outgoing { id: envelope.message_id, ..message })
    }

    /// The same message as the `n`th repeat of an announcement.
    #[must_use]
    pub fn announced(mut self, n: u32) -> Self {
        self.envelope.announcement = n;
        self
    }

    /// The same message, marked by the broker as delivered before.
    #[must_use]
    pub fn redelivered(mut self) -> Self {
        self.redelivered = true;
        self
    }

    /// The same message with another body, as only a faulty sender would send it.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.envelope.body = body.into();
        self
    }

    /// The same message without a saga, as only a faulty sender would send it.
    #[must_use]
    pub fn without_saga(mut self) -> Self {
        self.envelope.saga_id = Err(Malformed::NoSaga);
        self
    }

    /// The message's id.
    #[must_use]
    pub fn id(&self) -> MessageId {
        self.envelope.message_id
    }

    /// What a subscription hands to the consumer.
    pub(super) fn delivery(&self) -> (Arc<Envelope>, bool) {
        (Arc::new(self.envelope.clone()), self.redelivered)
    }
}

/// The properties that `open` looks at.
fn raw(parcel: Parcel<'_>) -> RawMessage {
    let first = parcel.events.first();
    let content_type = if parcel.bundle.is_some() { BUNDLE } else { JSON };
    let saga_id = first.filter(|_| parcel.bundle.is_none()).map(|event| event.saga_id.to_string());
    RawMessage {
        message_id: Some(parcel.id.to_string()),
        correlation_id: saga_id,
        event_type: first.map(|event| event.event_type.clone()),
        app_id: Some("testkit".to_owned()),
        content_type: Some(content_type.to_owned()),
        body: parcel.bundle.or_else(|| first.map(|event| event.body.clone())).unwrap_or_default(),
        ..RawMessage::default()
    }
}
