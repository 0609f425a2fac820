//! Requests in traces: a caller's trace goes on here, or a new one begins.

use crate::envelope::TRACEPARENT;
use crate::telemetry::trace::{Cause, Reaction, Request as Traced, Span, Trace, Tracer, span};
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use std::convert::Infallible;
use std::time::SystemTime;

/// What is kept of a path: spans wait in memory until they are sent.
const LONGEST_PATH: usize = 256;

fn traceparent(headers: &HeaderMap) -> Option<&str> {
    headers.get(TRACEPARENT)?.to_str().ok()
}

/// Records the request, if it is to be recorded, and tells its handler what it is a part of.
pub(super) async fn record(State(tracer): State<Tracer>, mut request: Request, next: Next) -> Response {
    let (context, caller) = match tracer.request(traceparent(request.headers())) {
        Traced::Recorded(context, caller) => (context, caller),
        Traced::Other(cause) => {
            request.extensions_mut().insert(Trace::from(cause));
            return next.run(request).await;
        }
    };
    let began = SystemTime::now();
    let method = request.method().as_str().to_owned();
    let route = request.extensions().get::<MatchedPath>().map_or_else(String::new, |path| path.as_str().to_owned());
    let path = request.uri().path().chars().take(LONGEST_PATH).collect();
    let parent = caller.unwrap_or_default();
    request.extensions_mut().insert(Trace::from(Cause::Recorded(Reaction { context, parent })));
    let answer = next.run(request).await;
    let span = span::request((context, caller), (method, route, path), answer.status().as_u16(), began);
    tracer.record(Span { ended: SystemTime::now(), ..span });
    answer
}

impl<S: Send + Sync> FromRequestParts<S> for Trace {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}
