//! Every way to say no, and how each looks on the wire.

use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::{
    answer::{Answer, intent_json},
    intents::Intent,
};

/// Why a request is refused: a definite no that changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The intent's state does not allow it.
    UnexpectedState { verb: &'static str, intent: Box<Intent> },
    /// More than is left of the charge.
    AlreadyRefunded { left: i64 },
    /// No such object. In the path that is a 404, in a parameter a 400.
    Missing { what: &'static str, id: String, param: Option<&'static str> },
    /// A parameter that must be there is not.
    ParameterMissing { param: &'static str },
    /// A parameter the sandbox does not know: most likely a typing error.
    ParameterUnknown { param: String },
    /// Not an integer, or out of its range.
    InvalidInteger { param: &'static str },
    /// Anything else about the request.
    Invalid { message: &'static str },
    /// The key came before with another request.
    KeyReused,
    /// The first request with this key has no answer yet.
    KeyInUse,
    /// No key, or a wrong one.
    Unauthorized,
    /// No such route.
    UnknownRoute,
}

impl Refusal {
    /// HTTP status, error type and code.
    fn class(&self) -> (u16, &'static str, Option<&'static str>) {
        const INVALID: &str = "invalid_request_error";
        const IDEMPOTENCY: &str = "idempotency_error";
        match self {
            Self::UnexpectedState { .. } => (400, INVALID, Some("payment_intent_unexpected_state")),
            Self::AlreadyRefunded { .. } => (400, INVALID, Some("charge_already_refunded")),
            Self::Missing { param: None, .. } => (404, INVALID, Some("resource_missing")),
            Self::Missing { .. } => (400, INVALID, Some("resource_missing")),
            Self::ParameterMissing { .. } => (400, INVALID, Some("parameter_missing")),
            Self::ParameterUnknown { .. } => (400, INVALID, Some("parameter_unknown")),
            Self::InvalidInteger { .. } => (400, INVALID, Some("parameter_invalid_integer")),
            Self::Invalid { .. } => (400, INVALID, None),
            Self::KeyReused => (400, IDEMPOTENCY, None),
            Self::KeyInUse => (409, IDEMPOTENCY, Some("idempotency_key_in_use")),
            Self::Unauthorized => (401, INVALID, None),
            Self::UnknownRoute => (404, INVALID, None),
        }
    }

    /// The parameter that is to blame.
    fn param(&self) -> Option<&str> {
        match self {
            Self::Missing { param, .. } => *param,
            Self::ParameterMissing { param } | Self::InvalidInteger { param } => Some(param),
            Self::ParameterUnknown { param } => Some(param),
            _ => None,
        }
    }

    fn message(&self) -> String {
        match self {
            Self::UnexpectedState { verb, intent } => {
                let status = json!(intent.status);
                format!("You cannot {verb} this PaymentIntent because it has a status of {status}.")
            }
            Self::AlreadyRefunded { left } => {
                format!("Only {left} of the charge is left to be refunded.")
            }
            Self::Missing { what, id, .. } => format!("No such {what}: '{id}'"),
            Self::ParameterMissing { param } => format!("Missing required param: {param}."),
            Self::ParameterUnknown { param } => format!("Received unknown parameter: {param}"),
            Self::InvalidInteger { param } => {
                format!("Invalid integer: {param} must be at least 1 and within its range.")
            }
            Self::Invalid { message } => (*message).to_owned(),
            Self::KeyReused => "A key can only be used again with the parameters it was first used with.".to_owned(),
            Self::KeyInUse => "Another request with this idempotency key is still in progress.".to_owned(),
            Self::Unauthorized => "Invalid API Key provided.".to_owned(),
            Self::UnknownRoute => "Unrecognized request URL.".to_owned(),
        }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let (status, kind, code) = refusal.class();
        Self::error(status, kind, code, &refusal.message(), |error| {
            if let Some(param) = refusal.param() {
                error["param"] = json!(param);
            }
            if let Refusal::UnexpectedState { intent, .. } = &refusal {
                error["payment_intent"] = intent_json(intent);
            }
        })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        Answer::from(self).into_response()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::sandbox::intents::{Method, tests::intent};

    #[test]
    fn every_refusal_has_its_status_type_and_code() {
        let state = Refusal::UnexpectedState { verb: "cancel", intent: Box::new(intent(Method::Visa)) };
        let missing = |param| Refusal::Missing { what: "payment_intent", id: "pi_9".into(), param };
        for (refusal, status, kind, code) in [
            (state, 400, "invalid_request_error", Some("payment_intent_unexpected_state")),
            (Refusal::AlreadyRefunded { left: 0 }, 400, "invalid_request_error", Some("charge_already_refunded")),
            (missing(None), 404, "invalid_request_error", Some("resource_missing")),
            (missing(Some("payment_intent")), 400, "invalid_request_error", Some("resource_missing")),
            (Refusal::ParameterMissing { param: "amount" }, 400, "invalid_request_error", Some("parameter_missing")),
            (Refusal::ParameterUnknown { param: "x".into() }, 400, "invalid_request_error", Some("parameter_unknown")),
            (
                Refusal::InvalidInteger { param: "amount" },
                400,
                "invalid_request_error",
                Some("parameter_invalid_integer"),
            ),
            (Refusal::Invalid { message: "no" }, 400, "invalid_request_error", None),
            (Refusal::KeyReused, 400, "idempotency_error", None),
            (Refusal::KeyInUse, 409, "idempotency_error", Some("idempotency_key_in_use")),
            (Refusal::Unauthorized, 401, "invalid_request_error", None),
            (Refusal::UnknownRoute, 404, "invalid_request_error", None),
        ] {
            let answer = Answer::from(refusal.clone());
            let body: Value = serde_json::from_str(answer.body.get()).expect("json");
            let error = &body["error"];
            assert_eq!(answer.status, status, "{refusal:?}");
            assert_eq!(error["type"], kind, "{refusal:?}");
            assert_eq!(error.get("code").and_then(Value::as_str), code, "{refusal:?}");
        }
    }
}
