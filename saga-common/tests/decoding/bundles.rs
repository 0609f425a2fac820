//! Bundles: each element is the event its plain message would be, whatever its neighbours are.

use crate::envelopes::{Sent, any_json, sent};
use proptest::collection::vec;
use proptest::prelude::*;
use saga_common::envelope::{BUNDLE, BUNDLE_EVENTS, Envelope, Malformed, RawMessage, open};

fn bundle(elements: &[String]) -> RawMessage {
    let body = format!("[{}]", elements.join(",")).into_bytes();
    let message_id = Some("00000000-0000-7000-8000-000000000001".to_owned());
    RawMessage { message_id, content_type: Some(BUNDLE.to_owned()), body, ..RawMessage::default() }
}

/// Elements, and for each the event it is, if it is one.
fn elements() -> impl Strategy<Value = Vec<(String, Option<Sent>)>> {
    let good = sent().prop_map(|sent| (sent.element(), Some(sent)));
    // No such JSON is an envelope: it would need a UUID.
    let bad = any_json().prop_map(|json| (json.to_string(), None));
    let lacking = sent().prop_map(|sent| (sent.element().replacen("\"subject\"", "\"object\"", 1), None));
    vec(prop_oneof![3 => good, 1 => bad, 1 => lacking], 1..=5)
}

proptest! {
    #[test]
    fn a_bundle_of_one_opens_to_what_its_plain_message_opens_to(sent in sent()) {
        prop_assert_eq!(open(bundle(&[sent.element()])), open(sent.plain()));
    }

    #[test]
    fn order_and_count_are_kept_and_a_bad_element_touches_no_other(elements in elements()) {
        let texts: Vec<String> = elements.iter().map(|(text, _)| text.clone()).collect();
        let opened = open(bundle(&texts));
        prop_assert_eq!(opened.len(), elements.len());
        for (envelope, (text, event)) in opened.iter().zip(&elements) {
            match event {
                Some(sent) => prop_assert_eq!(envelope, &sent.envelope()),
                None => {
                    prop_assert_eq!(&envelope.saga_id, &Err(Malformed::BadElement));
                    prop_assert_eq!(&envelope.body, text.as_bytes());
                }
            }
        }
    }

    #[test]
    fn what_is_unreadable_has_the_same_id_in_every_bundle_and_another_than_its_neighbours(elements in elements()) {
        let unreadable = |opened: Vec<Envelope>| -> Vec<_> {
            let bad = opened.into_iter().filter(|envelope| envelope.saga_id.is_err());
            bad.map(|envelope| (envelope.message_id, envelope.body)).collect()
        };
        let mut texts: Vec<String> = elements.into_iter().map(|(text, _)| text).collect();
        let mut before = unreadable(open(bundle(&texts)));
        texts.reverse();
        let mut after = unreadable(open(bundle(&texts)));
        after.reverse();
        prop_assert_eq!(&before, &after);
        before.sort();
        before.dedup_by(|one, other| one.1 == other.1);
        prop_assert!(before.windows(2).all(|two| two[0].0 != two[1].0));
    }

    #[test]
    fn a_bundle_cut_anywhere_is_refused_whole(all in vec(sent(), 1..4), cut in any::<prop::sample::Index>()) {
        let mut cut_off = bundle(&all.iter().map(Sent::element).collect::<Vec<_>>());
        cut_off.body.truncate(cut.index(cut_off.body.len()));
        let opened = open(cut_off.clone());
        prop_assert_eq!(opened.len(), 1);
        prop_assert_eq!(&opened[0].saga_id, &Err(Malformed::BadBundle));
        prop_assert_eq!(&opened[0].body, &cut_off.body);
    }
}

#[test]
fn as_many_events_as_a_bundle_may_hold_are_opened_and_one_more_is_refused() {
    let of = |count: usize| open(bundle(&vec!["{}".to_owned(); count]));
    assert_eq!(of(BUNDLE_EVENTS).len(), BUNDLE_EVENTS);
    let refused = of(BUNDLE_EVENTS + 1);
    assert_eq!((refused.len(), &refused[0].saga_id), (1, &Err(Malformed::BadBundle)));
    assert_eq!(of(0)[0].saga_id, Err(Malformed::BadBundle));
}

#[test]
fn a_bundle_of_millions_costs_no_memory_for_each() {
    const BYTES: usize = 32 * 1024 * 1024;
    let body = [&b"["[..], &b"0,".repeat(BYTES / 2)].concat();
    let huge = RawMessage { content_type: Some(BUNDLE.to_owned()), body, ..RawMessage::default() };
    let before = saga_fuzz::peak_bytes();
    assert_eq!(open(huge)[0].saga_id, Err(Malformed::BadBundle));
    let grown = saga_fuzz::peak_bytes() - before;
    // The body once more, where its id is worked out.
    assert!(grown < 3 * BYTES as u64, "{grown} bytes for a body of {BYTES}");
}
