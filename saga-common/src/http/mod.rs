//! What every participant serves: health, metrics, its map, its part of a saga, what it has parked; and the frame around
//! the service's own routes: one kind of error (RFC 9457), one OpenAPI document, limits, graceful stop.

mod document;
mod faults;
mod page;
mod parked;
mod problem;
mod request_key;
mod sagas;
mod state;

pub use page::Page;
pub use problem::{Problem, Reply};
pub use request_key::request_key;

use crate::engine::Engine;
use crate::error::Error;
use crate::health::Health;
use crate::saga::Saga;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::StreamExt;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use state::EngineState;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

const REQUEST_BYTES: usize = 1_048_576;
const DISCARDED_BYTES: usize = 16 * REQUEST_BYTES;
const DISCARD_LIMIT: Duration = Duration::from_secs(5);

/// Binds the address of the settings, or else the service's default.
pub(crate) async fn listen(setting: Option<SocketAddr>, default: &str) -> Result<TcpListener, Error> {
    let address = setting.map_or_else(|| default.to_owned(), |address| address.to_string());
    TcpListener::bind(&address).await.map_err(|source| Error::Io { what: format!("listening on {address}"), source })
}

/// The service's routes inside the engine's frame.
pub(crate) fn app<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    health: Arc<Health>,
    routes: OpenApiRouter,
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
        metrics: recorder(),
    };
    let engine_routes = OpenApiRouter::new()
        .routes(routes!(state::choreography))
        .routes(routes!(sagas::show))
        .routes(routes!(parked::list))
        .routes(routes!(parked::show))
        .routes(routes!(parked::redrive))
        .routes(routes!(faults::show, faults::set))
        .with_state(state.clone());
    let (router, mut api) = routes.merge(engine_routes).split_for_parts();
    api.info.title = format!("{}-svc", engine.participant.name);
    api.info.version = env!("CARGO_PKG_VERSION").to_owned();
    // The router fills in what it knows of itself, which is nobody's contact here.
    (api.info.description, api.info.contact, api.info.license) = (None, None, None);
    document::complete(&mut api);
    router
        .merge(plain(state))
        .merge(documents(api))
        .fallback(|| async { Problem::not_found("there is nothing at this address") })
        .method_not_allowed_fallback(|| async { Problem::new(405, "this address does not take that method") })
        .layer(DefaultBodyLimit::max(REQUEST_BYTES))
        .layer(axum::middleware::from_fn(refuse_large))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            Problem::internal("the request failed").into_response()
        }))
}

/// Refuses what announces too large a body, but reads it first (to a bound): whoever is still sending when the connection
/// closes sees that, and not the answer.
async fn refuse_large(request: Request, next: Next) -> Response {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_none_or(|bytes: usize| bytes <= REQUEST_BYTES) {
        return next.run(request).await;
    }
    let mut body = request.into_body().into_data_stream();
    let discard = async {
        let mut read = 0;
        while let Some(Ok(chunk)) = body.next().await {
            read += chunk.len();
            if read > DISCARDED_BYTES {
                break;
            }
        }
    };
    // Slower senders are cut off.
    let _ = tokio::time::timeout(DISCARD_LIMIT, discard).await;
    Problem::new(413, format!("the body is larger than {REQUEST_BYTES} bytes")).into_response()
}

/// For machines: not part of the documented interface.
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
            let recorder = PrometheusBuilder::new().build_recorder();
            let handle = recorder.handle();
            // Fails only if another recorder is there already, and then its metrics are not ours to show.
            let _ = metrics::set_global_recorder(recorder);
            handle
        })
        .clone()
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
    tokio::select! {
        served = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned()) => served.map_err(failed),
        () = time_is_up => Ok(()),
    }
}
