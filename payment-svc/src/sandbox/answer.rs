//! What the sandbox answers: objects, lists and the error envelope of Stripe's wire form.

use axum::{
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};

use super::intents::{Intent, Status};

/// A status and a JSON body, fixed byte by byte: what is replayed later is this.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Box<RawValue>,
}

impl Answer {
    fn new(status: u16, body: &Value) -> Self {
        // Turning a JSON value into text cannot fail: all of its keys are strings.
        let body = to_raw_value(body).expect("a JSON value is valid JSON");
        Self { status, body }
    }

    /// 200 with this body.
    pub(super) fn ok(body: &Value) -> Self {
        Self::new(200, body)
    }

    /// 200 with a page of a list, newest first.
    pub(super) fn list(url: &str, data: &[Value], has_more: bool) -> Self {
        Self::ok(&json!({"object": "list", "url": url, "has_more": has_more, "data": data}))
    }

    /// 402: the charge of this intent was declined.
    pub(super) fn declined(intent: &Intent) -> Self {
        Self::error(402, "card_error", Some("card_declined"), "Your card was declined.", |error| {
            error["decline_code"] = json!(intent.decline_code);
            error["payment_intent"] = intent_json(intent);
        })
    }

    /// 500 (or another 5xx): nobody can tell from this answer what happened.
    pub(super) fn api_error(status: u16, message: &str) -> Self {
        Self::error(status, "api_error", None, message, |_| {})
    }

    /// A status with the error envelope, into which `more` puts what else belongs there.
    pub(super) fn error(
        status: u16,
        kind: &str,
        code: Option<&str>,
        message: &str,
        more: impl FnOnce(&mut Value),
    ) -> Self {
        let mut error = json!({"type": kind, "message": message});
        if let Some(code) = code {
            error["code"] = json!(code);
        }
        more(&mut error);
        Self::new(status, &json!({"error": error}))
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let json = HeaderValue::from_static("application/json");
        (status, [(CONTENT_TYPE, json)], String::from(Box::<str>::from(self.body))).into_response()
    }
}

/// An intent on the wire.
pub(super) fn intent_json(intent: &Intent) -> Value {
    let decline = intent.decline_code.as_ref().map(|code| {
        json!({"type": "card_error", "code": "card_declined", "decline_code": code, "message": "Your card was declined."})
    });
    // Like Stripe, a declined intent forgets its method.
    let method = (intent.status != Status::RequiresPaymentMethod).then_some(intent.method);
    let received = if intent.status == Status::Succeeded { intent.amount } else { 0 };
    json!({
        "id": intent.id,
        "object": "payment_intent",
        "amount": intent.amount,
        "amount_received": received,
        "canceled_at": intent.canceled_ms.map(|ms| ms.div_euclid(1_000)),
        "created": intent.created_ms.div_euclid(1_000),
        "currency": intent.currency,
        "last_payment_error": decline,
        "latest_charge": intent.charge,
        "livemode": false,
        "metadata": intent.metadata,
        "payment_method": method,
        "status": intent.status,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::intents::{Method, tests::intent};

    fn body(answer: &Answer) -> Value {
        serde_json::from_str(answer.body.get()).expect("json")
    }

    #[test]
    fn a_decline_shows_code_reason_and_intent() {
        let mut declined = intent(Method::InsufficientFunds);
        let change = declined.confirm("ch_1".into()).expect("legal").expect("a change");
        declined.apply(&change, 1).expect("legal");
        let answer = Answer::declined(&declined);
        let error = &body(&answer)["error"];
        assert_eq!(answer.status, 402);
        assert_eq!(error["type"], "card_error");
        assert_eq!(error["code"], "card_declined");
        assert_eq!(error["decline_code"], "insufficient_funds");
        assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
        assert_eq!(error["payment_intent"]["payment_method"], Value::Null);
    }
}
