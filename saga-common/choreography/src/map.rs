//! One participant's part as data.

use serde::{Deserialize, Serialize};

/// What a step is to its saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum StepKind {
    /// Before the point of no return; has an undo.
    Compensatable,
    /// The point of no return.
    Pivot,
    /// After it: cannot refuse, is tried until it succeeds.
    Retriable,
    /// Looks on: cannot fail a saga, nobody waits for it.
    Listener,
}

/// A participant's part as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Choreography {
    /// The participant.
    pub participant: String,
    /// Its steps, in the order of the saga.
    pub steps: Vec<StepMap>,
    /// Does it react to every failure, of whatever type, by undoing what it did for that saga?
    pub undoes: bool,
    /// What it says when it has undone (or never will act); none for the owner of the saga, who collects the answers.
    pub answers: Option<String>,
}

/// One step as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepMap {
    /// The step's name, which is its key in the database.
    pub step: String,
    /// What it is to its saga.
    pub kind: StepKind,
    /// The event it reacts to; none for a step that is done on request, such as the one that starts a saga.
    pub reacts_to: Option<String>,
    /// What it says on success.
    pub says: Option<String>,
    /// What it refuses with; of the step that starts a saga, what its owner ends it with.
    pub refuses: Option<String>,
    /// Can it be undone?
    pub undo: bool,
}

impl StepMap {
    /// Does it start sagas that can fail? (Other steps on request come after the point of no return.)
    #[must_use]
    pub fn starts(&self) -> bool {
        self.reacts_to.is_none() && self.kind == StepKind::Compensatable
    }
}

impl Choreography {
    /// Does it own a saga: undo, and collect the others' answers?
    #[must_use]
    pub fn owns(&self) -> bool {
        self.undoes && self.answers.is_none()
    }
}

/// An event's type without its version: its routing key, and what people call it.
#[must_use]
pub fn unversioned(event_type: &str) -> &str {
    event_type.rsplit_once(".v").map_or(event_type, |(name, _)| name)
}
