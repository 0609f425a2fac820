//! `GET /orders/{id}/timeline`: the story of an order, stitched from what each service knows of its saga. A service that
//! does not answer is shown as silent, never waited for.

use super::Shop;
use super::body;
use crate::peers::{Peers, Silent};
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use futures::future::{join_all, try_join_all};
use saga_common::http::{Caller, Problem, Reply};
use saga_common::{CallLine, FaultLine, SagaPart, SaidLine};
use serde::Serialize;
use std::iter;
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

/// The story of an order.
#[derive(Serialize, ToSchema)]
pub(super) struct Timeline {
    /// The order, which is its saga.
    saga_id: Uuid,
    /// The order's status now.
    status: String,
    /// The saga of its return, whose steps are told here too.
    #[serde(skip_serializing_if = "Option::is_none")]
    return_id: Option<Uuid>,
    /// What happened, oldest first.
    entries: Vec<Entry>,
    /// Services that did not answer.
    silent: Vec<String>,
    /// Messages of this saga that are parked, by service.
    parked: Vec<Held>,
    /// Messages of this saga that wait for another attempt, by service.
    waiting: Vec<Held>,
    /// Calls outside that are to be made or under way.
    calls: Vec<Call>,
    /// Faults that this saga carries, and which have fired.
    faults: Vec<Fault>,
}

/// One step of one service.
#[derive(Serialize, ToSchema)]
pub(super) struct Entry {
    /// When it was settled.
    at: DateTime<Utc>,
    /// When it was begun: of a step that was undone since, when it had taken effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    begun_at: Option<DateTime<Utc>>,
    /// By whom.
    service: String,
    /// Which step.
    step: String,
    /// What became of it.
    verdict: String,
    /// The message it reacted to.
    reacted_to: Message,
    /// What it said.
    said: Option<Said>,
    /// Why, where the verdict does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// A message.
#[derive(Serialize, ToSchema)]
pub(super) struct Message {
    message_id: Uuid,
}

/// An event that was said.
#[derive(Serialize, ToSchema)]
pub(super) struct Said {
    #[serde(rename = "type")]
    event_type: String,
    message_id: Uuid,
}

impl From<SaidLine> for Said {
    fn from(line: SaidLine) -> Self {
        Self { event_type: line.event_type, message_id: line.message_id.as_uuid() }
    }
}

/// A message that is held up.
#[derive(Serialize, ToSchema)]
pub(super) struct Held {
    /// Where.
    service: String,
    message_id: Uuid,
    step: String,
    attempts: i32,
    reason: String,
    due_at: DateTime<Utc>,
}

/// A call outside that has not ended.
#[derive(Serialize, ToSchema)]
pub(super) struct Call {
    /// Whose.
    service: String,
    #[serde(flatten)]
    line: CallLine,
}

/// A fault directive of the saga, in one of the services that it names.
#[derive(Serialize, ToSchema)]
pub(super) struct Fault {
    /// Where.
    service: String,
    #[serde(flatten)]
    line: FaultLine,
}

/// The story of an order.
#[utoipa::path(get, path = "/orders/{id}/timeline", tag = "orders", params(("id" = Uuid, Path)),
    responses((status = 200, body = Timeline), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(shop): State<Arc<Shop>>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
) -> Reply<Json<Timeline>> {
    let Path(id) = id?;
    let order = body::load_for(&caller, &shop.reads, id).await?;
    let (status, return_id) = (order.status, order.taken_back.map(|it| it.id));
    let mut timeline = Timeline {
        saga_id: id,
        status,
        return_id,
        entries: vec![],
        silent: vec![],
        parked: vec![],
        waiting: vec![],
        calls: vec![],
        faults: vec![],
    };
    let sagas: Vec<Uuid> = iter::once(id).chain(return_id).collect();
    for saga in &sagas {
        timeline.add("order-svc", shop.saga.part((*saga).into()).await?);
    }
    let asked = shop.peers.services().map(|(service, url)| {
        let (peers, sagas) = (&shop.peers, &sagas);
        async move { (service, ask(peers, url, sagas).await) }
    });
    for (service, parts) in join_all(asked).await {
        match parts {
            Ok(parts) => parts.into_iter().for_each(|part| timeline.add(service, part)),
            Err(error) => {
                tracing::debug!(service, error = %error, "silent");
                timeline.silent.push(service.to_owned());
            }
        }
    }
    timeline.entries.sort_by_key(|entry| entry.at);
    Ok(Json(timeline))
}

async fn ask(peers: &Peers, url: &str, sagas: &[Uuid]) -> Result<Vec<SagaPart>, Silent> {
    let part = async |id: &Uuid| peers.get::<SagaPart>(url, &format!("/sagas/{id}")).await;
    try_join_all(sagas.iter().map(part)).await
}

impl Timeline {
    fn add(&mut self, service: &str, part: SagaPart) {
        self.entries.extend(part.steps.into_iter().map(|step| Entry {
            at: step.at,
            begun_at: step.begun_at,
            service: service.to_owned(),
            step: step.step,
            verdict: step.verdict,
            reacted_to: Message { message_id: step.message_id.as_uuid() },
            said: step.said.map(Said::from),
            detail: step.detail,
        }));
        self.calls.extend(part.calls.into_iter().map(|line| Call { service: service.to_owned(), line }));
        self.faults.extend(part.faults.into_iter().map(|line| Fault { service: service.to_owned(), line }));
        for row in part.waiting {
            let list = if row.is_parked() { &mut self.parked } else { &mut self.waiting };
            list.push(Held {
                service: service.to_owned(),
                message_id: row.message_id.as_uuid(),
                step: row.step,
                attempts: row.attempts,
                reason: row.reason,
                due_at: row.due_at,
            });
        }
    }
}
