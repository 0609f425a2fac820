//! This service's part of a saga.

use super::auth::Peer;
use super::problem::{Problem, Reply};
use super::state::EngineState;
use crate::saga::SagaPart;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use uuid::Uuid;

/// This service's part of a saga.
#[utoipa::path(get, path = "/sagas/{saga_id}", tag = "engine",
    params(("saga_id" = Uuid, Path, description = "the saga, which is the order")),
    responses((status = 200, body = SagaPart), (status = 400, body = Problem)))]
pub(super) async fn show(
    _: Peer,
    State(state): State<EngineState>,
    saga_id: Result<Path<Uuid>, PathRejection>,
) -> Reply<Json<SagaPart>> {
    let Path(saga_id) = saga_id?;
    Ok(Json(state.saga.part(saga_id.into()).await?))
}
