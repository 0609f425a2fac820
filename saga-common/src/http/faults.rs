//! Failure injection at run time: which points there are, how often each was reached, what is set for this process.

use super::auth::Operator;
use super::problem::{Problem, Reply};
use super::state::EngineState;
use crate::faults::{Directives, ENGINE, FaultPoint, NotInjected};
use crate::ids::SagaId;
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Fault injection of this process.
#[derive(Serialize, ToSchema)]
pub(super) struct FaultMap {
    /// Was the process started with it?
    enabled: bool,
    /// What is set for the whole process.
    directives: String,
    /// Every fault point of this service.
    points: Vec<PointMap>,
    /// How many holds were released by this request, if it asked for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    released: Option<u64>,
}

/// One fault point.
#[derive(Serialize, ToSchema)]
pub(super) struct PointMap {
    /// `<service>/<point>`, as a directive names it.
    #[schema(example = "payment-svc/after-charge")]
    point: String,
    /// What it is at.
    #[schema(example = "commit")]
    place: &'static str,
    /// What a crash there means.
    stands_for: &'static str,
    /// The actions that mean something there.
    actions: Vec<&'static str>,
    /// How often it was reached while what was handled.
    reached: Vec<Reached>,
}

/// How often a point was reached by one type of event.
#[derive(Serialize, ToSchema)]
pub(super) struct Reached {
    /// The type without its version; empty where no event was handled.
    event: String,
    /// How often it was reached.
    times: u64,
    /// How often something happened there.
    fired: u64,
}

/// What is to be set for the whole process, or released for one saga: `directives`, `release`, or both.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewFaults {
    /// Directives of the whole process from now on; empty for none.
    #[schema(example = "payment-svc/after-commit=crash%0.01")]
    directives: Option<String>,
    /// Seed of those with a probability.
    #[serde(default)]
    seed: u64,
    /// The saga whose holds end in this service, for good and in all its replicas, also before they have held anything: those
    /// that the service has already heard of, from the saga's first message on.
    release: Option<Uuid>,
}

/// The fault points of this service.
#[utoipa::path(get, path = "/faults", tag = "engine", responses((status = 200, body = FaultMap)))]
pub(super) async fn show(_: Operator, State(state): State<EngineState>) -> Json<FaultMap> {
    Json(map(&state, None))
}

/// Sets fault directives for the whole process, or releases the holds of one saga.
#[utoipa::path(put, path = "/faults", tag = "engine", request_body = NewFaults,
    responses((status = 200, body = FaultMap), (status = 400, body = Problem), (status = 409, body = Problem),
        (status = 503, body = Problem)))]
pub(super) async fn set(
    Operator(caller): Operator,
    State(state): State<EngineState>,
    new: Result<Json<NewFaults>, JsonRejection>,
) -> Reply<Json<FaultMap>> {
    let Json(new) = new?;
    if new.directives.is_none() && new.release.is_none() {
        return Err(Problem::new(400, "there are neither `directives` to set nor a saga to `release`"));
    }
    if let Some(directives) = new.directives {
        let directives: Directives = directives.parse().map_err(NotInjected::from)?;
        let points = || ENGINE.iter().chain(&state.fault_points).map(|point| point.name);
        let here = directives.0.iter().filter(|it| it.service.as_deref() == Some(&*state.service));
        if let Some(unknown) = here.map(|it| &it.point).find(|point| !points().any(|name| name == **point)) {
            return Err(Problem::new(
                400,
                format!("this service has no fault point `{unknown}`: GET /faults lists them"),
            ));
        }
        let set = directives.to_string();
        state.faults.set(directives, new.seed)?;
        state.saga.note(caller.subject(), "faults", &set).await?;
    }
    let released = match new.release {
        Some(saga_id) => {
            let released = state.faults.release(SagaId::from(saga_id)).await?;
            state.saga.note(caller.subject(), "release", &saga_id.to_string()).await?;
            Some(released)
        }
        None => None,
    };
    Ok(Json(map(&state, released)))
}

impl From<NotInjected> for Problem {
    fn from(why: NotInjected) -> Self {
        match why {
            NotInjected::Bad(_) => Self::new(400, why.to_string()),
            NotInjected::Off => Self::new(409, why.to_string()),
            NotInjected::Database(_) => Self::unavailable(why.to_string()),
        }
    }
}

fn map(state: &EngineState, released: Option<u64>) -> FaultMap {
    let counts = state.faults.counts();
    let point = |point: &&'static FaultPoint| PointMap {
        point: format!("{}-svc/{}", state.service, point.name),
        place: point.place.as_str(),
        stands_for: point.stands_for,
        actions: point.actions(),
        reached: counts
            .iter()
            .filter(|(name, ..)| *name == point.name)
            .map(|(_, event, count)| Reached { event: event.clone(), times: count.reached, fired: count.fired })
            .collect(),
    };
    FaultMap {
        enabled: state.faults.are_on(),
        directives: state.faults.own().to_string(),
        points: ENGINE.iter().chain(&state.fault_points).map(point).collect(),
        released,
    }
}
