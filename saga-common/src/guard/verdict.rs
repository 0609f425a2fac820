//! The words of a guard row.

use crate::db::DbError;

/// What a guard row says of its step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Inserted by a transaction that is still running: never seen by another.
    Open,
    /// The action took effect.
    Done,
    /// The action refused.
    Rejected,
    /// The action came too late to matter.
    Superseded,
    /// A call outside is to be made or under way.
    Intent,
    /// A call outside that reverses the action is to be made or under way.
    Undoing,
    /// The action took effect and was reversed.
    Undone,
    /// The action never ran and never will.
    Fenced,
    /// Of the line `compensate`: there was nothing to reverse.
    NothingToUndo,
}

impl Verdict {
    /// The word in the row, the timeline and the metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Rejected => "rejected",
            Self::Superseded => "superseded",
            Self::Intent => "intent",
            Self::Undoing => "undoing",
            Self::Undone => "undone",
            Self::Fenced => "fenced",
            Self::NothingToUndo => "nothing-to-undo",
        }
    }

    pub(crate) fn parse(word: &str) -> Result<Self, DbError> {
        let all = [
            Self::Open,
            Self::Done,
            Self::Rejected,
            Self::Superseded,
            Self::Intent,
            Self::Undoing,
            Self::Undone,
            Self::Fenced,
            Self::NothingToUndo,
        ];
        all.into_iter()
            .find(|v| v.as_str() == word)
            .ok_or_else(|| DbError::Broken(format!("a guard row has the unknown verdict `{word}`")))
    }
}
