//! `/products`: the price list.

use super::Shop;
use crate::store;
use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use order_contracts::{Currency, Money};
use saga_common::http::{Operator, Problem, Reply};
use saga_common::{Error, Saga, acts};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// A product.
#[derive(Serialize, ToSchema)]
pub(super) struct Product {
    /// The article.
    sku: String,
    /// Its name.
    name: String,
    /// What one costs, in minor units.
    unit_price_minor: i64,
    /// ISO 4217.
    currency: String,
}

/// All products.
#[derive(Serialize, ToSchema)]
pub(super) struct ProductList {
    /// By article.
    products: Vec<Product>,
}

/// A product's name and price.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewProduct {
    /// Its name.
    name: String,
    /// What one costs, in minor units.
    unit_price_minor: i64,
    /// ISO 4217.
    currency: String,
}

/// The price list.
#[utoipa::path(get, path = "/products", tag = "products", responses((status = 200, body = ProductList)))]
pub(super) async fn list(State(shop): State<Arc<Shop>>) -> Reply<Json<ProductList>> {
    let products = sqlx::query_as!(Product, "select sku, name, unit_price_minor, currency from products order by sku")
        .fetch_all(&shop.reads)
        .await?;
    Ok(Json(ProductList { products }))
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
    let (Path(sku), Json(product)) = (sku?, product?);
    let mut wrong = Vec::new();
    if sku.trim().is_empty() || sku.len() > 100 || product.name.trim().is_empty() {
        wrong.push("sku and name must not be empty, and sku at most 100 characters long".to_owned());
    }
    if sku.contains('\0') || product.name.contains('\0') {
        wrong.push("sku and name must not contain NUL".to_owned());
    }
    if let Err(error) = Money::from_minor(product.unit_price_minor) {
        wrong.push(format!("unit_price_minor: {error}"));
    }
    if let Err(error) = Currency::try_from(product.currency.clone()) {
        wrong.push(format!("currency: {error}"));
    }
    if !wrong.is_empty() {
        return Err(Problem::invalid(wrong));
    }
    // In a task of its own: a caller who hangs up must not cut the transaction in two.
    let NewProduct { name, unit_price_minor, currency } = product;
    let product = Product { sku, name, unit_price_minor, currency };
    let set = tokio::spawn(async move { set(&shop.saga, caller.subject(), product).await });
    Ok(Json(set.await.map_err(|_| Problem::internal("the product could not be set"))??))
}

async fn set(saga: &Saga, by: &str, product: Product) -> Result<Product, Error> {
    let unit = saga.begin().await?;
    store::put_product(unit.tx(), &product.sku, &product.name, product.unit_price_minor, &product.currency).await?;
    let Product { sku, name, unit_price_minor, currency } = &product;
    acts::note(unit.tx(), by, "price", &format!("{sku}: {name}, {unit_price_minor} {currency}"))?;
    saga.commit(unit).await?;
    Ok(product)
}
