//! Is a value what a schema says? As much of JSON Schema as events use; a word that is not known here is refused, not passed over. Pure.

use regex::Regex;
use serde_json::{Map, Value};

/// What is wrong with the value; nothing if it conforms.
pub(crate) fn wrong(schema: &Value, value: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    look(schema, schema, value, "$", &mut wrong);
    wrong
}

/// Words that say something to people, or are looked at elsewhere.
const QUIET: [&str; 6] = ["$schema", "$id", "$defs", "title", "description", "properties"];

fn look(document: &Value, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    let Some(words) = schema.as_object() else {
        return wrong.push(format!("{at}: {schema} is no schema"));
    };
    for (word, said) in words.iter().filter(|(word, _)| !QUIET.contains(&word.as_str())) {
        let conforms = match word.as_str() {
            "$ref" => {
                let target = said.as_str().and_then(|it| document.pointer(it.strip_prefix('#')?));
                target.map(|target| look(document, target, value, at, wrong)).is_some()
            }
            "oneOf" => {
                let ways = said.as_array().into_iter().flatten();
                let fits = |way: &&Value| {
                    let mut wrong = Vec::new();
                    look(document, way, value, at, &mut wrong);
                    wrong.is_empty()
                };
                ways.filter(fits).count() == 1
            }
            "type" => said.as_array().map_or_else(|| is(said, value), |types| types.iter().any(|it| is(it, value))),
            "enum" => said.as_array().is_some_and(|values| values.contains(value)),
            "format" => value.as_str().is_none_or(|text| formatted(said, text)) || said == "int64",
            "pattern" => value.as_str().is_none_or(|text| matches(said, text)),
            "minimum" => value.as_f64().is_none_or(|number| said.as_f64().is_some_and(|least| number >= least)),
            "maximum" => value.as_f64().is_none_or(|number| said.as_f64().is_some_and(|most| number <= most)),
            "required" => {
                let has = |name: &Value| name.as_str().is_some_and(|name| value.get(name).is_some());
                !value.is_object() || said.as_array().is_some_and(|names| names.iter().all(has))
            }
            "items" => {
                let items = value.as_array().into_iter().flatten();
                items.enumerate().for_each(|(n, item)| look(document, said, item, &format!("{at}[{n}]"), wrong));
                true
            }
            _ => false,
        };
        if !conforms {
            wrong.push(format!("{at}: {value} is not what `{word}: {said}` asks for"));
        }
    }
    let nothing = Map::new();
    let fields = words.get("properties").and_then(Value::as_object).unwrap_or(&nothing);
    for (name, field) in fields {
        if let Some(value) = value.get(name) {
            look(document, field, value, &format!("{at}.{name}"), wrong);
        }
    }
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => false,
    }
}

fn formatted(format: &Value, text: &str) -> bool {
    match format.as_str() {
        Some("uuid") => uuid::Uuid::parse_str(text).is_ok(),
        _ => false,
    }
}

fn matches(pattern: &Value, text: &str) -> bool {
    pattern.as_str().and_then(|pattern| Regex::new(pattern).ok()).is_some_and(|pattern| pattern.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_word_that_is_known_can_find_something_wrong() {
        let document = |schema: Value| json!({"$defs": {"Word": {"enum": ["a"]}}, "properties": {"it": schema}});
        for (schema, good, bad) in [
            (json!({"$ref": "#/$defs/Word"}), json!("a"), json!("b")),
            (json!({"oneOf": [{"type": "null"}, {"type": "string"}]}), json!("a"), json!(1)),
            (json!({"type": "integer"}), json!(1), json!(1.5)),
            (json!({"type": ["string", "null"]}), json!(null), json!(1)),
            (json!({"type": "string", "format": "uuid"}), json!("01a2007a-5c78-71fc-875b-1cd4b7bd1a8b"), json!("no")),
            (json!({"pattern": "^[A-Z]{3}$"}), json!("EUR"), json!("EURO")),
            (json!({"minimum": 1}), json!(1), json!(0)),
            (json!({"maximum": 1}), json!(1), json!(2)),
            (json!({"required": ["a"]}), json!({"a": 1}), json!({"b": 1})),
            (json!({"items": {"type": "string"}}), json!(["a"]), json!(["a", 1])),
        ] {
            let document = document(schema);
            assert_eq!(wrong(&document, &json!({"it": good})), Vec::<String>::new());
            assert_eq!(wrong(&document, &json!({"it": bad})).len(), 1, "{document} with {bad}");
        }
        assert_eq!(wrong(&json!({"minLength": 1}), &json!("a")).len(), 1, "a word that is not known");
    }
}
