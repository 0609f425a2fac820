//! `/products`: the price list.

use super::Shop;
use crate::catalogue;
use crate::store;
use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use saga_common::http::{Operator, Page, Problem, Reply};
use saga_common::{Error, Saga, acts};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// A product.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Product {
    /// The article.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]*$", example = "MUG-BLUE")]
    sku: String,
    /// Its name.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*[^\\s\\u0000-\\u001f\\u007f-\\u009f][^\\u0000-\\u001f\\u007f-\\u009f]*$",
        example = "Blue mug"
    )]
    name: String,
    /// What one costs, in minor units.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1800)]
    unit_price_minor: i64,
    /// ISO 4217.
    #[schema(pattern = "^[A-Z]{3}$", example = "EUR")]
    currency: String,
}

/// Products.
#[derive(Serialize, ToSchema)]
pub(super) struct ProductList {
    /// By article.
    products: Vec<Product>,
    /// Where the next page begins; none on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A product's name and price.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewProduct {
    /// Its name.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*[^\\s\\u0000-\\u001f\\u007f-\\u009f][^\\u0000-\\u001f\\u007f-\\u009f]*$",
        example = "Blue mug"
    )]
    name: String,
    /// What one costs, in minor units.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1800)]
    unit_price_minor: i64,
    /// ISO 4217.
    #[schema(pattern = "^[A-Z]{3}$", example = "EUR")]
    currency: String,
}

impl Product {
    pub(super) fn check(&self) -> Result<catalogue::Product, Vec<String>> {
        catalogue::Product::new(&self.sku, &self.name, self.unit_price_minor, &self.currency)
    }
}

/// The price list, page by page.
#[utoipa::path(get, path = "/products", tag = "products", params(Page),
    responses((status = 200, body = ProductList), (status = 400, body = Problem)))]
pub(super) async fn list(
    State(shop): State<Arc<Shop>>,
    page: Result<Query<Page>, QueryRejection>,
) -> Reply<Json<ProductList>> {
    let Query(page) = page?;
    let behind = page.behind_text()?;
    let mut products = sqlx::query_as!(
        Product,
        "select sku, name, unit_price_minor, currency from products where sku > $1 order by sku limit $2",
        behind,
        page.rows()?
    )
    .fetch_all(&shop.reads)
    .await?;
    let next_cursor = page.cut(&mut products, |last| last.sku.clone())?;
    Ok(Json(ProductList { products, next_cursor }))
}

/// Puts a product on the list. One that is there is changed with `PUT`.
#[utoipa::path(post, path = "/products", tag = "products", request_body = Product,
    responses((status = 201, body = Product, headers(("Location" = String))),
              (status = 409, body = Problem, description = "there is one of this SKU"), (status = 422, body = Problem)))]
pub(super) async fn add(
    Operator(caller): Operator,
    State(shop): State<Arc<Shop>>,
    product: Result<Json<Product>, JsonRejection>,
) -> Reply<impl IntoResponse> {
    let Json(product) = product?;
    let checked = product.check().map_err(Problem::invalid)?;
    // In a task of its own: a caller who hangs up must not cut the transaction in two.
    let added = tokio::spawn(async move { add_one(&shop.saga, caller.subject(), &checked).await });
    if !added.await.map_err(|_| Problem::internal("the product could not be added"))?? {
        return Err(Problem::conflict(format!("there is a product `{}`", product.sku)));
    }
    Ok((StatusCode::CREATED, [(header::LOCATION, format!("/products/{}", product.sku))], Json(product)))
}

async fn add_one(saga: &Saga, by: &str, product: &catalogue::Product) -> Result<bool, Error> {
    let unit = saga.begin().await?;
    let added = store::add_product(unit.tx(), product).await?;
    if added {
        acts::note(unit.tx(), by, "price", &product.to_string())?;
    }
    saga.commit(unit).await?;
    Ok(added)
}

/// A product.
#[utoipa::path(get, path = "/products/{sku}", tag = "products", params(("sku" = String, Path)),
    responses((status = 200, body = Product), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(shop): State<Arc<Shop>>,
    sku: Result<Path<String>, PathRejection>,
) -> Reply<Json<Product>> {
    let Path(sku) = sku?;
    if sku.contains('\0') {
        // PostgreSQL would refuse the question.
        return Err(no_such_product());
    }
    sqlx::query_as!(Product, "select sku, name, unit_price_minor, currency from products where sku = $1", sku)
        .fetch_optional(&shop.reads)
        .await?
        .map(Json)
        .ok_or_else(no_such_product)
}

fn no_such_product() -> Problem {
    Problem::not_found("there is no such product")
}

/// Sets a product's name and price. Orders placed before keep theirs.
#[utoipa::path(put, path = "/products/{sku}", tag = "products", params(("sku" = String, Path)), request_body = NewProduct,
    responses((status = 200, body = Product), (status = 422, body = Problem)))]
pub(super) async fn put(
    Operator(caller): Operator,
    State(shop): State<Arc<Shop>>,
    sku: Result<Path<String>, PathRejection>,
    product: Result<Json<NewProduct>, JsonRejection>,
) -> Reply<Json<Product>> {
    let (Path(sku), Json(NewProduct { name, unit_price_minor, currency })) = (sku?, product?);
    let product = Product { sku, name, unit_price_minor, currency };
    let checked = product.check().map_err(Problem::invalid)?;
    // In a task of its own: a caller who hangs up must not cut the transaction in two.
    let set = tokio::spawn(async move { set_all(&shop.saga, caller.subject(), &checked.into()).await });
    set.await.map_err(|_| Problem::internal("the product could not be set"))??;
    Ok(Json(product))
}

/// Sets products, all or none.
pub(super) async fn set_all(
    saga: &Saga,
    by: &str,
    products: &catalogue::Products,
) -> Result<store::SetProducts, Error> {
    let unit = saga.begin().await?;
    let set = store::set_products(unit.tx(), products).await?;
    acts::note(unit.tx(), by, "price", &products.to_string())?;
    saga.commit(unit).await?;
    Ok(set)
}
