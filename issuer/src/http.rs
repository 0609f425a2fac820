//! What the issuer serves: its public keys to everybody, and tokens to everybody where that was asked for.

use crate::config::Config;
use crate::keys::KeyRing;
use crate::serve::{IssuerError, publish};
use crate::token::Grant;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use saga_common::http::{Problem, Reply};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};

/// Services look again after as long.
const KEYS_ARE_FRESH: &str = "max-age=30";

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) config: Arc<Config>,
    pub(crate) keys: Arc<Mutex<KeyRing>>,
}

impl Desk {
    pub(crate) fn with_keys<T>(&self, work: impl FnOnce(&mut KeyRing) -> T) -> T {
        work(&mut self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(crate) fn routes(desk: Desk) -> Router {
    let open = Router::new().route("/livez", get(|| async { "alive\n" })).route("/.well-known/jwks.json", get(jwks));
    let demo = Router::new().route("/tokens", post(token)).route("/keys", post(rotate));
    let all = if desk.config.demo_tokens { open.merge(demo) } else { open };
    all.fallback(|| async { Problem::not_found("there is nothing at this address") }).with_state(desk)
}

async fn jwks(State(desk): State<Desk>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, KEYS_ARE_FRESH)], Json(desk.with_keys(|keys| keys.jwks())))
}

/// Takes JSON only, which a web page of somewhere else cannot send without asking first.
async fn token(State(desk): State<Desk>, grant: Result<Json<Grant>, JsonRejection>) -> Reply<Json<Value>> {
    let Json(grant) = grant?;
    let token = desk.with_keys(|keys| grant.token(&desk.config, keys));
    let token = token.map_err(|error| Problem::internal(error.to_string()))?;
    Ok(Json(json!({"access_token": token, "token_type": "Bearer", "expires_in": grant.life(&desk.config).as_secs()})))
}

/// A new key signs from now on. Asked with a JSON body (`{}`), for the same reason.
async fn rotate(State(desk): State<Desk>, body: Result<Json<Value>, JsonRejection>) -> Reply<StatusCode> {
    let Json(_) = body?;
    let rotated = desk.with_keys(KeyRing::rotate).map_err(IssuerError::from).and_then(|()| publish(&desk));
    rotated.map_err(|error| {
        tracing::error!(%error, "no new key");
        Problem::internal("a new key could not be made and published")
    })?;
    Ok(StatusCode::NO_CONTENT)
}
