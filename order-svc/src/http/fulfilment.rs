//! `/orders/{id}/status` and `/orders/{id}/return`: what becomes of a confirmed order.

use super::Shop;
use super::body::{self, Order};
use super::place::{may_plant_faults, plant_faults};
use crate::fulfilment::{begin_return, fulfil, return_saga};
use crate::status::{Fulfilled, may_return};
use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use order_contracts::{CustomerId, OrderId, ReturnId};
use saga_common::http::{Caller, Operator, Problem, Reply};
use saga_common::{SagaId, Trace};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

/// Where an order is now.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewStatus {
    status: Next,
}

/// What whoever ships and delivers orders can say of one.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Next {
    Shipped,
    Delivered,
}

impl From<Next> for Fulfilled {
    fn from(next: Next) -> Self {
        match next {
            Next::Shipped => Self::Shipped,
            Next::Delivered => Self::Delivered,
        }
    }
}

/// Moves a confirmed order on: `confirmed`, `shipped`, `delivered`. Asking again for the status that it has is the same.
#[utoipa::path(post, path = "/orders/{id}/status", tag = "orders", params(("id" = Uuid, Path)), request_body = NewStatus,
    responses((status = 200, body = Order), (status = 404, body = Problem),
              (status = 409, body = Problem, description = "what the order is, and what it can become"),
              (status = 422, body = Problem)))]
pub(super) async fn set_status(
    Operator(caller): Operator,
    State(shop): State<Arc<Shop>>,
    trace: Trace,
    id: Result<Path<Uuid>, PathRejection>,
    status: Result<Json<NewStatus>, JsonRejection>,
) -> Reply<Json<Order>> {
    let Path(id) = id?;
    let wanted = Fulfilled::from(status?.0.status);
    let order = body::load(&shop.reads, id).await?;
    if !wanted.is_next(order.known_status()?, order.closed_at.is_some()).map_err(Problem::conflict)? {
        return Ok(Json(order));
    }
    let (customer_id, by) = (CustomerId(order.customer_id), caller.subject().to_owned());
    let moved = fulfil(shop.saga.clone(), OrderId(id), customer_id, wanted, by, trace).await?;
    shop.recent.changed(id).await;
    let order = body::load(&shop.reads, id).await?;
    match wanted.is_next(order.known_status()?, order.closed_at.is_some()) {
        Err(why) if !moved => Err(Problem::conflict(why)),
        Ok(true) => Err(Problem::conflict("somebody else is changing the order; try again")),
        Ok(false) | Err(_) => Ok(Json(order)),
    }
}

/// Takes a delivered order back: its money goes to the customer, its stock to the shelf. The return is a saga of its own,
/// whose id the order shows. Asking again is the same return.
#[utoipa::path(post, path = "/orders/{id}/return", tag = "orders",
    params(("id" = Uuid, Path),
           ("Saga-Fault" = Option<String>, Header, description = "failure injection: payment-svc/after-refund=crash")),
    responses((status = 202, body = Order), (status = 404, body = Problem),
              (status = 400, body = Problem, description = "faults are not injected"),
              (status = 403, body = Problem, description = "a customer injects faults"),
              (status = 409, body = Problem, description = "what the order is, and what it can become")))]
pub(super) async fn give_back(
    State(shop): State<Arc<Shop>>,
    caller: Caller,
    trace: Trace,
    id: Result<Path<Uuid>, PathRejection>,
    headers: HeaderMap,
) -> Reply<(StatusCode, Json<Order>)> {
    let Path(id) = id?;
    may_plant_faults(&caller, &headers)?;
    let order = body::load_for(&caller, &shop.reads, id).await?;
    if !may_return(order.known_status()?).map_err(Problem::conflict)? {
        return Ok((StatusCode::ACCEPTED, Json(order)));
    }
    let return_id = ReturnId(SagaId::new().as_uuid());
    plant_faults(&shop, return_saga(return_id), &headers).await?;
    begin_return(shop.saga.clone(), order.coming_back(return_id), trace).await?;
    shop.recent.changed(id).await;
    let order = body::load(&shop.reads, id).await?;
    match may_return(order.known_status()?) {
        Ok(false) => Ok((StatusCode::ACCEPTED, Json(order))),
        Ok(true) => Err(Problem::conflict("somebody else is changing the order; try again")),
        Err(why) => Err(Problem::conflict(why)),
    }
}
