//! Plain messages: what is written is what is read, and whatever else comes has an id and a reason.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use saga_common::envelope::{
    ANNOUNCEMENT, BUNDLE, CAUSATION_ID, Envelope, FAULT, JSON, Malformed, RawMessage, TRACEPARENT, open,
};
use saga_common::{MessageId, SagaId};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// An event as its sender knows it.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) message_id: MessageId,
    pub(crate) saga_id: SagaId,
    pub(crate) event_type: String,
    pub(crate) source: String,
    pub(crate) causation_id: Option<MessageId>,
    pub(crate) traceparent: Option<String>,
    pub(crate) announcement: u32,
    pub(crate) fault: Option<String>,
    pub(crate) body: String,
}

pub(crate) fn sent() -> impl Strategy<Value = Sent> {
    let texts = (any::<String>(), any::<String>(), option::of(any::<String>()), option::of(any::<String>()));
    let ids = (any::<u128>(), any::<u128>(), option::of(any::<u128>()));
    (ids, texts, any::<u32>(), any_json()).prop_map(|(ids, texts, announcement, body)| Sent {
        message_id: Uuid::from_u128(ids.0).into(),
        saga_id: Uuid::from_u128(ids.1).into(),
        event_type: texts.0,
        source: texts.1,
        causation_id: ids.2.map(|id| Uuid::from_u128(id).into()),
        traceparent: texts.2,
        announcement,
        fault: texts.3,
        body: body.to_string(),
    })
}

pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 10, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            btree_map(any::<String>(), inner, 0..5).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

impl Sent {
    pub(crate) fn plain(&self) -> RawMessage {
        let mut headers = BTreeMap::from([(ANNOUNCEMENT.to_owned(), self.announcement.to_string())]);
        headers.extend(self.causation_id.map(|id| (CAUSATION_ID.to_owned(), id.to_string())));
        headers.extend(self.traceparent.clone().map(|trace| (TRACEPARENT.to_owned(), trace)));
        headers.extend(self.fault.clone().map(|fault| (FAULT.to_owned(), fault)));
        RawMessage {
            message_id: Some(self.message_id.to_string()),
            correlation_id: Some(self.saga_id.to_string()),
            event_type: Some(self.event_type.clone()),
            app_id: Some(self.source.clone()),
            content_type: Some(JSON.to_owned()),
            headers,
            body: self.body.clone().into_bytes(),
        }
    }

    /// As an element of a bundle.
    pub(crate) fn element(&self) -> String {
        let attributes = json!({
            "id": self.message_id, "subject": self.saga_id, "type": self.event_type, "source": self.source,
            "causationid": self.causation_id, "traceparent": self.traceparent, "announcement": self.announcement,
            "sagafault": self.fault, "specversion": "1.0",
        });
        let attributes = attributes.to_string();
        // The body as its sender wrote it, byte by byte.
        format!("{},\"data\":{}}}", attributes.trim_end_matches('}'), self.body)
    }

    pub(crate) fn envelope(&self) -> Envelope {
        let storable = |text: &String| text.replace('\0', "\u{fffd}");
        Envelope {
            message_id: self.message_id,
            saga_id: Ok(self.saga_id),
            event_type: storable(&self.event_type),
            source: storable(&self.source),
            causation_id: self.causation_id,
            traceparent: self.traceparent.as_ref().map(storable),
            published_ms: None,
            announcement: self.announcement,
            fault: self.fault.clone(),
            died_in: None,
            body: self.body.clone().into_bytes(),
        }
    }
}

/// Anything a broker client could hand over.
pub(crate) fn any_message() -> impl Strategy<Value = RawMessage> {
    let ids = prop_oneof![any::<u128>().prop_map(|id| Uuid::from_u128(id).to_string()), any::<String>()];
    let types = prop_oneof![Just(JSON.to_owned()), Just(BUNDLE.to_owned()), any::<String>()];
    let names = prop_oneof![Just(ANNOUNCEMENT), Just(CAUSATION_ID), Just(TRACEPARENT), Just(FAULT)];
    let headers = btree_map(names.prop_map(str::to_owned), any::<String>(), 0..4);
    let bodies = prop_oneof![vec(any::<u8>(), 0..200), any_json().prop_map(|json| json.to_string().into_bytes())];
    let texts = (option::of(any::<String>()), option::of(any::<String>()), option::of(types));
    (option::of(ids.clone()), option::of(ids), texts, headers, bodies).prop_map(
        |(message_id, correlation_id, (event_type, app_id, content_type), headers, body)| RawMessage {
            message_id,
            correlation_id,
            event_type,
            app_id,
            content_type,
            headers,
            body,
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_read(sent in sent()) {
        prop_assert_eq!(open(sent.plain()), [sent.envelope()]);
    }

    #[test]
    fn what_is_no_bundle_opens_to_one_envelope_with_its_body(raw in any_message()) {
        let plain = RawMessage { content_type: raw.content_type.filter(|kind| kind != BUNDLE), ..raw };
        let opened = open(plain.clone());
        prop_assert_eq!(opened.len(), 1);
        prop_assert_eq!(&opened[0].body, &plain.body);
        let expected = match plain.correlation_id.as_deref() {
            None | Some("") => Err(Malformed::NoSaga),
            Some(id) => id.parse().map_err(|_| Malformed::BadSaga),
        };
        prop_assert_eq!(&opened[0].saga_id, &expected);
    }

    #[test]
    fn no_message_is_without_an_envelope_and_no_text_of_it_is_one_the_database_refuses(raw in any_message()) {
        let opened = open(raw);
        prop_assert!(!opened.is_empty());
        for envelope in opened {
            let texts = [Some(&envelope.event_type), Some(&envelope.source), envelope.traceparent.as_ref()];
            prop_assert!(texts.into_iter().flatten().all(|text| !text.contains('\0')));
        }
    }

    #[test]
    fn a_redelivery_has_the_ids_of_the_first_delivery(raw in any_message()) {
        prop_assert_eq!(open(raw.clone()), open(raw));
    }

    #[test]
    fn two_messages_without_ids_are_not_taken_for_each_other(
        // Few characters: so that their parts can be joined to the same text.
        one in ("[a\0]{0,3}", "[a\0]{0,3}", "[a\0]{0,3}"), other in ("[a\0]{0,3}", "[a\0]{0,3}", "[a\0]{0,3}"),
    ) {
        let of = |(event_type, correlation_id, body): &(String, String, String)| RawMessage {
            event_type: Some(event_type.clone()),
            correlation_id: Some(correlation_id.clone()),
            body: body.clone().into_bytes(),
            ..RawMessage::default()
        };
        let id = |raw| open(raw)[0].message_id;
        prop_assert_eq!(id(of(&one)) == id(of(&other)), one == other);
    }
}
