//! What every service tells about itself: the events it reacts to, and what it says.

use serde::{Deserialize, Deserializer, Serialize};

use super::{Client, ClientError, Service};

/// A participant's map, from `GET /choreography`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Choreography {
    /// Such as `inventory`.
    pub participant: String,
    /// What it does.
    pub steps: Vec<MapStep>,
}

/// One step of a participant's map.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct MapStep {
    /// Such as `reserve-stock`.
    pub step: String,
    /// `compensatable`, `pivot`, `retriable` or `listener`.
    pub kind: String,
    /// Event types that start it; none for the step that starts a saga.
    #[serde(default, deserialize_with = "none_one_or_many")]
    pub reacts_to: Vec<String>,
    /// What it publishes when it succeeds.
    #[serde(default, deserialize_with = "none_one_or_many")]
    pub says: Vec<String>,
    /// What it fans out when it refuses.
    #[serde(default, deserialize_with = "none_one_or_many")]
    pub refuses: Vec<String>,
    /// Whether it can be undone.
    #[serde(default)]
    pub undo: bool,
}

/// A list of words, which may be written as one word, or as null when there is none.
fn none_one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Option::<Words>::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Words::One(word)) => vec![word],
        Some(Words::Many(words)) => words,
    })
}

impl Client {
    /// `GET /choreography` of one service: what it reacts to and says.
    ///
    /// # Errors
    /// Transport errors.
    pub async fn choreography(&self, service: Service) -> Result<Choreography, ClientError> {
        self.get(service, &["choreography"]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_step_may_name_no_event_one_or_several() {
        let read = |text: &str| serde_json::from_str::<MapStep>(text).expect("a step");
        let step = read(r#"{"step":"s","kind":"listener","reacts_to":["a","b"],"says":"c","refuses":null}"#);
        assert_eq!((step.reacts_to.len(), step.says.len(), step.refuses.len()), (2, 1, 0));
    }
}
