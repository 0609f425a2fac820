//! The JSON Schemas of all events, committed beside their types. A change that an old payload or an old reader would not survive is
//! refused, also when the files are written anew: such an event needs a new type.

use crate::compatible::{Breach, compatible};
use crate::events::{self, Known};
use crate::files::{self, committed, is_current, pretty};
use serde_json::{Map, Value, json};

const FOLDER: &str = "saga-common/contracts/schemas";

/// The schema of one event, in one piece.
pub(crate) fn document(event: &Known) -> Value {
    let mut document = Map::new();
    document.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    document.insert("$id".to_owned(), json!(format!("urn:event:{}", event.event_type)));
    document.insert("title".to_owned(), json!(event.event_type));
    document.extend(event.schema.as_object().cloned().unwrap_or_default());
    if !event.components.is_empty() {
        document.insert("$defs".to_owned(), json!(event.components));
    }
    let mut document = Value::Object(document);
    redirect(&mut document);
    document
}

/// References lead into the document itself.
fn redirect(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(name) = text.strip_prefix("#/components/schemas/") {
                *text = format!("#/$defs/{name}");
            }
        }
        Value::Array(values) => values.iter_mut().for_each(redirect),
        Value::Object(fields) => fields.values_mut().for_each(redirect),
        _ => {}
    }
}

fn next_version(event_type: &str) -> String {
    let (name, version) = event_type.rsplit_once(".v").unwrap_or((event_type, "1"));
    format!("{name}.v{}", version.parse::<u32>().unwrap_or(1) + 1)
}

#[test]
fn the_schemas_are_current_and_every_change_of_an_event_is_additive() {
    for event in events::all() {
        let (file, now) = (format!("{FOLDER}/{}.json", event.event_type), document(&event));
        if let Some(published) = committed(&file) {
            let published: Value = serde_json::from_str(&published).unwrap_or_else(|error| panic!("{file}: {error}"));
            let breaches: Vec<String> = compatible(&published, &now).iter().map(Breach::to_string).collect();
            assert!(
                breaches.is_empty(),
                "{} cannot be changed like that: {}. It has been published, and there are payloads and readers of it: leave it as it \
                 is, and add `{}` beside it",
                event.event_type,
                breaches.join("; "),
                next_version(event.event_type)
            );
        }
        is_current(&file, &pretty(&now));
    }
}

#[test]
fn an_event_that_was_published_stays() {
    let known: Vec<String> = events::all().iter().map(|event| format!("{}.json", event.event_type)).collect();
    let folder = std::fs::read_dir(files::path(FOLDER)).expect("the folder of schemas");
    for file in folder {
        let name = file.expect("a file").file_name().into_string().expect("a name");
        assert!(
            known.contains(&name),
            "{name}: an event that was published has no type any more; old payloads need one"
        );
    }
}
