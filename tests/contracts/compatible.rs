//! Can an event change like that? By its schemas of before and now. Pure.
//!
//! Two things must go on: the new code reads every old payload, and the old code, which runs beside it for a while, reads the new
//! ones. So fields may be added, if they may be left out; and a list of words may grow, if readers are brought up before writers.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;

/// A change that a published event cannot make. Shown, it is half a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Breach {
    /// Where, such as `lines[].sku`.
    pub(crate) at: String,
    /// What.
    pub(crate) what: What,
}

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// A field is gone, or has another name.
    Removed,
    /// A field that may have been left out has to be there.
    BecameRequired,
    /// A field that was always there may be left out.
    BecameOptional,
    /// A new field has to be there.
    NewAndRequired,
    /// A value has another type, or another form.
    Changed {
        /// The schema's word for it: `type`, `format`, `pattern`, ..
        word: &'static str,
        /// What it was.
        was: Value,
        /// What it is.
        is: Value,
    },
    /// A value is no longer among those that may stand there.
    ValueRemoved(Value),
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = &self.at;
        match &self.what {
            What::Removed => write!(f, "`{at}` is gone, and old readers need it"),
            What::BecameRequired => write!(f, "`{at}` has to be there now, and old payloads may not have it"),
            What::BecameOptional => write!(f, "`{at}` may be left out now, and old readers need it"),
            What::NewAndRequired => write!(f, "`{at}` is new and has to be there, and no old payload has it"),
            What::Changed { word, was, is } => write!(f, "the {word} of `{at}` was {was} and is {is}"),
            What::ValueRemoved(value) => write!(f, "`{at}` may not be {value} any more, and old payloads may be"),
        }
    }
}

/// What breaks when the event changes from the old schema to the new one; nothing if the change is additive.
pub(crate) fn compatible(old: &Value, new: &Value) -> Vec<Breach> {
    let mut breaches = Vec::new();
    Comparison { old, new }.compare(old, new, "", &mut breaches);
    breaches
}

/// The two documents, for what is referred to in them.
struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
}

/// Words whose values must stay the same.
const FIXED: [&str; 9] =
    ["type", "format", "pattern", "const", "minimum", "maximum", "minLength", "maxLength", "additionalProperties"];

impl Comparison<'_> {
    fn compare(&self, old: &Value, new: &Value, at: &str, breaches: &mut Vec<Breach>) {
        let (old, new) = (resolved(self.old, old), resolved(self.new, new));
        let mut breach = |at: &str, what| breaches.push(Breach { at: shown(at), what });
        for word in FIXED {
            let (was, is) = (&old[word], &new[word]);
            if was != is {
                breach(at, What::Changed { word, was: was.clone(), is: is.clone() });
            }
        }
        for value in old["enum"].as_array().into_iter().flatten() {
            let may_be = |values: &Vec<Value>| values.contains(value);
            if new["enum"].as_array().is_some_and(|values| !may_be(values)) {
                breach(at, What::ValueRemoved(value.clone()));
            }
        }
        if old["enum"].is_array() != new["enum"].is_array() {
            breach(at, What::Changed { word: "enum", was: old["enum"].clone(), is: new["enum"].clone() });
        }
        let (required_before, required_now) = (required(old), required(new));
        let nothing = serde_json::Map::new();
        let fields = |schema: &'_ Value| schema["properties"].as_object().cloned().unwrap_or_else(|| nothing.clone());
        let (before, now) = (fields(old), fields(new));
        for (name, was) in &before {
            let at = format!("{at}.{name}");
            let Some(is) = now.get(name) else {
                breaches.push(Breach { at: shown(&at), what: What::Removed });
                continue;
            };
            match (required_before.contains(name), required_now.contains(name)) {
                (false, true) => breaches.push(Breach { at: shown(&at), what: What::BecameRequired }),
                (true, false) => breaches.push(Breach { at: shown(&at), what: What::BecameOptional }),
                _ => {}
            }
            self.compare(was, is, &at, breaches);
        }
        for name in now.keys().filter(|name| !before.contains_key(*name) && required_now.contains(*name)) {
            breaches.push(Breach { at: shown(&format!("{at}.{name}")), what: What::NewAndRequired });
        }
        self.within(old, new, at, breaches);
    }

    /// What a schema is made of beside fields.
    fn within(&self, old: &Value, new: &Value, at: &str, breaches: &mut Vec<Breach>) {
        if old["items"].is_object() || new["items"].is_object() {
            self.compare(&old["items"], &new["items"], &format!("{at}[]"), breaches);
        }
        for word in ["allOf", "anyOf", "oneOf"] {
            let (was, is) = (old[word].as_array(), new[word].as_array());
            match (was, is) {
                (None, None) => {}
                (Some(was), Some(is)) if was.len() == is.len() => {
                    was.iter().zip(is).for_each(|(was, is)| self.compare(was, is, at, breaches));
                }
                _ => {
                    let what = What::Changed { word, was: old[word].clone(), is: new[word].clone() };
                    breaches.push(Breach { at: shown(at), what });
                }
            }
        }
    }
}

/// What a reference stands for.
fn resolved<'a>(document: &'a Value, mut schema: &'a Value) -> &'a Value {
    while let Some(reference) = schema["$ref"].as_str() {
        match reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer)) {
            Some(target) => schema = target,
            None => break,
        }
    }
    schema
}

fn required(schema: &Value) -> BTreeSet<String> {
    let names = schema["required"].as_array().into_iter().flatten();
    names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn shown(at: &str) -> String {
    match at.trim_start_matches('.') {
        "" => "the event".to_owned(),
        at => at.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// An order with one change.
    fn changed(change: impl Fn(&mut Value)) -> Vec<String> {
        let old = json!({
            "type": "object",
            "required": ["id", "lines", "status"],
            "properties": {
                "id": {"type": "string", "format": "uuid"},
                "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}},
                "status": {"$ref": "#/$defs/Status"},
                "remark": {"type": ["string", "null"]},
            },
            "$defs": {
                "Line": {
                    "type": "object",
                    "required": ["quantity"],
                    "properties": {"quantity": {"type": "integer", "minimum": 1}},
                },
                "Status": {"type": "string", "enum": ["shipped", "delivered"]},
            },
        });
        let mut new = old.clone();
        change(&mut new);
        compatible(&old, &new).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_said_of_an_event_may_change_and_fields_that_can_be_left_out_may_come() {
        assert!(changed(|_| {}).is_empty());
        assert!(changed(|new| new["description"] = json!("An order.")).is_empty());
        assert!(changed(|new| new["properties"]["gift"] = json!({"type": "boolean"})).is_empty());
        // The same under another name, or in place.
        let inlined = |new: &mut Value| new["properties"]["status"] = new["$defs"]["Status"].clone();
        assert!(changed(inlined).is_empty());
    }

    #[test]
    fn a_list_of_words_may_grow() {
        assert!(changed(|new| new["$defs"]["Status"]["enum"] = json!(["lost", "shipped", "delivered"])).is_empty());
    }

    #[test]
    fn a_field_stays() {
        let removed = |new: &mut Value| drop(new["properties"].as_object_mut().expect("fields").remove("remark"));
        assert_eq!(changed(removed), ["`remark` is gone, and old readers need it"]);
    }

    #[test]
    fn a_renamed_field_is_one_that_is_gone_and_one_that_is_new() {
        let renamed = |new: &mut Value| {
            let fields = new["$defs"]["Line"]["properties"].as_object_mut().expect("fields");
            let quantity = fields.remove("quantity").expect("a field");
            fields.insert("count".to_owned(), quantity);
            new["$defs"]["Line"]["required"] = json!(["count"]);
        };
        assert_eq!(
            changed(renamed),
            [
                "`lines[].quantity` is gone, and old readers need it",
                "`lines[].count` is new and has to be there, and no old payload has it"
            ]
        );
    }

    #[test]
    fn what_may_be_left_out_and_what_may_not_stays() {
        assert_eq!(
            changed(|new| new["required"] = json!(["id", "lines", "status", "remark"])),
            ["`remark` has to be there now, and old payloads may not have it"]
        );
        assert_eq!(
            changed(|new| new["required"] = json!(["lines", "status"])),
            ["`id` may be left out now, and old readers need it"]
        );
    }

    #[test]
    fn a_value_keeps_its_type_and_its_form() {
        assert_eq!(
            changed(|new| new["properties"]["id"]["type"] = json!("integer")),
            [r#"the type of `id` was "string" and is "integer""#]
        );
        assert_eq!(
            changed(|new| drop(new["properties"]["id"].as_object_mut().expect("a schema").remove("format"))),
            [r#"the format of `id` was "uuid" and is null"#]
        );
        assert_eq!(
            changed(|new| new["$defs"]["Line"]["properties"]["quantity"]["minimum"] = json!(2)),
            ["the minimum of `lines[].quantity` was 1 and is 2"]
        );
        let one_of =
            |new: &mut Value| new["properties"]["id"] = json!({"oneOf": [{"type": "string"}, {"type": "integer"}]});
        assert!(changed(one_of).iter().any(|it| it.starts_with("the oneOf of `id`")));
    }

    #[test]
    fn a_word_that_old_payloads_may_hold_stays() {
        assert_eq!(
            changed(|new| new["$defs"]["Status"]["enum"] = json!(["shipped"])),
            [r#"`status` may not be "delivered" any more, and old payloads may be"#]
        );
    }
}
