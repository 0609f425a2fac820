//! This service's part of a saga, read off its guard rows.

use super::problem::{Problem, Reply};
use super::state::EngineState;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

/// What one service knows of a saga.
#[derive(Serialize, ToSchema)]
pub(super) struct SagaPart {
    /// The service.
    service: String,
    /// The saga.
    saga_id: Uuid,
    /// Its steps here, oldest first.
    steps: Vec<StepLine>,
    /// What waits or is parked here.
    waiting: Vec<WaitingLine>,
}

/// One guard row.
#[derive(Serialize, ToSchema)]
pub(super) struct StepLine {
    /// The step; `compensate` for the line of the participant's answer.
    step: String,
    /// What became of it.
    verdict: String,
    /// The message it reacted to (for the step that started the saga: the one it said).
    message_id: Uuid,
    /// What caused that message.
    causation_id: Option<Uuid>,
    /// What it said.
    said: Option<SaidLine>,
    /// Why, where the verdict does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// When it was settled, or begun.
    at: DateTime<Utc>,
}

/// What a step said.
#[derive(Serialize, ToSchema)]
pub(super) struct SaidLine {
    /// The wire type.
    #[serde(rename = "type")]
    event_type: String,
    /// The message.
    message_id: Uuid,
    /// The event.
    #[schema(value_type = Object)]
    body: Option<Box<RawValue>>,
}

/// One waiting or parked message.
#[derive(Serialize, ToSchema)]
pub(super) struct WaitingLine {
    /// The message.
    message_id: Uuid,
    /// The step it waits for.
    step: String,
    /// `suspect`, `waiting` or `parked`.
    state: String,
    /// Attempts so far.
    attempts: i32,
    /// Why it waits.
    reason: String,
    /// When it is tried next.
    due_at: DateTime<Utc>,
}

/// This service's part of a saga.
#[utoipa::path(get, path = "/sagas/{saga_id}", tag = "engine",
    params(("saga_id" = Uuid, Path, description = "the saga, which is the order")),
    responses((status = 200, body = SagaPart), (status = 400, body = Problem)))]
pub(super) async fn show(
    State(state): State<EngineState>,
    saga_id: Result<Path<Uuid>, PathRejection>,
) -> Reply<Json<SagaPart>> {
    let Path(saga_id) = saga_id?;
    let steps = sqlx::query!(
        r#"select step, verdict, message_id, causation_id, said_type, said_id, said_body, detail,
                  coalesce(settled_at, created_at) as "at!"
           from saga.idempotency_keys where saga_id = $1 order by created_at, step"#,
        saga_id
    )
    .fetch_all(&state.reads)
    .await?;
    let waiting = sqlx::query!(
        "select message_id, step, state, attempts, reason, due_at from saga.waiting where saga_id = $1 order by due_at",
        saga_id
    )
    .fetch_all(&state.reads)
    .await?;
    let steps = steps.into_iter().map(|row| StepLine {
        step: row.step,
        verdict: row.verdict,
        message_id: row.message_id,
        causation_id: row.causation_id,
        said: row.said_id.zip(row.said_type).map(|(message_id, event_type)| SaidLine {
            event_type,
            message_id,
            body: row.said_body.as_deref().and_then(|body| serde_json::from_slice(body).ok()),
        }),
        detail: row.detail,
        at: row.at,
    });
    let waiting = waiting.into_iter().map(|row| WaitingLine {
        message_id: row.message_id,
        step: row.step,
        state: row.state,
        attempts: row.attempts,
        reason: row.reason,
        due_at: row.due_at,
    });
    Ok(Json(SagaPart { service: state.service, saga_id, steps: steps.collect(), waiting: waiting.collect() }))
}
