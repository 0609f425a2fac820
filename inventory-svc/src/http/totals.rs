//! `GET /totals`: what the stock adds up to.

use super::Warehouse;
use axum::Json;
use axum::extract::State;
use saga_common::http::{Operator, Problem, Reply};
use serde::Serialize;
use utoipa::ToSchema;

/// What the stock adds up to, in one snapshot: what was put in is what is available, reserved and sold.
#[derive(Serialize, ToSchema)]
pub(super) struct StockTotals {
    /// How many articles there are.
    articles: i64,
    /// Pieces that can still be promised.
    available: i64,
    /// Pieces that are promised to orders that are not closed.
    reserved: i64,
    /// Pieces that have left for good.
    sold: i64,
    /// What all movements add up to: pieces that were ever put on the shelf, less those that were taken away by hand.
    put_in: i64,
}

/// What the stock adds up to. It reads every article and every movement.
#[utoipa::path(get, path = "/totals", tag = "explorer", responses((status = 200, body = StockTotals), (status = 503, body = Problem)))]
pub(super) async fn show(_: Operator, State(warehouse): State<Warehouse>) -> Reply<Json<StockTotals>> {
    // Sums of bigints are numerics; no shelf holds what does not fit.
    let totals = sqlx::query_as!(
        StockTotals,
        r#"select count(*) as "articles!", coalesce(sum(available), 0)::int8 as "available!", coalesce(sum(reserved), 0)::int8 as "reserved!",
                  coalesce(sum(sold), 0)::int8 as "sold!", (select coalesce(sum(change), 0)::int8 from stock_movements) as "put_in!"
           from stock"#
    )
    .fetch_one(&warehouse.reads)
    .await?;
    Ok(Json(totals))
}
