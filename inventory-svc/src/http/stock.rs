//! What there is, and how it came to be there.

use super::Warehouse;
use crate::store;
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use chrono::{DateTime, Utc};
use order_contracts::Sku;
use saga_common::http::{Operator, Page, Problem, Reply};
use serde::Serialize;
use utoipa::ToSchema;

/// A page of articles.
#[derive(Serialize, ToSchema)]
pub(super) struct StockList {
    /// In the order of their SKUs.
    stock: Vec<Stock>,
    /// Where the next page begins; none on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// What there is of one article.
#[derive(Serialize, ToSchema)]
pub(super) struct Stock {
    /// The article.
    sku: String,
    /// How many can still be promised.
    available: i64,
    /// How many are promised to orders that are not closed.
    reserved: i64,
    /// How many have left for good.
    sold: i64,
}

impl Stock {
    pub(super) fn of(sku: String, stock: store::Stock) -> Self {
        let store::Stock { available, reserved, sold } = stock;
        Self { sku, available, reserved, sold }
    }
}

/// A page of an article's log.
#[derive(Serialize, ToSchema)]
pub(super) struct MovementList {
    /// The latest first.
    movements: Vec<Movement>,
    /// Where the next page begins; none on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A change of what is available that no order made.
#[derive(Serialize, ToSchema)]
pub(super) struct Movement {
    /// Its number; later ones of the same article have higher ones.
    pub(super) id: i64,
    /// By how much.
    #[schema(example = -3)]
    pub(super) change: i64,
    /// `opening`, `set`, `adjusted` or `imported`.
    #[schema(example = "adjusted")]
    pub(super) kind: String,
    /// Why it was adjusted.
    #[schema(example = "breakage")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// What the article's movements up to this one add up to: all that was then available, reserved or sold.
    pub(super) total: i64,
    /// When.
    pub(super) at: DateTime<Utc>,
}

impl From<store::Movement> for Movement {
    fn from(line: store::Movement) -> Self {
        let store::Movement { id, change, kind, reason, total, at } = line;
        Self { id, change, kind, reason, total, at }
    }
}

/// The stock of every article, page by page.
#[utoipa::path(get, path = "/stock", tag = "stock", params(Page),
    responses((status = 200, body = StockList), (status = 400, body = Problem)))]
pub(super) async fn list(
    State(warehouse): State<Warehouse>,
    page: Result<Query<Page>, QueryRejection>,
) -> Reply<Json<StockList>> {
    let Query(page) = page?;
    let behind = page.behind_text()?;
    let mut stock = sqlx::query_as!(
        Stock,
        "select sku, available, reserved, sold from stock where sku > $1 order by sku limit $2",
        behind,
        page.rows()?
    )
    .fetch_all(&warehouse.reads)
    .await?;
    let next_cursor = page.cut(&mut stock, |last| last.sku.clone())?;
    Ok(Json(StockList { stock, next_cursor }))
}

pub(super) fn unknown() -> Problem {
    Problem::not_found(
        "there is no stock of this article: count it first, by PUT /stock/{sku} or `available` in an import",
    )
}

/// The stock of one article.
#[utoipa::path(get, path = "/stock/{sku}", tag = "stock", params(("sku" = String, Path)),
    responses((status = 200, body = Stock), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(warehouse): State<Warehouse>,
    sku: Result<Path<String>, PathRejection>,
) -> Reply<Json<Stock>> {
    let Path(sku) = sku?;
    Ok(Json(article(&warehouse, &sku).await?))
}

async fn article(warehouse: &Warehouse, sku: &str) -> Reply<Stock> {
    if !Sku::is_well_formed(sku) {
        return Err(unknown());
    }
    sqlx::query_as!(Stock, "select sku, available, reserved, sold from stock where sku = $1", sku)
        .fetch_optional(&warehouse.reads)
        .await?
        .ok_or_else(unknown)
}

/// What changed an article's stock other than orders, the latest first, page by page.
#[utoipa::path(get, path = "/stock/{sku}/movements", tag = "stock", params(("sku" = String, Path), Page),
    responses((status = 200, body = MovementList), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn movements(
    _: Operator,
    State(warehouse): State<Warehouse>,
    sku: Result<Path<String>, PathRejection>,
    page: Result<Query<Page>, QueryRejection>,
) -> Reply<Json<MovementList>> {
    let (Path(sku), Query(page)) = (sku?, page?);
    let before = page.behind(|id| id.parse().ok().filter(|id| *id > 0))?.unwrap_or(i64::MAX);
    let rows = page.rows()?;
    // Also to tell an article that nothing has happened to from one that is not there.
    let Stock { sku, .. } = article(&warehouse, &sku).await?;
    let mut movements = sqlx::query_as!(
        Movement,
        "select id, change, kind, reason, total, at from stock_movements where sku = $1 and id < $2 order by id desc limit $3",
        sku,
        before,
        rows
    )
    .fetch_all(&warehouse.reads)
    .await?;
    let next_cursor = page.cut(&mut movements, |last| last.id.to_string())?;
    Ok(Json(MovementList { movements, next_cursor }))
}
