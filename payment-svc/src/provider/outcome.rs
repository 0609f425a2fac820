//! What the provider did, in types that keep apart what money depends on: what *is* ([`IntentState`]), what was definitely not
//! done ([`ProviderError::Refused`]), and what nobody can tell yet ([`ProviderError::Unknown`]).

use saga_common::Held;

/// Where a payment intent stands at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntentState {
    /// Created and never confirmed: no money has moved, and none will before a confirm.
    Unconfirmed,
    /// The provider is still at it; ask again later.
    Processing,
    /// The money has moved.
    Succeeded,
    /// The payment was declined. `reason` is the provider's decline code, such as `insufficient_funds`.
    Declined {
        /// The provider's word for it.
        reason: String,
    },
    /// The customer would have to act (a bank's challenge). Nobody is there to do so: treat it as a decline, and cancel the intent.
    RequiresAction,
    /// Cancelled: it can never succeed any more.
    Canceled,
}

/// How a refund stands at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundState {
    /// The money is back.
    Succeeded,
    /// Accepted and on its way.
    Pending,
    /// It did not work out, and counts as never made.
    Failed,
}

/// One refund of a payment intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// The provider's id of the refund.
    pub id: String,
    /// How much went back, in minor units.
    pub amount_minor: i64,
    /// How it stands.
    pub state: RefundState,
}

/// What became of a request to refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundOutcome {
    /// This request (or the earlier one with the same key) made this refund.
    Refunded(Refund),
    /// Everything had been refunded before.
    AlreadyRefunded,
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// Timeout, lost connection, 5xx, 409, 429, or an answer that cannot be read: the request may or may not have had its effect.
    /// Never "failed": settle it later, by `retrieve` of the stored id.
    #[error("the provider's answer is unknown: {why}")]
    Unknown {
        /// What was seen instead of an answer.
        why: String,
    },
    /// Nobody was asked: the provider has been found not to answer, or too many calls are under way. Nothing was done.
    #[error("the provider was not asked: {0}")]
    NotAsked(#[source] Held),
    /// A definite no: this request changed nothing, and asking again with the same words gives the same answer.
    /// It says nothing about earlier requests whose answers were lost.
    #[error("the provider refused the request with {status} {code}: {message}")]
    Refused {
        /// The HTTP status, 4xx.
        status: u16,
        /// The provider's code, such as `resource_missing`; its error type where it gave no code.
        code: String,
        /// The provider's sentence for humans.
        message: String,
    },
    /// 401 or 403: our key is wrong or lacks a right. Nothing was done, and nothing is wrong with the payment:
    /// keep the job and alert an operator, never decline.
    #[error("the provider does not accept our key ({status}): {message}")]
    Unauthorized {
        /// The HTTP status.
        status: u16,
        /// The provider's sentence for humans.
        message: String,
    },
}

impl ProviderError {
    /// Was it, as written into a log or beside a job, that no answer came, or that nobody was asked because none was to be
    /// expected?
    pub(crate) fn tells_of_silence(text: &str) -> bool {
        ["the provider's answer is unknown", "the provider was not asked"].iter().any(|words| text.starts_with(words))
    }

    pub(super) fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown { why: told(why.into()) }
    }
}

/// Characters of a provider's text that are kept.
const LONGEST_TEXT: usize = 500;

/// A provider's text as it can be stored: a decline must not fail to be recorded because of how it was worded.
pub(super) fn told(text: String) -> String {
    text.chars().take(LONGEST_TEXT).map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect()
}

/// A payment intent's id at the provider, safe to put into a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IntentId(String);

/// The text is not a payment intent id: 1 to 255 ASCII letters, digits, `_` or `-`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a payment intent id is 1 to 255 ASCII letters, digits, '_' or '-'")]
pub struct InvalidIntentId;

impl IntentId {
    /// Checks an id that was stored or received.
    ///
    /// # Errors
    /// [`InvalidIntentId`] when the text could not have come from a provider.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidIntentId> {
        let text = text.into();
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if plain && (1..=255).contains(&text.len()) { Ok(Self(text)) } else { Err(InvalidIntentId) }
    }

    /// The id as text, to be stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn silence_is_told_apart_from_answers() {
        let held = Held { wait: Duration::ZERO, why: "it does not answer".into() };
        for silent in [ProviderError::unknown("timed out"), ProviderError::NotAsked(held)] {
            assert!(ProviderError::tells_of_silence(&silent.to_string()), "{silent}");
        }
        let (code, message) = ("resource_missing".into(), "no".into());
        let refused = ProviderError::Refused { status: 404, code, message };
        assert!(!ProviderError::tells_of_silence(&refused.to_string()), "{refused}");
    }
}
