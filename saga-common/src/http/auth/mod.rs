//! Who may do what: bearer tokens (JWT, RFC 7519) that somebody else has signed, checked in every service, whatever stands in front of it.
//!
//! A route sees its caller by an extractor: [`Caller`] for a customer or an operator, [`Operator`], [`Peer`] for other services. Whatever is not open
//! to all needs a valid token, also where a handler asks for none of them.

mod documented;
mod keys;
mod settings;
#[cfg(test)]
mod tests;
mod verifier;

pub(super) use documented::describe;
pub use settings::{AuthMode, AuthSettings, SigningAlgorithm};

use super::problem::Problem;
use crate::config::SettingError;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use verifier::Verifier;

/// What a caller may do, as the claim `roles` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Places orders, and sees and cancels their own.
    Customer,
    /// Runs the shop: sees everything, sets stock, prices and wallets, ships, redrives, injects faults.
    Operator,
    /// Another service of the system: reads this one's part of sagas.
    Service,
}

impl Role {
    fn named(name: &str) -> Option<Self> {
        match name {
            "customer" => Some(Self::Customer),
            "operator" => Some(Self::Operator),
            "service" => Some(Self::Service),
            _ => None,
        }
    }
}

const LONGEST_SUBJECT: usize = 100;
/// Who calls when nobody is asked.
const ANYBODY: &str = "anonymous";

/// A customer or an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    subject: Arc<str>,
    roles: BTreeSet<Role>,
}

impl Caller {
    /// None where the subject is too long or unprintable to be a customer's id.
    fn new(subject: String, roles: BTreeSet<Role>) -> Option<Self> {
        let fits = (1..=LONGEST_SUBJECT).contains(&subject.len()) && !subject.chars().any(char::is_control);
        (fits && !subject.trim().is_empty()).then(|| Self { subject: subject.into(), roles })
    }

    /// Whose token it is: for a customer, their id.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// May they do what runs the shop?
    #[must_use]
    pub fn is_operator(&self) -> bool {
        self.roles.contains(&Role::Operator)
    }

    /// The only customer whose things they may see; none for an operator, who may see all.
    #[must_use]
    pub fn sees_only(&self) -> Option<&str> {
        if self.is_operator() { None } else { Some(self.subject()) }
    }

    /// Whom they act for: the customer they name, else themselves.
    ///
    /// # Errors
    /// 403 when a customer names somebody else.
    pub fn acting_for(&self, named: Option<String>) -> Result<String, Problem> {
        match named {
            Some(named) if named != self.subject() && !self.is_operator() => {
                Err(Problem::new(403, "customer_id: only an operator may order for somebody else"))
            }
            Some(named) => Ok(named),
            None => Ok(self.subject().to_owned()),
        }
    }
}

/// Somebody who runs the shop.
#[derive(Debug, Clone)]
pub struct Operator(pub Caller);

/// Another service, or an operator.
#[derive(Debug, Clone)]
pub struct Peer;

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        one_of(parts, &[Role::Customer, Role::Operator])
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        one_of(parts, &[Role::Operator]).map(Operator)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        one_of(parts, &[Role::Service, Role::Operator]).map(|_| Peer)
    }
}

fn one_of(parts: &Parts, roles: &'static [Role]) -> Result<Caller, Refusal> {
    // Not there: the route is not behind the gate, so nobody is let in.
    let caller = parts.extensions.get::<Caller>().ok_or(Refusal::NoToken)?;
    let allowed = roles.iter().any(|role| caller.roles.contains(role));
    if allowed { Ok(caller.clone()) } else { Err(Refusal::NotForYou(roles)) }
}

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// 401: there is no bearer token.
    NoToken,
    /// 401: the token is worth nothing, because ..
    Invalid(&'static str),
    /// 401: nobody knows the key it is signed with.
    UnknownKey,
    /// 403: the token is good, but not for this: it takes one of these roles.
    NotForYou(&'static [Role]),
    /// 503: no key could be read yet.
    NoKeys,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (problem, challenge) = match self {
            Self::NoToken => (Problem::new(401, "this takes a bearer token: `Authorization: Bearer ..`"), "Bearer"),
            Self::Invalid(why) => {
                (Problem::new(401, format!("the token is refused: {why}")), r#"Bearer error="invalid_token""#)
            }
            Self::UnknownKey => (
                Problem::new(401, "the token is refused: nobody here knows the key it is signed with"),
                r#"Bearer error="invalid_token""#,
            ),
            Self::NotForYou(roles) => {
                let roles: Vec<String> = roles.iter().map(|role| format!("`{role:?}`").to_lowercase()).collect();
                let detail = format!("this takes the role {}, which the token does not have", roles.join(" or "));
                (Problem::new(403, detail), r#"Bearer error="insufficient_scope""#)
            }
            Self::NoKeys => {
                return Problem::unavailable("no key to check tokens with could be read yet").into_response();
            }
        };
        let mut response = problem.into_response();
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        response
    }
}

/// What stands before every route that is not open to all.
#[derive(Clone)]
pub(crate) enum Gate {
    /// Nobody passes without a valid token.
    Closed(Arc<Verifier>),
    /// Everybody passes, as an operator.
    Open(Caller),
}

impl Gate {
    /// The gate that the settings ask for.
    ///
    /// # Errors
    /// When it would be open to the world, or is to be closed and there is no place to read keys from.
    pub(crate) fn new(settings: &AuthSettings, listen: SocketAddr) -> Result<Self, SettingError> {
        settings.check(listen)?;
        if settings.auth == AuthMode::Jwt {
            return Ok(Self::Closed(Arc::new(Verifier::new(settings)?)));
        }
        tracing::warn!("AUTH=off: everybody on this machine is an operator");
        let roles = BTreeSet::from([Role::Customer, Role::Operator, Role::Service]);
        Ok(Self::Open(Caller { subject: ANYBODY.into(), roles }))
    }

    /// Reads the keys now and then, until stopped.
    pub(crate) async fn keep_up(self, stop: CancellationToken) {
        if let Self::Closed(verifier) = self {
            verifier.keep_up(stop).await;
        }
    }

    /// Can it tell who may pass?
    pub(crate) fn is_ready(&self) -> bool {
        match self {
            Self::Closed(verifier) => verifier.has_keys(),
            Self::Open(_) => true,
        }
    }

    async fn admit(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        match self {
            Self::Closed(verifier) => verifier.verify(bearer(headers)?).await,
            Self::Open(anybody) => Ok(anybody.clone()),
        }
    }
}

/// The token of `Authorization: Bearer`; with two such headers nobody knows which one was checked elsewhere.
fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Refusal::NoToken) };
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(Refusal::NoToken)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(Refusal::NoToken) }
}

/// Lets a request pass with its [`Caller`], or answers why not.
pub(super) async fn authenticate(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    match gate.admit(request.headers()).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
}
