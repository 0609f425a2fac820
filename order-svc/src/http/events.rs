//! `GET /orders/{id}/events`: an order's status as it changes (server-sent events).

use super::Shop;
use super::body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures::stream::{self, Stream};
use order_contracts::OrderId;
use saga_common::http::{Caller, Problem, Reply};
use std::convert::Infallible;
use std::sync::Arc;
use uuid::Uuid;

/// The order whenever its status changes, as an event of that name (`closed` when a confirmed one is done), until it
/// changes no more by itself.
#[utoipa::path(get, path = "/orders/{id}/events", tag = "orders", params(("id" = Uuid, Path)),
    responses((status = 200, content_type = "text/event-stream"), (status = 404, body = Problem)))]
pub(super) async fn stream(
    State(shop): State<Arc<Shop>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
) -> Reply<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let Path(id) = id?;
    body::load_for(&caller, &shop.reads, id).await?;
    let seen = shop.watch.follow(OrderId(id));
    let stream = stream::unfold(Some((shop, seen, true)), move |state| async move {
        let (shop, mut seen, first) = state?;
        if !first {
            // Ends with the service: its watch goes, and this with it.
            seen.changed().await.ok()?;
        }
        let now = seen.wait_for(|seen| !seen.status.is_empty()).await.ok()?.clone();
        let order = body::load(&shop.reads, id).await.ok()?;
        // A confirmed order changes once more, when its stock has left the shelf: an event of another name.
        let name = if now.closed && now.status == "confirmed" { "closed" } else { now.status.as_str() };
        let event = Event::default().id(order.version().to_string()).event(name).json_data(&order).ok()?;
        let next = if now.is_final() { None } else { Some((shop, seen, false)) };
        Some((Ok(event), next))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}
