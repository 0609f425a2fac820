//! `/orders`: show, list, cancel.

use super::Shop;
use super::body::{self, Order};
use super::recent::{Has, etag};
use crate::cancel;
use crate::status::{Status, not_cancelled};
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use order_contracts::OrderId;
use saga_common::Trace;
use saga_common::http::{Caller, Problem, Reply};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// An order, at most a second old, and never older than the version of `If-None-Match`.
#[utoipa::path(get, path = "/orders/{id}", tag = "orders",
    params(("id" = Uuid, Path),
           ("If-None-Match" = Option<String>, Header, description = "the `ETag` of an answer before: 304 while it is the latest")),
    responses((status = 200, body = Order, headers(("ETag" = String, description = "its version, which grows with every change"))),
              (status = 304, description = "the caller has the latest version"),
              (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(shop): State<Arc<Shop>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
    headers: HeaderMap,
) -> Reply<Response> {
    let Path(id) = id?;
    let has = Has::of(&headers);
    let mut found = shop.recent.get(id).await?;
    body::must_be_seen_by(&caller, &found.order)?;
    if has.version().is_some_and(|seen| seen > found.version && seen <= body::LAST_VERSION) {
        found = shop.recent.get_anew(id).await?;
    }
    let version =
        [(header::ETAG, etag(found.version)), (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))];
    Ok(if has.is(found.version) {
        (StatusCode::NOT_MODIFIED, version).into_response()
    } else {
        (version, Json(&found.order)).into_response()
    })
}

/// Orders, latest first.
#[derive(Serialize, ToSchema)]
pub(super) struct OrderList {
    /// A page of them.
    orders: Vec<Order>,
    /// Where the next page begins; none on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Which orders to list.
#[derive(Deserialize, IntoParams)]
pub(super) struct Page {
    /// Only those of this customer; for operators.
    customer_id: Option<String>,
    /// Only those with this status.
    status: Option<String>,
    /// At most so many (1 to 100).
    #[param(default = 50)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Orders, latest first, page by page: a customer's own, or all for an operator.
#[utoipa::path(get, path = "/orders", tag = "orders", params(Page),
    responses((status = 200, body = OrderList), (status = 400, body = Problem)))]
pub(super) async fn list(
    State(shop): State<Arc<Shop>>,
    caller: Caller,
    page: Result<Query<Page>, QueryRejection>,
) -> Reply<Json<OrderList>> {
    let Query(page) = page?;
    let page = Page { customer_id: visible(&caller, page.customer_id)?, ..page };
    let limit = page.limit.unwrap_or(50).clamp(1, 100);
    let before = match page.cursor {
        None => None,
        Some(cursor) => Some(cursor.parse::<Uuid>().map_err(|_| Problem::new(400, "cursor is none of ours"))?),
    };
    if page.status.as_ref().is_some_and(|status| status.parse::<Status>().is_err()) {
        let statuses = Status::ALL.map(Status::as_str);
        return Err(Problem::new(400, format!("status must be one of {}", statuses.join(", "))));
    }
    let ids = sqlx::query_scalar!(
        "select id from orders where ($1::text is null or status = $1) and ($2::uuid is null or id < $2)
         and ($4::text is null or customer_id = $4) order by id desc limit $3",
        page.status,
        before,
        limit + 1,
        page.customer_id.as_deref()
    )
    .fetch_all(&shop.reads)
    .await?;
    let page_length = usize::try_from(limit).unwrap_or(ids.len());
    let shown = &ids[..ids.len().min(page_length)];
    let next_cursor = if ids.len() > page_length { shown.last().map(Uuid::to_string) } else { None };
    Ok(Json(OrderList { orders: body::load_all(&shop.reads, shown).await?, next_cursor }))
}

/// Whose orders are listed.
fn visible(caller: &Caller, asked: Option<String>) -> Reply<Option<String>> {
    match caller.sees_only() {
        None => Ok(asked),
        Some(_) => caller.acting_for(asked).map(Some),
    }
}

/// Cancels a pending order. Asking again while it is being cancelled is the same; a confirmed order is a conflict.
#[utoipa::path(post, path = "/orders/{id}/cancel", tag = "orders", params(("id" = Uuid, Path)),
    responses((status = 202, body = Order), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn cancel(
    State(shop): State<Arc<Shop>>,
    caller: Caller,
    trace: Trace,
    id: Result<Path<Uuid>, PathRejection>,
) -> Reply<(StatusCode, Json<Order>)> {
    let Path(id) = id?;
    body::load_for(&caller, &shop.reads, id).await?;
    cancel::by_customer(shop.saga.clone(), OrderId(id), trace).await?;
    shop.recent.changed(id).await;
    let order = body::load(&shop.reads, id).await?;
    match order.status.as_str() {
        "cancelling" | "cancelled" => Ok((StatusCode::ACCEPTED, Json(order))),
        status => Err(Problem::conflict(not_cancelled(status))),
    }
}
