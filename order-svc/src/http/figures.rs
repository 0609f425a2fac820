//! `GET /figures`: counters and latencies of the last minutes.

use super::Shop;
use crate::figures::Figures;
use axum::Json;
use axum::extract::State;
use saga_common::http::{Operator, Problem, Reply};
use std::sync::Arc;

/// What became of the orders of the last ten minutes, by the time at which they were placed: of all replicas, at most two seconds old.
#[utoipa::path(get, path = "/figures", tag = "explorer", responses((status = 200, body = Figures), (status = 503, body = Problem)))]
pub(super) async fn show(_: Operator, State(shop): State<Arc<Shop>>) -> Reply<Json<Figures>> {
    Ok(Json(shop.figures.read(&shop.reads).await?))
}
