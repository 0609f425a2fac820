//! The stock over HTTP. Reads are single statements, checked against the tables when this is compiled; the one write is
//! a unit of work like any step's.

use crate::domain::{Count, is_sku};
use crate::store;
use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use saga_common::http::{Operator, Problem, Reply};
use saga_common::{Error, Saga};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Warehouse {
    pub(crate) saga: Saga,
    pub(crate) reads: PgPool,
}

/// The routes of this service.
pub(crate) fn routes(warehouse: Warehouse) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show, put)).with_state(warehouse)
}

/// All articles.
#[derive(Serialize, ToSchema)]
struct StockList {
    /// In the order of their SKUs.
    stock: Vec<Stock>,
}

/// What there is of one article.
#[derive(Serialize, ToSchema)]
struct Stock {
    /// The article.
    sku: String,
    /// How many can still be promised.
    available: i64,
    /// How many are promised to orders that are not closed.
    reserved: i64,
    /// How many have left for good.
    sold: i64,
}

/// What an article's stock is to be.
#[derive(Deserialize, ToSchema)]
struct NewStock {
    /// How many are available from now on; what is reserved or sold stays so.
    #[schema(minimum = 0)]
    available: i64,
}

/// The stock of every article.
#[utoipa::path(get, path = "/stock", tag = "stock", responses((status = 200, body = StockList)))]
async fn list(State(warehouse): State<Warehouse>) -> Reply<Json<StockList>> {
    let stock = sqlx::query_as!(Stock, "select sku, available, reserved, sold from stock order by sku")
        .fetch_all(&warehouse.reads)
        .await?;
    Ok(Json(StockList { stock }))
}

/// The stock of one article.
#[utoipa::path(get, path = "/stock/{sku}", tag = "stock", params(("sku" = String, Path)),
    responses((status = 200, body = Stock), (status = 404, body = Problem)))]
async fn show(State(warehouse): State<Warehouse>, sku: Result<Path<String>, PathRejection>) -> Reply<Json<Stock>> {
    let Path(sku) = sku?;
    let unknown = || Problem::not_found("there is no such article");
    if !is_sku(&sku) {
        return Err(unknown());
    }
    sqlx::query_as!(Stock, "select sku, available, reserved, sold from stock where sku = $1", sku)
        .fetch_optional(&warehouse.reads)
        .await?
        .map(Json)
        .ok_or_else(unknown)
}

/// Sets what is available of an article; an unknown one becomes known.
#[utoipa::path(put, path = "/stock/{sku}", tag = "stock", params(("sku" = String, Path)), request_body = NewStock,
    responses((status = 200, body = Stock), (status = 422, body = Problem)))]
async fn put(
    _: Operator,
    State(warehouse): State<Warehouse>,
    sku: Result<Path<String>, PathRejection>,
    body: Result<Json<NewStock>, JsonRejection>,
) -> Reply<Json<Stock>> {
    let (Path(sku), Json(NewStock { available })) = (sku?, body?);
    let count = Count::new(&sku, available).map_err(Problem::invalid)?;
    // In a task of its own: a caller who hangs up must not cut the transaction in two.
    let set = tokio::spawn(async move { set_available(&warehouse.saga, &count).await });
    let store::Stock { available, reserved, sold } =
        set.await.map_err(|_| Problem::internal("the stock could not be set"))??;
    Ok(Json(Stock { sku, available, reserved, sold }))
}

async fn set_available(saga: &Saga, count: &Count) -> Result<store::Stock, Error> {
    let unit = saga.begin().await?;
    let stock = store::set_available(unit.tx(), count).await?;
    saga.commit(unit).await?;
    Ok(stock)
}
