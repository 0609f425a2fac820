//! What people have done here by hand.

use super::auth::Operator;
use super::problem::{Problem, Reply};
use super::state::EngineState;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Acts of people.
#[derive(Serialize, ToSchema)]
pub(super) struct Acts {
    /// Latest first.
    acts: Vec<Act>,
}

/// One act.
#[derive(Serialize, ToSchema)]
struct Act {
    /// When.
    at: DateTime<Utc>,
    /// Whose token it was.
    subject: String,
    /// What was done.
    #[schema(example = "redrive")]
    act: String,
    /// To what.
    target: String,
}

/// How many to list.
#[derive(Deserialize, IntoParams)]
pub(super) struct Page {
    /// At most so many (1 to 1,000).
    #[param(default = 100)]
    limit: Option<i64>,
}

/// What people have done here by hand, latest first.
#[utoipa::path(get, path = "/acts", tag = "engine", params(Page),
    responses((status = 200, body = Acts), (status = 400, body = Problem)))]
pub(super) async fn list(
    _: Operator,
    State(state): State<EngineState>,
    page: Result<Query<Page>, QueryRejection>,
) -> Reply<Json<Acts>> {
    let limit = page?.limit.unwrap_or(100).clamp(1, 1_000);
    let acts = sqlx::query_as!(Act, "select at, subject, act, target from saga.acts order by id desc limit $1", limit)
        .fetch_all(&state.reads)
        .await?;
    Ok(Json(Acts { acts }))
}
