//! What can go wrong between a caller and a service.

use std::error::Error;
use std::io;

use reqwest::StatusCode;
use serde::Deserialize;
use uuid::Uuid;

use super::Service;

/// Why a request has no answer to give. Each prints as one sentence.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The service understood the request and said no, or failed while working on it.
    #[error(transparent)]
    Problem(Problem),

    /// The connection was refused, so the request was not carried out.
    #[error("nothing listens on {url}, where {service} should be")]
    NobodyListens {
        /// Who should be there.
        service: Service,
        /// The base URL.
        url: String,
    },

    /// No complete answer came: cut off, or too late. **Whether the request was carried out is unknown.**
    #[error("{service} cannot be reached at {url}: {reason}")]
    Transport {
        /// Who was asked.
        service: Service,
        /// Where.
        url: String,
        /// The innermost cause, such as `Connection reset by peer (os error 104)`.
        reason: String,
    },

    /// A 2xx whose body is not what the contract promises.
    #[error("{service} answered {status} with a body that cannot be read: {reason}")]
    Unreadable {
        /// Who answered.
        service: Service,
        /// The HTTP status.
        status: u16,
        /// What is wrong with the body.
        reason: String,
    },

    /// The configured base URL is none.
    #[error("`{url}` is not a usable URL for {service}")]
    BadUrl {
        /// Whose URL it should be.
        service: Service,
        /// What was configured.
        url: String,
    },

    /// [`Client::wait_terminal`](super::Client::wait_terminal) or `wait_closed` ran out of time.
    #[error("order {id} is still {status} after {waited_ms} ms")]
    StillWaiting {
        /// The order.
        id: Uuid,
        /// Its last known status.
        status: String,
        /// How long it was watched, in milliseconds.
        waited_ms: u128,
    },
}

impl ClientError {
    pub(super) fn transport(service: Service, source: reqwest::Error) -> Self {
        let cause = innermost(&source);
        if cause.downcast_ref().is_some_and(|io: &io::Error| io.kind() == io::ErrorKind::ConnectionRefused) {
            let url = source.url().map_or_else(String::new, |url| url.origin().ascii_serialization());
            return ClientError::NobodyListens { service, url };
        }
        let url = source.url().map_or_else(String::new, ToString::to_string);
        let reason = if source.is_timeout() { "no answer in time".to_owned() } else { cause.to_string() };
        ClientError::Transport { service, url, reason }
    }

    /// The HTTP status, when a service gave one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            ClientError::Problem(problem) => Some(problem.status),
            ClientError::Unreadable { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The service answered 404.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// The connection was refused: the service is not there, or just starting.
    #[must_use]
    pub fn nobody_listens(&self) -> bool {
        matches!(self, ClientError::NobodyListens { .. })
    }

    /// Asking again may help: nothing came back, or the service itself was in trouble.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            ClientError::NobodyListens { .. } | ClientError::Transport { .. } => true,
            ClientError::Problem(problem) => problem.status >= 500 || problem.status == 429,
            _ => false,
        }
    }
}

/// An error's causes end with the one that says what happened; those around it only say where.
fn innermost(error: &reqwest::Error) -> &(dyn Error + 'static) {
    let mut cause: &(dyn Error + 'static) = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause
}

/// An RFC 9457 problem, as far as a caller needs it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{service} answered {status} {title}{}", told(detail, errors))]
pub struct Problem {
    /// Who said no.
    pub service: Service,
    /// The HTTP status.
    pub status: u16,
    /// The kind of problem, in a few words.
    pub title: String,
    /// What is wrong with this very request; empty if the service did not say.
    pub detail: String,
    /// Field by field, where several things are wrong.
    pub errors: Vec<String>,
}

/// All that is known: the list when there is one, which begins with the detail.
fn told(detail: &str, errors: &[String]) -> String {
    match (detail, errors) {
        ("", []) => String::new(),
        (detail, [] | [_]) => format!(": {detail}"),
        (_, errors) => format!(": {}", errors.join("; ")),
    }
}

impl Problem {
    /// Reads a problem body; whatever else came (a proxy's page, nothing) becomes the detail.
    pub(super) fn read(service: Service, status: StatusCode, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Body {
            title: Option<String>,
            detail: Option<String>,
            #[serde(default)]
            errors: Vec<String>,
        }
        let fallback = || status.canonical_reason().unwrap_or("(no reason given)").to_owned();
        let body = serde_json::from_slice(body).unwrap_or_else(|_| Body {
            title: None,
            detail: Some(String::from_utf8_lossy(body).chars().take(200).collect()),
            errors: Vec::new(),
        });
        Self {
            service,
            status: status.as_u16(),
            title: body.title.unwrap_or_else(fallback),
            detail: body.detail.unwrap_or_default(),
            errors: body.errors,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_body_becomes_one_sentence() {
        let body = br#"{"type":"about:blank","title":"Conflict","status":409,"detail":"the order is confirmed"}"#;
        let problem = Problem::read(Service::Order, StatusCode::CONFLICT, body);
        assert_eq!(problem.to_string(), "order-svc answered 409 Conflict: the order is confirmed");
    }

    #[test]
    fn a_body_that_is_no_problem_is_quoted() {
        let problem = Problem::read(Service::Payment, StatusCode::BAD_GATEWAY, b"<html>oops</html>");
        assert_eq!((problem.title.as_str(), problem.detail.as_str()), ("Bad Gateway", "<html>oops</html>"));
    }

    #[test]
    fn an_empty_body_leaves_the_reason_phrase() {
        let problem = Problem::read(Service::Payment, StatusCode::NOT_FOUND, b"");
        assert_eq!(problem.to_string(), "payment-svc answered 404 Not Found");
    }

    #[test]
    fn several_errors_are_all_told() {
        let body = br#"{"title":"Unprocessable Content","detail":"no items","errors":["no items","no customer"]}"#;
        let problem = Problem::read(Service::Order, StatusCode::UNPROCESSABLE_ENTITY, body);
        assert!(problem.to_string().ends_with(": no items; no customer"), "{problem}");
    }
}
