//! `GET /orders/{id}/timeline`: the story of an order, stitched from what each service knows of its saga, and what comes next, by
//! the maps of all. A service that does not answer is shown as silent, never waited for.

use super::Shop;
use super::body;
use crate::peers::{Peers, Silent};
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use futures::future::{join, join_all, try_join_all};
use saga_common::choreography::{Choreography, Expectation, Part, Story};
use saga_common::http::{Caller, Problem, Reply};
use saga_common::{CallLine, FaultLine, SagaPart, SaidLine, StepLine};
use serde::Serialize;
use std::collections::BTreeSet;
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
    /// What comes next, by the choreography: steps that react to what was said and have not yet.
    expected: Vec<Expectation>,
    /// The events of which one would end the saga, from where it is; none if it has ended.
    terminal: Vec<String>,
    /// Services that did not answer.
    silent: Vec<String>,
    /// Messages of this saga that are parked, by service.
    parked: Vec<Held>,
    /// Messages of this saga that wait for another attempt, by service.
    waiting: Vec<Held>,
    /// Calls outside that are to be made or under way.
    calls: Vec<Call>,
    /// Faults that this saga carries, and which have fired; told to operators.
    faults: Vec<Fault>,
}

impl Timeline {
    /// A customer is told where the order is, and not what only operators can do something about: experiments, and the words in
    /// which a database, the broker or the provider refused.
    fn keep_to_the_order(&mut self) {
        self.faults.clear();
        self.calls.iter_mut().for_each(|call| call.line.last_error = None);
        self.parked.iter_mut().for_each(|held| held.reason = "an operator looks at it".to_owned());
        self.waiting.iter_mut().for_each(|held| held.reason = "is tried again".to_owned());
    }
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
    /// Its type, where somebody tells that they said it; none for what a step on request said itself.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    event_type: Option<String>,
}

/// An event that was said.
#[derive(Serialize, ToSchema)]
pub(super) struct Said {
    #[serde(rename = "type")]
    event_type: String,
    message_id: Uuid,
}

impl From<&SaidLine> for Said {
    fn from(line: &SaidLine) -> Self {
        Self { event_type: line.event_type.clone(), message_id: line.message_id.as_uuid() }
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
    /// Why; in its own words to operators only.
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
    let sagas: Vec<Uuid> = iter::once(id).chain(return_id).collect();
    let mut own = Vec::new();
    for saga in &sagas {
        own.push(shop.saga.part((*saga).into()).await?);
    }
    let peers = shop.maps.peers();
    let asked = peers.services().map(|(service, url)| {
        let sagas = &sagas;
        async move { (service, ask(peers, url, sagas).await) }
    });
    let (told, maps) = join(join_all(asked), shop.maps.of_peers()).await;
    let maps_are_missing = told.iter().any(|(service, _)| !maps.contains_key(*service));

    let mut services = vec![Told { service: "order-svc", map: Some(shop.maps.own()), parts: Some(own) }];
    for (service, parts) in told {
        let parts = parts.inspect_err(|error| tracing::debug!(service, error = %error, "silent")).ok();
        services.push(Told { service, map: maps.get(service).map(|map| &**map), parts });
    }
    let silent = services.iter().filter(|it| it.parts.is_none()).map(|it| it.service.to_owned()).collect();
    let nothing = (Vec::new(), Vec::new(), BTreeSet::new());
    let (mut entries, mut expected, mut terminal) = nothing;
    for (n, _) in sagas.iter().enumerate() {
        let story = Story { parts: services.iter().filter_map(|it| it.part(n)).collect(), maps_are_missing };
        entries.extend(services.iter().flat_map(|it| it.entries(n, &story)));
        expected.extend(story.expected(Utc::now()));
        terminal.extend(story.terminal());
    }
    entries.sort_by_key(|entry: &Entry| entry.at);
    let (parked, waiting) = services.iter().flat_map(Told::held).partition(|(is_parked, _)| *is_parked);
    let held = |rows: Vec<(bool, Held)>| rows.into_iter().map(|(_, held)| held).collect();
    let (parked, waiting, terminal) = (held(parked), held(waiting), terminal.into_iter().collect());
    let calls = services.iter().flat_map(Told::calls).collect();
    let faults = services.iter().flat_map(Told::faults).collect();
    let mut timeline = Timeline {
        saga_id: id,
        status,
        return_id,
        entries,
        expected,
        terminal,
        silent,
        parked,
        waiting,
        calls,
        faults,
    };
    if !caller.is_operator() {
        timeline.keep_to_the_order();
    }
    Ok(Json(timeline))
}

async fn ask(peers: &Peers, url: &str, sagas: &[Uuid]) -> Result<Vec<SagaPart>, Silent> {
    let part = async |id: &Uuid| peers.get::<SagaPart>(url, &format!("/sagas/{id}")).await;
    try_join_all(sagas.iter().map(part)).await
}

/// What one service tells.
struct Told<'a> {
    service: &'a str,
    map: Option<&'a Choreography>,
    /// One for each saga; none if it is silent.
    parts: Option<Vec<SagaPart>>,
}

impl Told<'_> {
    /// Its part of the nth saga, if there is a map to read it by.
    fn part(&self, n: usize) -> Option<Part<'_>> {
        let map = self.map?;
        Some(match &self.parts {
            Some(parts) => parts.get(n)?.told(self.service, map),
            None => Part::silent(self.service, map),
        })
    }

    fn entries(&self, n: usize, story: &Story<'_>) -> Vec<Entry> {
        let part = self.parts.as_ref().and_then(|parts| parts.get(n));
        let entry = |step: &StepLine| Entry {
            at: step.at,
            begun_at: step.begun_at,
            service: self.service.to_owned(),
            step: step.step.clone(),
            verdict: step.verdict.clone(),
            reacted_to: Message {
                message_id: step.message_id.as_uuid(),
                event_type: story.reacted_to(&step.told()).map(str::to_owned),
            },
            said: step.said.as_ref().map(Said::from),
            detail: step.detail.clone(),
        };
        part.map(|part| part.steps.iter().map(entry).collect()).unwrap_or_default()
    }

    fn calls(&self) -> impl Iterator<Item = Call> {
        let lines = self.parts.iter().flatten().flat_map(|part| &part.calls);
        lines.map(|line| Call { service: self.service.to_owned(), line: line.clone() })
    }

    fn faults(&self) -> impl Iterator<Item = Fault> {
        let lines = self.parts.iter().flatten().flat_map(|part| &part.faults);
        lines.map(|line| Fault { service: self.service.to_owned(), line: line.clone() })
    }

    /// The messages it has set aside, and whether they are parked.
    fn held(&self) -> Vec<(bool, Held)> {
        let rows = self.parts.iter().flatten().flat_map(|part| &part.waiting);
        let held = rows.map(|row| {
            let held = Held {
                service: self.service.to_owned(),
                message_id: row.message_id.as_uuid(),
                step: row.step.clone(),
                attempts: row.attempts,
                reason: row.reason.clone(),
                due_at: row.due_at,
            };
            (row.is_parked(), held)
        });
        held.collect()
    }
}
