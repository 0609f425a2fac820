//! What waits for a person: list, look, redrive.

use super::auth::Operator;
use super::problem::{Problem, Reply};
use super::state::EngineState;
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// Parked messages.
#[derive(Serialize, ToSchema)]
pub(super) struct ParkedList {
    /// Oldest first.
    parked: Vec<Parked>,
}

/// One parked message.
#[derive(Serialize, ToSchema)]
pub(super) struct Parked {
    /// The message.
    message_id: Uuid,
    /// The step it was meant for; `-` if none reacts to it.
    step: String,
    /// Its saga, if it has one.
    saga_id: Option<Uuid>,
    /// Its wire type.
    #[serde(rename = "type")]
    event_type: String,
    /// Why it was parked.
    reason: String,
    /// Attempts made.
    attempts: i32,
    /// `parked`; `waiting` for another attempt, also once redriven; `suspect` of having ended the process.
    state: String,
    /// Can trying again help?
    redrivable: bool,
    /// When it first could not be handled.
    first_seen_at: DateTime<Utc>,
    /// When it is or was due.
    due_at: DateTime<Utc>,
    /// The body, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

/// Which to list.
#[derive(Deserialize, IntoParams)]
pub(super) struct Page {
    /// At most so many (1 to 1,000).
    #[param(default = 100)]
    limit: Option<i64>,
    /// Also those that wait for another attempt, or are being tried again.
    #[serde(default)]
    #[param(default = false)]
    waiting: bool,
}

/// What was set due.
#[derive(Serialize, ToSchema)]
pub(super) struct Redriven {
    /// The message.
    message_id: Uuid,
    /// How many of its rows.
    redriven: u64,
}

/// Parked messages, and if asked for those that wait for another attempt, oldest first.
#[utoipa::path(get, path = "/parked", tag = "engine", params(Page), responses((status = 200, body = ParkedList)))]
pub(super) async fn list(
    _: Operator,
    State(state): State<EngineState>,
    page: Result<Query<Page>, QueryRejection>,
) -> Reply<Json<ParkedList>> {
    let Query(page) = page?;
    let limit = page.limit.unwrap_or(100).clamp(1, 1_000);
    let rows = sqlx::query!(
        "select message_id, step, saga_id, type as event_type, reason, attempts, state, redrivable, first_seen_at, due_at
         from saga.waiting where state = 'parked' or $2 order by first_seen_at limit $1",
        limit,
        page.waiting
    )
    .fetch_all(&state.reads)
    .await?;
    let parked = rows.into_iter().map(|row| Parked {
        message_id: row.message_id,
        step: row.step,
        saga_id: row.saga_id,
        event_type: row.event_type,
        reason: row.reason,
        attempts: row.attempts,
        state: row.state,
        redrivable: row.redrivable,
        first_seen_at: row.first_seen_at,
        due_at: row.due_at,
        body: None,
    });
    Ok(Json(ParkedList { parked: parked.collect() }))
}

/// One parked message with its body.
#[utoipa::path(get, path = "/parked/{message_id}", tag = "engine", params(("message_id" = Uuid, Path)),
    responses((status = 200, body = Parked), (status = 404, body = Problem)))]
pub(super) async fn show(
    _: Operator,
    State(state): State<EngineState>,
    message_id: Result<Path<Uuid>, PathRejection>,
) -> Reply<Json<Parked>> {
    let Path(message_id) = message_id?;
    let row = sqlx::query!(
        "select step, saga_id, type as event_type, reason, attempts, state, redrivable, first_seen_at, due_at, body
         from saga.waiting where message_id = $1 order by state limit 1",
        message_id
    )
    .fetch_optional(&state.reads)
    .await?
    .ok_or_else(|| Problem::not_found("this service holds no such message"))?;
    Ok(Json(Parked {
        message_id,
        step: row.step,
        saga_id: row.saga_id,
        event_type: row.event_type,
        reason: row.reason,
        attempts: row.attempts,
        state: row.state,
        redrivable: row.redrivable,
        first_seen_at: row.first_seen_at,
        due_at: row.due_at,
        body: Some(String::from_utf8_lossy(&row.body).into_owned()),
    }))
}

/// Sets a parked message due now. It runs through the normal handler, so one whose saga has been undone since changes
/// nothing.
#[utoipa::path(post, path = "/parked/{message_id}/redrive", tag = "engine", params(("message_id" = Uuid, Path)),
    responses((status = 202, body = Redriven), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn redrive(
    Operator(caller): Operator,
    State(state): State<EngineState>,
    message_id: Result<Path<Uuid>, PathRejection>,
) -> Reply<(StatusCode, Json<Redriven>)> {
    let Path(message_id) = message_id?;
    let redriven = (state.redrive)(message_id.into(), caller.subject().to_owned()).await.map_err(|error| {
        tracing::warn!(error = %error, "a redrive failed");
        Problem::unavailable("the database is not available; try again")
    })?;
    match redriven {
        None => Err(Problem::not_found("this service holds no such message")),
        Some(0) => Err(Problem::conflict("this message can never be handled here (expired or without a saga)")),
        Some(redriven) => Ok((StatusCode::ACCEPTED, Json(Redriven { message_id, redriven }))),
    }
}
