//! What the provider's answers mean. Pure: a status and a body go in, a typed result comes out.

use serde::Deserialize;

use super::outcome::{IntentId, IntentState, ProviderError, Refund, RefundOutcome, RefundState, told};
use order_contracts::Money;

/// Refunds of one answer: a page has no more.
const MOST_REFUNDS: usize = 100;

/// The answer to creating an intent.
pub(super) fn created_intent(status: u16, body: &[u8]) -> Result<IntentId, ProviderError> {
    let intent: WireIntent = success(status, body)?;
    IntentId::new(intent.id).map_err(|invalid| ProviderError::unknown(invalid.to_string()))
}

/// The answer to confirming, retrieving or cancelling an intent: where that intent stands now.
///
/// A decline (402) and a refusal because of the intent's state (400 with the intent inside) are facts about the intent, not errors.
pub(super) fn intent_state(status: u16, body: &[u8]) -> Result<IntentState, ProviderError> {
    if let Some(WireError { kind, code, decline_code, payment_intent, .. }) = wire_error(status, body) {
        if status == 402 && kind == "card_error" {
            return Ok(IntentState::Declined { reason: told(decline_code.or(code).unwrap_or(kind)) });
        }
        if let (Some("payment_intent_unexpected_state"), Some(intent)) = (code.as_deref(), payment_intent) {
            return intent.state();
        }
    }
    success::<WireIntent>(status, body)?.state()
}

/// The answer to a refund.
pub(super) fn refund_outcome(status: u16, body: &[u8]) -> Result<RefundOutcome, ProviderError> {
    match success::<WireRefund>(status, body) {
        Ok(refund) => Ok(RefundOutcome::Refunded(refund.read()?)),
        Err(ProviderError::Refused { code, .. }) if code == "charge_already_refunded" => {
            Ok(RefundOutcome::AlreadyRefunded)
        }
        Err(error) => Err(error),
    }
}

/// The answer to listing the refunds of an intent.
pub(super) fn refund_list(status: u16, body: &[u8]) -> Result<Vec<Refund>, ProviderError> {
    let refunds = success::<WireList>(status, body)?.data;
    if refunds.len() > MOST_REFUNDS {
        return Err(ProviderError::unknown(format!("{} refunds in one page", refunds.len())));
    }
    refunds.into_iter().map(WireRefund::read).collect()
}

/// The body of a 2xx answer, or the error that any other answer is.
fn success<T: for<'a> Deserialize<'a>>(status: u16, body: &[u8]) -> Result<T, ProviderError> {
    match status {
        200..=299 => serde_json::from_slice(body)
            .map_err(|error| ProviderError::unknown(format!("{status} with an unreadable body ({error})"))),
        409 | 429 => Err(ProviderError::unknown(format!("{status}, not now"))),
        400..=499 => Err(match wire_error(status, body) {
            // Something between us and the provider answered; whether the provider ever saw the request, it does not say.
            None => ProviderError::unknown(format!("{status} that is not the provider's")),
            Some(WireError { message, .. }) if status == 401 || status == 403 => {
                ProviderError::Unauthorized { status, message: told(message) }
            }
            Some(WireError { kind, code, message, .. }) => {
                ProviderError::Refused { status, code: told(code.unwrap_or(kind)), message: told(message) }
            }
        }),
        _ => Err(ProviderError::unknown(format!("status {status}"))),
    }
}

fn wire_error(status: u16, body: &[u8]) -> Option<WireError> {
    let definite = (400..=499).contains(&status) && status != 409 && status != 429;
    definite.then(|| serde_json::from_slice::<WireFailure>(body).ok()).flatten().map(|failure| failure.error)
}

#[derive(Deserialize)]
struct WireFailure {
    error: WireError,
}

#[derive(Deserialize)]
struct WireError {
    #[serde(rename = "type")]
    kind: String,
    code: Option<String>,
    decline_code: Option<String>,
    #[serde(default)]
    message: String,
    payment_intent: Option<WireIntent>,
}

#[derive(Deserialize)]
struct WireIntent {
    id: String,
    status: String,
    last_payment_error: Option<WireDecline>,
}

#[derive(Deserialize)]
struct WireDecline {
    code: Option<String>,
    decline_code: Option<String>,
}

impl WireIntent {
    fn state(self) -> Result<IntentState, ProviderError> {
        Ok(match self.status.as_str() {
            "requires_confirmation" => IntentState::Unconfirmed,
            "processing" => IntentState::Processing,
            "succeeded" => IntentState::Succeeded,
            "requires_action" => IntentState::RequiresAction,
            "canceled" => IntentState::Canceled,
            "requires_payment_method" => {
                let reason = self.last_payment_error.and_then(|decline| decline.decline_code.or(decline.code));
                IntentState::Declined { reason: told(reason.unwrap_or(self.status)) }
            }
            other => return Err(ProviderError::unknown(format!("intent status {other:?}"))),
        })
    }
}

#[derive(Deserialize)]
struct WireList {
    data: Vec<WireRefund>,
}

#[derive(Deserialize)]
struct WireRefund {
    id: String,
    amount: i64,
    status: String,
}

impl WireRefund {
    fn read(self) -> Result<Refund, ProviderError> {
        let state = match self.status.as_str() {
            "succeeded" => RefundState::Succeeded,
            "pending" | "requires_action" => RefundState::Pending,
            "failed" | "canceled" => RefundState::Failed,
            other => return Err(ProviderError::unknown(format!("refund status {other:?}"))),
        };
        // Refunds are added up: none may be more than there is money.
        let amount =
            Money::from_minor(self.amount).map_err(|bad| ProviderError::unknown(format!("a refund: {bad}")))?;
        Ok(Refund { id: told(self.id), amount_minor: amount.minor(), state })
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
