//! Published payloads: files that are never edited, only joined by others. Called after their event, and after what is special about
//! them: `payment.charged.v1.json`, `payment.charged.v1.wallet.json`.

use crate::conformity;
use crate::events::{self, Known};
use crate::files::{self, RENEW, committed, pretty, renewing};
use crate::schemas;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

const FOLDER: &str = "tests/contracts";
/// What each file was when it was published.
const DIGESTS: &str = "tests/contracts/published.json";

/// The names of the files, and what is in them.
fn published() -> BTreeMap<String, String> {
    let mut payloads = BTreeMap::new();
    for file in std::fs::read_dir(files::path(FOLDER)).expect("the folder of payloads") {
        let name = file.expect("a file").file_name().into_string().expect("a name");
        if name.ends_with(".json") && format!("{FOLDER}/{name}") != DIGESTS {
            let text = committed(&format!("{FOLDER}/{name}")).expect("a payload");
            payloads.insert(name, text);
        }
    }
    payloads
}

/// The event that a file holds a payload of.
fn event_of<'a>(file: &str, events: &'a [Known]) -> &'a Known {
    let named = |event: &&Known| file.strip_prefix(event.event_type).is_some_and(|rest| rest.starts_with('.'));
    events.iter().find(named).unwrap_or_else(|| panic!("{FOLDER}/{file} is called after no event"))
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_published_payload_is_still_read_and_written() {
    let events = events::all();
    for (file, text) in published() {
        let event = event_of(&file, &events);
        let payload: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let written =
            (event.again)(payload.clone()).unwrap_or_else(|error| panic!("{file} cannot be read any more: {error}"));
        assert_eq!(written, payload, "{file} is written as it was");
        let mut later = payload;
        later["a_field_of_the_future"] = json!({"n": 1});
        (event.again)(later).unwrap_or_else(|error| panic!("{file} with a new field: {error}"));
    }
}

#[test]
fn every_event_has_a_published_payload() {
    let (events, payloads) = (events::all(), published());
    for event in &events {
        let has = payloads.keys().any(|file| event_of(file, &events).event_type == event.event_type);
        assert!(has, "{} has no payload: add {FOLDER}/{0}.json", event.event_type);
    }
}

#[test]
fn published_payloads_are_what_their_schemas_say() {
    let events = events::all();
    for (file, text) in published() {
        let schema = schemas::document(event_of(&file, &events));
        let payload: Value = serde_json::from_str(&text).expect("JSON");
        let wrong = conformity::wrong(&schema, &payload);
        assert!(wrong.is_empty(), "{file}: {}", wrong.join("; "));
        // And a schema says something.
        for bad in [json!({"order_id": 7, "participant": 7}), json!({}), json!([])] {
            assert!(!conformity::wrong(&schema, &bad).is_empty(), "{file}: {bad}");
        }
    }
}

#[test]
fn a_published_payload_is_never_edited() {
    let digests = committed(DIGESTS).unwrap_or_else(|| "{}".to_owned());
    let mut digests: BTreeMap<String, String> = serde_json::from_str(&digests).expect("digests");
    let payloads = published();
    for file in digests.keys() {
        assert!(
            payloads.contains_key(file),
            "{FOLDER}/{file} was published, and is gone: such payloads are still about"
        );
    }
    let before = digests.len();
    for (file, text) in &payloads {
        let now = digest(text);
        let then = digests.entry(file.clone()).or_insert_with(|| now.clone());
        assert_eq!(
            *then, now,
            "{FOLDER}/{file} was edited. It is what was published once: put it back, and add a file beside it"
        );
    }
    if digests.len() > before {
        assert!(renewing(), "there are new payloads in {FOLDER}: {RENEW}");
        std::fs::write(files::path(DIGESTS), pretty(&digests)).expect("the digests are written");
    }
}
