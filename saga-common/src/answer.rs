//! What a participant answers when it has undone a saga: the engine's only event of its own.

use serde::{Deserialize, Serialize};

/// The guard key under which a participant records that it has undone a saga, and what it answered.
pub(crate) use saga_choreography::COMPENSATE;

/// The answer's type on the wire: the serde name below, which a test compares.
pub(crate) const ANSWER: &str = "saga.compensated.v1";

/// A participant has undone a saga: said once per participant and failed saga, over the direct exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
#[serde(rename = "saga.compensated.v1")]
pub struct SagaCompensated {
    /// Who answers.
    pub participant: String,
    /// What there was to undo.
    pub outcome: CompensationOutcome,
    /// What people should know beside it, such as what the step had been waiting for. Decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

/// What a participant found when it was told to undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CompensationOutcome {
    /// It had acted, and has reversed it.
    Undone,
    /// It had come to a verdict that left nothing to reverse, its own refusal for example.
    NothingToUndo,
    /// It never acted, and now never will.
    Fenced,
}

impl CompensationOutcome {
    /// The same word as on the wire, for the guard row's verdict.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Undone => "undone",
            Self::NothingToUndo => "nothing-to-undo",
            Self::Fenced => "fenced",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventType;

    #[test]
    fn the_answer_goes_by_its_name() {
        assert_eq!(EventType::of::<SagaCompensated>().expect("an event").as_str(), ANSWER);
    }
}
