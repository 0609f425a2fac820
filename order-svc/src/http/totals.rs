//! `GET /totals`: what the orders add up to, to be held against what the other services' books do.

use super::Shop;
use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use saga_common::http::{Operator, Problem, Reply};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// What all orders add up to, in one snapshot.
#[derive(Serialize, ToSchema)]
pub(super) struct OrderTotals {
    /// When they were added up.
    at: DateTime<Utc>,
    /// One line for each status and currency that there is.
    orders: Vec<StatusTotal>,
    /// Confirmed orders whose stock has not left the shelf yet.
    unclosed: i64,
}

/// The orders of one status, in one currency.
#[derive(Serialize, ToSchema)]
struct StatusTotal {
    status: String,
    /// ISO 4217.
    currency: String,
    /// How many.
    orders: i64,
    /// What they cost, in minor units.
    amount_minor: i64,
    /// How many pieces of whatever article.
    pieces: i64,
}

/// What all orders add up to. It reads every order: seconds, where there are millions.
#[utoipa::path(get, path = "/totals", tag = "explorer", responses((status = 200, body = OrderTotals), (status = 503, body = Problem)))]
pub(super) async fn show(_: Operator, State(shop): State<Arc<Shop>>) -> Reply<Json<OrderTotals>> {
    let rows = sqlx::query!(
        r#"select o.status, o.currency, count(*) as "orders!", least(sum(o.amount_minor), 9223372036854775807)::int8 as "amount_minor!",
                  least(coalesce(sum(l.pieces), 0), 9223372036854775807)::int8 as "pieces!",
                  count(*) filter (where o.status in ('confirmed', 'shipped', 'delivered') and o.closed_at is null) as "unclosed!"
           from orders o
           left join (select order_id, sum(quantity) as pieces from order_lines group by order_id) l on l.order_id = o.id
           group by o.status, o.currency order by o.status, o.currency"#
    )
    .fetch_all(&shop.reads)
    .await?;
    let unclosed = rows.iter().map(|row| row.unclosed).sum();
    let orders = rows.into_iter().map(|row| StatusTotal {
        status: row.status,
        currency: row.currency,
        orders: row.orders,
        amount_minor: row.amount_minor,
        pieces: row.pieces,
    });
    Ok(Json(OrderTotals { at: Utc::now(), orders: orders.collect(), unclosed }))
}
