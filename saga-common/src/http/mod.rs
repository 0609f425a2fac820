//! What every participant serves: health, metrics, its map, its part of a saga, what it has parked; and the frame around
//! the service's own routes: one kind of error (RFC 9457), one OpenAPI document, limits, graceful stop.

mod acts;
mod auth;
mod document;
mod faults;
mod limits;
mod page;
mod parked;
mod problem;
mod request_key;
mod sagas;
mod state;
mod trace;

pub(crate) use auth::Gate;
pub use auth::{AuthMode, AuthSettings, Caller, Operator, Peer, Refusal, Role, SigningAlgorithm};
pub use page::Page;
pub use problem::{Problem, Reply};
pub use request_key::request_key;

use crate::engine::Engine;
use crate::error::Error;
use crate::health::Health;
use crate::saga::Saga;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use state::EngineState;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

/// Binds the address of the settings, or else the service's default.
pub(crate) async fn listen(setting: Option<SocketAddr>, default: &str) -> Result<(TcpListener, SocketAddr), Error> {
    let address = setting.map_or_else(|| default.to_owned(), |address| address.to_string());
    let bound = async {
        let listener = TcpListener::bind(&address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|source| Error::Io { what: format!("listening on {address}"), source })
}

/// The service's routes inside the engine's frame.
pub(crate) fn app<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    health: Arc<Health>,
    gate: Gate,
    routes: OpenApiRouter,
    page: Router,
) -> Router {
    let state = EngineState {
        service: engine.participant.name.clone(),
        choreography: engine.participant.map(),
        saga: Saga::new(engine),
        reads: engine.reads.clone(),
        redrive: state::redrive_of(engine),
        faults: engine.faults().clone(),
        fault_points: engine.participant.fault_points.clone(),
        health,
        gate: gate.clone(),
        metrics: recorder(),
    };
    let engine_routes = OpenApiRouter::new()
        .routes(routes!(state::choreography))
        .routes(routes!(sagas::show))
        .routes(routes!(parked::list))
        .routes(routes!(parked::show))
        .routes(routes!(parked::redrive))
        .routes(routes!(faults::show, faults::set))
        .routes(routes!(acts::list))
        .with_state(state.clone());
    let (router, mut api) = routes.merge(engine_routes).split_for_parts();
    api.info.title = format!("{}-svc", engine.participant.name);
    api.info.version = env!("CARGO_PKG_VERSION").to_owned();
    // The router fills in what it knows of itself, which is nobody's contact here.
    (api.info.description, api.info.contact, api.info.license) = (None, None, None);
    auth::describe(&mut api);
    let places = Arc::new(Semaphore::new(engine.settings.http_requests));
    document::complete(&mut api);
    let guarded = router
        // What was turned away is in no trace: whoever may not come in cannot fill the queue of spans either.
        .route_layer(from_fn_with_state(engine.tracer().clone(), trace::record))
        .route_layer(from_fn_with_state(gate, auth::authenticate))
        .route_layer(from_fn_with_state(places, limits::shed));
    // Also under the address that the gateway gives it, so that a page that asks several services finds this one with or without.
    let own_address = format!("/services/{}", state.service);
    guarded
        .clone()
        .nest(&own_address, guarded.merge(Router::new().route("/readyz", get(state::readyz)).with_state(state.clone())))
        .merge(plain(state))
        .merge(documents(api))
        .merge(page)
        .fallback(|| async { Problem::not_found("there is nothing at this address") })
        .method_not_allowed_fallback(|| async { Problem::new(405, "this address does not take that method") })
        .layer(DefaultBodyLimit::max(limits::REQUEST_BYTES))
        .layer(from_fn(limits::refuse_large))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            Problem::internal("the request failed").into_response()
        }))
}

/// For machines: not part of the documented interface, and open to all.
fn plain(state: EngineState) -> Router {
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(state::readyz))
        .route("/metrics", get(state::metrics))
        .with_state(state)
}

fn documents(api: OpenApi) -> Router {
    Router::new().merge(SwaggerUi::new("/docs").url("/openapi.json", api))
}

/// Where this process's metrics are kept, from the first call on: what is recorded before it is lost.
pub(crate) fn recorder() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            // Names are written out in full where metrics are described, so nothing is added to them.
            let recorder = match PrometheusBuilder::new().set_buckets(SECONDS) {
                Ok(builder) => builder.build_recorder(),
                // There are buckets.
                Err(_) => PrometheusBuilder::new().build_recorder(),
            };
            let handle = recorder.handle();
            // Fails only if another recorder is there already, and then its metrics are not ours to show.
            let _ = metrics::set_global_recorder(recorder);
            handle
        })
        .clone()
}

/// Of every histogram: from a commit that waits for nobody to a saga that waits for its deadline.
const SECONDS: &[f64] = &[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0];

/// What histograms have taken in is sorted into their buckets now and then, so that it does not pile up while nobody reads.
pub(crate) async fn keep_metrics(stop: CancellationToken) {
    loop {
        tokio::select! { () = tokio::time::sleep(Duration::from_secs(5)) => {}, () = stop.cancelled() => return }
        recorder().run_upkeep();
    }
}

/// Serves until stopped, then finishes the requests that are open, but not for ever.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    stop: CancellationToken,
    limit: Duration,
) -> Result<(), Error> {
    let failed = |source| Error::Io { what: "serving HTTP".to_owned(), source };
    tracing::info!(address = %listener.local_addr().map_err(failed)?, "listening");
    let time_is_up = async {
        stop.cancelled().await;
        tokio::time::sleep(limit).await;
    };
    // The router itself would be copied for each connection, with all of its routes: 80 KB, and as much to miss in the caches.
    let app = app.into_make_service();
    tokio::select! {
        served = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned()) => served.map_err(failed),
        () = time_is_up => Ok(()),
    }
}
