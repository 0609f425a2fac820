//! State of the engine's routes, health and metrics.

use super::auth::Gate;
use super::problem::Problem;
use crate::engine::Engine;
use crate::error::chain;
use crate::faults::{FaultPoint, Faults};
use crate::health::Health;
use crate::ids::MessageId;
use crate::participant::Choreography;
use crate::saga::Saga;
use crate::waiting;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use metrics_exporter_prometheus::PrometheusHandle;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

type Redrive =
    dyn Fn(MessageId, String) -> Pin<Box<dyn Future<Output = Result<Option<u64>, String>> + Send>> + Send + Sync;

#[derive(Clone)]
pub(super) struct EngineState {
    pub(super) service: String,
    pub(super) choreography: Choreography,
    pub(super) saga: Saga,
    pub(super) reads: sqlx::PgPool,
    pub(super) redrive: Arc<Redrive>,
    pub(super) faults: Faults,
    pub(super) fault_points: Vec<&'static FaultPoint>,
    pub(super) health: Arc<Health>,
    pub(super) gate: Gate,
    pub(super) metrics: PrometheusHandle,
}

/// Redrive without the engine's type parameter.
pub(super) fn redrive_of<App: Send + Sync + 'static>(engine: &Arc<Engine<App>>) -> Arc<Redrive> {
    let engine = Arc::clone(engine);
    Arc::new(move |message_id, by| {
        let engine = Arc::clone(&engine);
        Box::pin(async move {
            let redriven = waiting::redrive(&engine.db, message_id, &by).await.map_err(|e| chain(&e))?;
            engine.new_due.notify_one();
            Ok(redriven)
        })
    })
}

/// What this service reacts to, says, refuses and undoes.
#[utoipa::path(get, path = "/choreography", tag = "engine", responses((status = 200, body = Choreography)))]
pub(super) async fn choreography(State(state): State<EngineState>) -> Json<Choreography> {
    Json(state.choreography)
}

pub(super) async fn readyz(State(state): State<EngineState>) -> Result<String, Problem> {
    match state.health.unready().await {
        None if !state.gate.is_ready() => Err(Problem::unavailable("no key to check tokens with could be read yet")),
        None => Ok(state.health.remarks().fold("ready\n".to_owned(), |text, note| format!("{text}note: {note}\n"))),
        Some(why) => Err(Problem::unavailable(why)),
    }
}

pub(super) async fn metrics(State(state): State<EngineState>) -> ([(HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], state.metrics.render())
}
