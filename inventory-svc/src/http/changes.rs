//! What changes the stock other than orders. Each request is one unit of work, in a task of its own: a caller who hangs up must
//! not cut its transaction in two.

use super::Warehouse;
use super::stock::{Movement, Stock, unknown};
use crate::domain::{Adjustment, Count, Counts};
use crate::store::{self, Adjusted, Kind, SetStock};
use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use saga_common::http::{Operator, Problem, Reply, request_key};
use saga_common::{Error, Saga, acts};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What an article's stock is to be.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewStock {
    /// How many are available from now on; what is reserved or sold stays so.
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64, example = 100)]
    available: i64,
}

/// Something that is put on an article's shelf, or taken away.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAdjustment {
    /// How many more are available than before, or how many fewer; not 0.
    #[schema(minimum = -1_000_000_000_000_i64, maximum = 1_000_000_000_000_i64, example = -3)]
    change: i64,
    /// Why.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*[^\\s\\u0000-\\u001f\\u007f-\\u009f][^\\u0000-\\u001f\\u007f-\\u009f]*$",
        example = "breakage"
    )]
    reason: String,
}

/// An adjustment and what came of it.
#[derive(Serialize, ToSchema)]
pub(super) struct AdjustedStock {
    /// The line in the article's log; the same one if the request is repeated under its key.
    movement: Movement,
    /// What there is now.
    stock: Stock,
}

/// An article and how many were counted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CountedArticle {
    /// The article; an unknown one becomes known.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]*$", example = "MUG-STONE")]
    sku: String,
    /// How many are available from now on; what is reserved or sold stays so.
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64, example = 100)]
    available: i64,
}

/// 1 to 1,000 articles, each once.
#[derive(Deserialize, ToSchema)]
#[schema(min_items = 1, max_items = 1_000)]
pub(super) struct StockBatch(Vec<CountedArticle>);

/// What an import came to.
#[derive(Serialize, ToSchema)]
pub(super) struct ImportedStock {
    /// Articles that were not known.
    added: u64,
    /// Known articles of which something else was available before.
    changed: u64,
    /// The others.
    unchanged: u64,
}

/// Sets what is available of an article; an unknown one becomes known.
#[utoipa::path(put, path = "/stock/{sku}", tag = "stock", params(("sku" = String, Path)), request_body = NewStock,
    responses((status = 200, body = Stock), (status = 422, body = Problem)))]
pub(super) async fn put(
    Operator(caller): Operator,
    State(warehouse): State<Warehouse>,
    sku: Result<Path<String>, PathRejection>,
    body: Result<Json<NewStock>, JsonRejection>,
) -> Reply<Json<Stock>> {
    let (Path(sku), Json(NewStock { available })) = (sku?, body?);
    let count = Count::new(&sku, available).map_err(Problem::invalid)?;
    let set = tokio::spawn(async move { set_available(&warehouse.saga, caller.subject(), count).await });
    let stock = set.await.map_err(|_| Problem::internal("the stock could not be set"))??;
    Ok(Json(Stock::of(sku, stock)))
}

async fn set_available(saga: &Saga, by: &str, count: Count) -> Result<store::Stock, Error> {
    let unit = saga.begin().await?;
    let (sku, available) = (count.sku.clone(), count.available);
    acts::note(unit.tx(), by, "stock", &format!("{sku}: {available}"))?;
    store::set_available(unit.tx(), &count.into(), Kind::Set).await?;
    let stock = store::stock(unit.tx(), sku.as_str()).await?;
    saga.commit(unit).await?;
    Ok(stock)
}

/// Puts something on an article's shelf or takes it away, which is never left below zero. With an `Idempotency-Key` a repeated
/// request is the same movement: keys belong to their article, and are kept for good.
#[utoipa::path(post, path = "/stock/{sku}/adjustments", tag = "stock", request_body = NewAdjustment,
    params(("sku" = String, Path),
           ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 257,
            description = "1 to 255 printable ASCII characters, in quotes or without; kept for good, per article")),
    responses((status = 200, body = AdjustedStock), (status = 400, body = Problem), (status = 404, body = Problem),
              (status = 409, body = Problem, description = "there is not so much, or no room for so much"),
              (status = 422, body = Problem, description = "it cannot be so, or the key was used for another body")))]
pub(super) async fn adjust(
    Operator(caller): Operator,
    State(warehouse): State<Warehouse>,
    sku: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Result<Json<NewAdjustment>, JsonRejection>,
) -> Reply<Json<AdjustedStock>> {
    let (Path(sku), Json(NewAdjustment { change, reason })) = (sku?, body?);
    let key = request_key(&headers)?;
    let adjustment = Adjustment::new(&sku, change, reason).map_err(Problem::invalid)?;
    let done =
        tokio::spawn(async move { move_stock(&warehouse.saga, caller.subject(), &adjustment, key.as_deref()).await });
    match done.await.map_err(|_| Problem::internal("the stock could not be adjusted"))?? {
        Adjusted::Done(movement, stock) | Adjusted::Before(movement, stock) => {
            Ok(Json(AdjustedStock { movement: movement.into(), stock: Stock::of(sku, stock) }))
        }
        Adjusted::OtherBody => Err(Problem::new(422, "this Idempotency-Key was used for another request body")),
        Adjusted::Refused(why) => Err(Problem::conflict(why.to_string())),
        Adjusted::Unknown => Err(unknown()),
    }
}

async fn move_stock(saga: &Saga, by: &str, adjustment: &Adjustment, key: Option<&str>) -> Result<Adjusted, Error> {
    let unit = saga.begin().await?;
    let adjusted = store::adjust(unit.tx(), adjustment, key).await?;
    if let Adjusted::Done(..) = adjusted {
        let Adjustment { sku, change, reason } = adjustment;
        acts::note(unit.tx(), by, "stock", &format!("{sku}: {change:+}, {reason}"))?;
    }
    saga.commit(unit).await?;
    Ok(adjusted)
}

/// Sets what is available of up to 1,000 articles, all of them or none; unknown ones become known. Repeated, it changes nothing.
#[utoipa::path(post, path = "/stock/import", tag = "stock", request_body = StockBatch,
    responses((status = 200, body = ImportedStock), (status = 422, body = Problem)))]
pub(super) async fn import(
    Operator(caller): Operator,
    State(warehouse): State<Warehouse>,
    body: Result<Json<StockBatch>, JsonRejection>,
) -> Reply<Json<ImportedStock>> {
    let Json(StockBatch(articles)) = body?;
    let counts = Counts::new(articles.iter().map(|article| (article.sku.as_str(), article.available)));
    let counts = counts.map_err(Problem::invalid)?;
    let set = tokio::spawn(async move { set_all(&warehouse.saga, caller.subject(), &counts).await });
    let SetStock { added, changed } = set.await.map_err(|_| Problem::internal("the stock could not be imported"))??;
    Ok(Json(ImportedStock { added, changed, unchanged: articles.len() as u64 - added - changed }))
}

async fn set_all(saga: &Saga, by: &str, counts: &Counts) -> Result<SetStock, Error> {
    let unit = saga.begin().await?;
    let set = store::set_available(unit.tx(), counts, Kind::Imported).await?;
    acts::note(unit.tx(), by, "stock", &format!("{} articles", counts.skus().len()))?;
    saga.commit(unit).await?;
    Ok(set)
}
