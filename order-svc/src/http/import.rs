//! `POST /products/import`: many products at once.

use super::Shop;
use super::products::{Product, set_all};
use crate::catalogue::Products;
use crate::store::SetProducts;
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use saga_common::http::{Operator, Problem, Reply};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// 1 to 1,000 products.
#[derive(Deserialize, ToSchema)]
#[schema(min_items = 1, max_items = 1_000)]
pub(super) struct ProductBatch(Vec<Product>);

/// What an import came to.
#[derive(Serialize, ToSchema)]
pub(super) struct ImportedProducts {
    /// Those that were not on the list.
    added: u64,
    /// Those that had another name or price.
    changed: u64,
    /// The others.
    unchanged: u64,
}

/// Sets names and prices of up to 1,000 products, all of them or none; new ones are added. Repeated, it changes nothing.
#[utoipa::path(post, path = "/products/import", tag = "products", request_body = ProductBatch,
    responses((status = 200, body = ImportedProducts), (status = 422, body = Problem)))]
pub(super) async fn import(
    Operator(caller): Operator,
    State(shop): State<Arc<Shop>>,
    products: Result<Json<ProductBatch>, JsonRejection>,
) -> Reply<Json<ImportedProducts>> {
    let Json(ProductBatch(products)) = products?;
    let checked = Products::new(products.iter().map(Product::check)).map_err(Problem::invalid)?;
    // In a task of its own: a caller who hangs up must not cut the transaction in two.
    let set = tokio::spawn(async move { set_all(&shop.saga, caller.subject(), &checked).await });
    let SetProducts { added, changed } =
        set.await.map_err(|_| Problem::internal("the products could not be imported"))??;
    Ok(Json(ImportedProducts { added, changed, unchanged: products.len() as u64 - added - changed }))
}
