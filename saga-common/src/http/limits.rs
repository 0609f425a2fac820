//! What one request, and all together, may take: instead of a collapse, a clear no and when to come back.

use super::problem::Problem;
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Largest body of a request.
pub(super) const REQUEST_BYTES: usize = 1_048_576;
const DISCARDED_BYTES: usize = 16 * REQUEST_BYTES;
const DISCARD_LIMIT: Duration = Duration::from_secs(5);

/// Carries a request out if there is a place for it. Nothing queues here: whoever waited would hold memory, and had perhaps gone away when
/// their turn came.
pub(super) async fn shed(State(places): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    match places.try_acquire() {
        Ok(_place) => next.run(request).await,
        Err(_) => {
            crate::telemetry::meters::shed().increment(1);
            Problem::unavailable("more requests are under way than this service carries out at once; try again")
                .into_response()
        }
    }
}

/// Refuses what announces too large a body, but reads it first (to a bound): whoever is still sending when the connection
/// closes sees that, and not the answer.
pub(super) async fn refuse_large(request: Request, next: Next) -> Response {
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
