//! `POST /orders`.

use super::Shop;
use super::body::{self, Order};
use super::recent::etag;
use crate::domain::{self, WantedLine};
use crate::keys::Taken;
use crate::placement::{NotPlaced, Placed, Placement};
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use order_contracts::{Currency, CustomerId, OrderId, PaymentMethod};
use saga_common::faults::NotInjected;
use saga_common::http::{Caller, Problem, Reply, request_key};
use saga_common::{SagaId, Trace};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// An order to be placed. Prices are the shop's.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewOrder {
    /// Who orders: the caller, unless an operator names somebody else.
    #[schema(min_length = 1, max_length = 100, example = "anna")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    customer_id: Option<String>,
    /// ISO 4217.
    #[schema(pattern = "^[A-Z]{3}$", example = "EUR")]
    currency: String,
    /// 1 to 200 lines.
    #[schema(min_items = 1, max_items = 200)]
    items: Vec<NewItem>,
    /// `wallet`, or a card such as `pm_card_visa`.
    #[schema(pattern = "^(wallet|pm_[A-Za-z0-9_]{1,100})$", example = "wallet")]
    payment_method: String,
}

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewItem {
    /// The article.
    #[schema(example = "MUG-STONE")]
    sku: String,
    /// How many.
    #[schema(minimum = 1, maximum = 1_000_000, example = 2)]
    quantity: i64,
}

/// Places an order. With an `Idempotency-Key` a repeated request gets the first one's answer; with `Prefer: wait=N` the
/// answer comes when the order is confirmed or cancelled, or after N seconds.
#[utoipa::path(post, path = "/orders", tag = "orders", request_body = NewOrder,
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 257,
            description = "1 to 255 printable ASCII characters, in quotes or without; kept for 24 hours, per customer"),
           ("Saga-Fault" = Option<String>, Header, description = "failure injection, for operators: payment-svc/after-charge=crash"),
           ("Prefer" = Option<String>, Header, description = "wait=N, at most 60 seconds")),
    responses((status = 202, body = Order), (status = 200, body = Order, description = "terminal within Prefer: wait"),
              (status = 400, body = Problem, description = "a header cannot be read, or faults are not injected"),
              (status = 403, body = Problem, description = "a customer orders for somebody else, or injects faults"),
              (status = 409, body = Problem, description = "the same request is being carried out"),
              (status = 422, body = Problem),
              (status = 503, body = Problem, description = "try again, with the same Idempotency-Key")))]
pub(super) async fn place(
    State(shop): State<Arc<Shop>>,
    caller: Caller,
    trace: Trace,
    headers: HeaderMap,
    order: Result<Json<NewOrder>, JsonRejection>,
) -> Reply<Response> {
    let Json(order) = order?;
    may_plant_faults(&caller, &headers)?;
    let customer_id = caller.acting_for(order.customer_id.clone())?;
    // Whether the customer was named or meant makes no other request.
    let order = NewOrder { customer_id: Some(customer_id.clone()), ..order };
    let key = request_key(&headers)?;
    let wait = headers.get("prefer").and_then(|value| domain::wait_seconds(value.to_str().ok()?));
    let taken = match &key {
        None => None,
        Some(key) => Some(shop.keys.take(&customer_id, key).ok_or_else(underway)?),
    };
    let placement = prepare(customer_id, &order, key, trace)?;
    plant_faults(&shop, placement.order_id.0.into(), &headers).await?;
    let (order_id, new) = commit(&shop, placement, taken).await?;
    answer(&shop, order_id, new, wait).await
}

/// Nothing goes wrong because a customer wants it to.
pub(super) fn may_plant_faults(caller: &Caller, headers: &HeaderMap) -> Reply<()> {
    if headers.contains_key("saga-fault") && !caller.is_operator() {
        return Err(Problem::new(403, "Saga-Fault: only an operator may inject faults"));
    }
    Ok(())
}

/// What the header `Saga-Fault` wants to go wrong, for this saga only.
pub(super) async fn plant_faults(shop: &Shop, saga_id: SagaId, headers: &HeaderMap) -> Reply<()> {
    let Some(text) = headers.get("saga-fault") else { return Ok(()) };
    let text = text.to_str().map_err(|_| Problem::new(400, "Saga-Fault has characters that no directive has"))?;
    shop.saga.plant_faults(saga_id, text).await.map_err(|why| match why {
        // 409 would mean here that the same request is being carried out.
        NotInjected::Off => Problem::new(400, why.to_string()),
        why => why.into(),
    })
}

fn underway() -> Problem {
    Problem::conflict("a request with this Idempotency-Key is being carried out; try again")
}

/// The order the request stands for, whole if this request placed it.
async fn commit(shop: &Shop, placement: Placement, taken: Option<Taken>) -> Reply<(OrderId, Option<Order>)> {
    let placed = shop.placements.place(placement.clone(), taken).await.map_err(|error| match error {
        NotPlaced::Busy => Problem::unavailable(error.to_string()),
        NotPlaced::Unknown(ref cause) => {
            tracing::warn!(error = %cause, "an order could not be placed for sure");
            Problem::unavailable("it is not known whether the order was placed; send the same request with the same Idempotency-Key again")
        }
    })?;
    match placed {
        Placed::New(priced, times) => {
            let order = Order::placed(&placement, &priced, times, &shop.required_answers);
            Ok((placement.order_id, Some(order)))
        }
        Placed::Before(order_id) => Ok((order_id, None)),
        Placed::OtherBody => Err(Problem::new(422, "this Idempotency-Key was used for another request body")),
        Placed::Refused(wrong) => Err(Problem::invalid(wrong)),
        Placed::Underway => Err(underway()),
    }
}

/// The 202 of the commit, or, if the caller prefers to wait, the order when it is terminal. What this request placed is
/// answered without the database: a failing read must not look like an order that was not placed.
async fn answer(shop: &Shop, order_id: OrderId, new: Option<Order>, wait: Option<u64>) -> Reply<Response> {
    let mut status = StatusCode::ACCEPTED;
    if let Some(seconds) = wait {
        let mut seen = shop.watch.follow(order_id);
        let terminal = seen.wait_for(|seen| seen.is_terminal());
        if matches!(tokio::time::timeout(Duration::from_secs(seconds), terminal).await, Ok(Ok(_))) {
            status = StatusCode::OK;
        }
    }
    let order = match (new, wait) {
        (Some(placed), None) => placed,
        (None, None) => body::load(&shop.reads, order_id.0).await?.into_placed(),
        (None, Some(_)) => body::load(&shop.reads, order_id.0).await?,
        (Some(placed), Some(_)) => body::load(&shop.reads, order_id.0).await.unwrap_or_else(|_| {
            status = StatusCode::ACCEPTED;
            placed
        }),
    };
    if wait.is_some() {
        // Who has waited for the end must not be shown the beginning.
        shop.recent.changed(order_id.0).await;
    }
    let location = (header::LOCATION, format!("/orders/{order_id}"));
    Ok((status, [location], [(header::ETAG, etag(order.version()))], Json(order)).into_response())
}

/// Everything but what the order costs.
fn prepare(customer_id: String, order: &NewOrder, key: Option<String>, trace: Trace) -> Reply<Placement> {
    let lines: Vec<WantedLine> =
        order.items.iter().map(|item| WantedLine { sku: item.sku.clone(), quantity: item.quantity }).collect();
    let wrong = domain::check(&customer_id, &order.currency, &order.payment_method, &lines);
    if !wrong.is_empty() {
        return Err(Problem::invalid(wrong));
    }
    let canonical = serde_json::to_vec(order).map_err(|e| Problem::internal(e.to_string()))?;
    Ok(Placement {
        order_id: OrderId(SagaId::new().as_uuid()),
        customer_id: CustomerId(customer_id),
        currency: Currency::try_from(order.currency.clone()).map_err(|e| Problem::invalid(vec![e.to_string()]))?,
        payment_method: PaymentMethod(order.payment_method.clone()),
        lines,
        key,
        body_hash: Sha256::digest(&canonical).to_vec(),
        trace,
    })
}
