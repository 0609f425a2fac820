//! Several events in one message, both ways. Pure.
//!
//! A message costs the broker the same whatever is in it, and that cost is the largest of a saga. So events for the same
//! route that are published together travel together: as a JSON array of envelopes with CloudEvents attribute names (an own
//! format: no conformance is claimed). Nothing waits for a bundle; one event alone is a plain message. Guard, verdict, retry,
//! parking and trace stay those of each event.

use crate::envelope::{Envelope, FIRST_DEATH, Malformed, PUBLISHED, RawMessage, open_plain, storable};
use crate::ids::{MessageId, SagaId};
use crate::outbox::Outgoing;
use crate::topology::Route;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

/// Content type of a bundle.
pub const BUNDLE: &str = "application/cloudevents-batch+json";
/// At most this many events travel in one bundle; more are refused as malformed.
pub const BUNDLE_EVENTS: usize = 64;
/// Bodies of a bundle together, in bytes: what does not fit travels in the next one. A larger body travels alone.
const BUNDLE_BYTES: usize = 128 * 1_024;

/// One event of a bundle.
#[derive(Serialize, Deserialize)]
struct Element<'a> {
    id: MessageId,
    subject: SagaId,
    #[serde(rename = "type", borrow)]
    event_type: Cow<'a, str>,
    #[serde(default, borrow)]
    source: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    causationid: Option<MessageId>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    traceparent: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "is_zero")]
    announcement: u32,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    sagafault: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// What a service bundles.
#[derive(Debug, Clone)]
pub(crate) struct Bundling {
    /// Events in one message at most; 1: never any.
    pub(crate) events: usize,
    /// Types of events that always travel alone.
    pub(crate) alone: Arc<BTreeSet<String>>,
}

/// One message of the broker's.
#[derive(Debug)]
pub(crate) struct Parcel<'a> {
    /// The event's own, or one for the bundle.
    pub(crate) id: MessageId,
    /// At least one, all for the same route.
    pub(crate) events: Vec<&'a Outgoing>,
    /// The body of the bundle, if there are several.
    pub(crate) bundle: Option<Vec<u8>>,
}

/// Makes messages of events: those for the same route together, in their order.
pub(crate) fn pack<'a>(events: &'a [Outgoing], bundling: &Bundling, source: &str) -> Vec<Parcel<'a>> {
    let mut groups: Vec<Vec<&Outgoing>> = Vec::new();
    // The group of each route that has still room, and the bytes that it holds.
    let mut open: HashMap<(Route, &str), (usize, usize)> = HashMap::new();
    for event in events {
        if bundling.alone.contains(&event.event_type) {
            groups.push(vec![event]);
            continue;
        }
        let route = (event.route, event.routing_key());
        match open.get_mut(&route) {
            Some((group, bytes))
                if groups[*group].len() < bundling.events && *bytes + event.body.len() <= BUNDLE_BYTES =>
            {
                groups[*group].push(event);
                *bytes += event.body.len();
            }
            _ => {
                open.insert(route, (groups.len(), event.body.len()));
                groups.push(vec![event]);
            }
        }
    }
    groups.into_iter().flat_map(|group| parcels(group, source)).collect()
}

fn parcels<'a>(events: Vec<&'a Outgoing>, source: &str) -> Vec<Parcel<'a>> {
    if events.len() > 1
        && let Some(body) = write(&events, source)
    {
        return vec![Parcel { id: MessageId::new(), events, bundle: Some(body) }];
    }
    events.into_iter().map(|event| Parcel { id: event.id, events: vec![event], bundle: None }).collect()
}

/// `None` if a body is no JSON: it travels as it is.
fn write(events: &[&Outgoing], source: &str) -> Option<Vec<u8>> {
    let elements: Option<Vec<Element>> = events.iter().map(|event| Element::of(event, source)).collect();
    serde_json::to_vec(&elements?).ok()
}

/// Opens a bundle: one envelope per event. Retry and parking are per event: a bad element does not take the others with it.
pub(crate) fn open(mut raw: RawMessage) -> Vec<Envelope> {
    let body = std::mem::take(&mut raw.body);
    // The broker gave all of them up, or none; and they were published together.
    let died_in = raw.headers.get(FIRST_DEATH).cloned();
    let published_ms = raw.headers.get(PUBLISHED).and_then(|at| at.parse().ok());
    match serde_json::from_slice::<Elements>(&body) {
        Ok(Elements(elements)) => {
            let opened = elements.into_iter().map(|element| open_element(element, &raw));
            opened.map(|event| Envelope { died_in: died_in.clone(), published_ms, ..event }).collect()
        }
        Err(_) => vec![Envelope { saga_id: Err(Malformed::BadBundle), ..open_plain(RawMessage { body, ..raw }) }],
    }
}

/// The bundle comes without its body.
fn open_element(element: &RawValue, bundle: &RawMessage) -> Envelope {
    match serde_json::from_str::<Element>(element.get()) {
        Ok(event) => event.into_envelope(),
        Err(_) => {
            let body = element.get().as_bytes().to_vec();
            let alone = RawMessage { message_id: None, body, ..bundle.clone() };
            Envelope { saga_id: Err(Malformed::BadElement), ..open_plain(alone) }
        }
    }
}

impl<'a> Element<'a> {
    fn of(event: &'a Outgoing, source: &'a str) -> Option<Self> {
        Some(Self {
            id: event.id,
            subject: event.saga_id,
            event_type: event.event_type.as_str().into(),
            source: source.into(),
            causationid: event.causation_id,
            traceparent: event.traceparent.as_deref().map(Cow::from),
            announcement: event.announcement,
            sagafault: event.fault.as_deref().map(Cow::from),
            data: serde_json::from_slice(&event.body).ok()?,
        })
    }

    fn into_envelope(self) -> Envelope {
        Envelope {
            message_id: self.id,
            saga_id: Ok(self.subject),
            event_type: storable(self.event_type.into_owned()),
            source: storable(self.source.into_owned()),
            causation_id: self.causationid,
            traceparent: self.traceparent.map(Cow::into_owned).map(storable),
            published_ms: None,
            announcement: self.announcement,
            fault: self.sagafault.map(Cow::into_owned),
            died_in: None,
            body: self.data.get().as_bytes().to_vec(),
        }
    }
}

/// The elements of a bundle, unread. Of one with too many no more are looked at: it costs no memory for each.
#[derive(Deserialize)]
#[serde(transparent)]
struct Elements<'a>(#[serde(borrow, deserialize_with = "few")] Vec<&'a RawValue>);

fn few<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<&'de RawValue>, D::Error> {
    struct Few;

    impl<'de> Visitor<'de> for Few {
        type Value = Vec<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "1 to {BUNDLE_EVENTS} elements")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut elements = Vec::new();
            while let Some(element) = seq.next_element()? {
                if elements.len() == BUNDLE_EVENTS {
                    return Err(A::Error::invalid_length(BUNDLE_EVENTS + 1, &self));
                }
                elements.push(element);
            }
            if elements.is_empty() { Err(A::Error::invalid_length(0, &self)) } else { Ok(elements) }
        }
    }

    deserializer.deserialize_seq(Few)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bundling(events: usize, alone: &[&str]) -> Bundling {
        Bundling { events, alone: Arc::new(alone.iter().map(ToString::to_string).collect()) }
    }

    fn event(event_type: &str, body: &[u8]) -> Outgoing {
        Outgoing::new(
            SagaId::new(),
            Route::Direct,
            event_type,
            Some(MessageId::new()),
            Default::default(),
            body.to_vec(),
        )
    }

    fn opened(parcel: &Parcel<'_>) -> Vec<Envelope> {
        let body = parcel.bundle.clone().expect("a bundle");
        crate::envelope::open(RawMessage { content_type: Some(BUNDLE.to_owned()), body, ..RawMessage::default() })
    }

    #[test]
    fn what_is_alone_is_a_plain_message_under_its_own_id() {
        let events = [event("order.placed.v1", b"{}"), event("stock.reserved.v1", b"{}")];
        let parcels = pack(&events, &bundling(64, &[]), "order");
        assert_eq!(parcels.iter().map(|it| it.id).collect::<Vec<_>>(), [events[0].id, events[1].id]);
        assert!(parcels.iter().all(|parcel| parcel.bundle.is_none()));
    }

    #[test]
    fn bundles_can_be_turned_off_and_a_type_of_event_left_out() {
        let events: Vec<Outgoing> = (0..5).map(|_| event("order.placed.v1", b"{}")).collect();
        for bundling in [bundling(1, &[]), bundling(64, &["order.placed.v1"])] {
            let parcels = pack(&events, &bundling, "order");
            assert_eq!(parcels.len(), 5);
            assert!(parcels.iter().zip(&events).all(|(parcel, event)| parcel.id == event.id));
        }
    }

    #[test]
    fn a_body_that_is_no_json_and_its_neighbours_travel_as_they_are() {
        let events = [event("order.placed.v1", b"{}"), event("order.placed.v1", b"\xff")];
        assert_eq!(pack(&events, &bundling(64, &[]), "order").len(), 2);
    }

    #[test]
    fn a_bundle_is_full_by_number_or_by_bytes() {
        let small: Vec<Outgoing> = (0..130).map(|_| event("order.placed.v1", b"{}")).collect();
        let sizes = |events: &[Outgoing]| -> Vec<usize> {
            pack(events, &bundling(BUNDLE_EVENTS, &[]), "order").iter().map(|it| it.events.len()).collect()
        };
        assert_eq!(sizes(&small), [64, 64, 2]);
        let body = format!("\"{}\"", "x".repeat(BUNDLE_BYTES / 2));
        let large: Vec<Outgoing> = (0..3).map(|_| event("order.placed.v1", body.as_bytes())).collect();
        assert_eq!(sizes(&large), [1, 1, 1]);
    }

    proptest! {
        #[test]
        fn every_event_arrives_once_as_its_plain_message_would(
            kinds in proptest::collection::vec((0..3usize, any::<bool>(), 0..3u32, "[a-z \"\\\\\u{e4}]{0,20}"), 0..200),
            most in 1..=BUNDLE_EVENTS,
        ) {
            let types = ["order.placed.v1", "stock.reserved.v1", "order.confirmed.v1"];
            let events: Vec<Outgoing> = kinds
                .iter()
                .map(|(kind, traced, announcement, text)| Outgoing {
                    announcement: *announcement,
                    traceparent: traced.then(|| text.clone()),
                    fault: traced.then(|| text.clone()),
                    ..event(types[*kind], &serde_json::to_vec(text).expect("JSON"))
                })
                .collect();
            let parcels = pack(&events, &bundling(most, &["stock.reserved.v1"]), "order");
            let mut arrived = HashMap::new();
            for parcel in &parcels {
                prop_assert!(parcel.events.len() <= most);
                prop_assert!(parcel.events.iter().all(|it| it.routing_key() == parcel.events[0].routing_key()));
                if parcel.bundle.is_some() {
                    let ids: Vec<MessageId> = parcel.events.iter().map(|it| it.id).collect();
                    let envelopes = opened(parcel);
                    prop_assert_eq!(ids, envelopes.iter().map(|it| it.message_id).collect::<Vec<_>>());
                    arrived.extend(envelopes.into_iter().map(|it| (it.message_id, Some(it))));
                } else {
                    prop_assert_eq!((parcel.events.len(), parcel.id), (1, parcel.events[0].id));
                    arrived.insert(parcel.id, None);
                }
            }
            prop_assert_eq!(arrived.len(), events.len());
            for sent in &events {
                let Some(Some(envelope)) = arrived.get(&sent.id) else { continue };
                prop_assert_eq!(envelope.saga_id.as_ref(), Ok(&sent.saga_id));
                prop_assert_eq!(&envelope.event_type, &sent.event_type);
                prop_assert_eq!(envelope.causation_id, sent.causation_id);
                prop_assert_eq!(&envelope.traceparent, &sent.traceparent);
                prop_assert_eq!(envelope.announcement, sent.announcement);
                prop_assert_eq!(&envelope.fault, &sent.fault);
                prop_assert_eq!(&envelope.body, &sent.body);
                prop_assert_eq!(envelope.source.as_str(), "order");
            }
        }
    }
}
