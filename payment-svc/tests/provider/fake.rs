//! A provider that does what a test says, and remembers what it was asked.

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use payment_svc::provider::{ProviderClient, ProviderKey, ProviderLimits, ProviderTimeouts};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// What the provider does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Mood {
    /// Answers so.
    Says(u16, Value),
    /// Answers every other request so, and refuses the others with 503.
    HalfBroken(u16, Value),
    /// Answers so when it is allowed to, once for each permit.
    When(Arc<Semaphore>, u16, Value),
    /// Takes the request and never answers.
    Silent,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

pub(crate) struct Fake {
    url: String,
    state: Shared,
}

/// How it is now, and what it was asked.
type Shared = Arc<Mutex<(Mood, Vec<Asked>)>>;

pub(crate) const KEY: &str = "sk_test_of_these_tests";

impl Fake {
    pub(crate) async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new((mood, Vec::new())));
        let app = axum::Router::new().fallback(answer).with_state(Arc::clone(&state));
        tokio::spawn(axum::serve(listener, app).into_future());
        Self { url, state }
    }

    pub(crate) fn is_now(&self, mood: Mood) {
        self.state.lock().expect("nobody panicked").0 = mood;
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.lock().expect("nobody panicked").1.clone()
    }

    /// A client that is soon tired of waiting.
    pub(crate) fn client(&self, limits: &ProviderLimits) -> ProviderClient {
        let timeouts = ProviderTimeouts { provider_timeout_ms: 300, ..ProviderTimeouts::default() };
        ProviderClient::with_limits(&self.url, &ProviderKey::new(KEY), timeouts, limits).expect("a client")
    }
}

async fn answer(State(state): State<Shared>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 65_536).await.expect("a short body");
    let line = format!("{} {}", head.method, head.uri);
    let asked = Asked { line, headers: head.headers, body: String::from_utf8_lossy(&body).into_owned() };
    let (mood, n) = {
        let mut state = state.lock().expect("nobody panicked");
        state.1.push(asked);
        (state.0.clone(), state.1.len())
    };
    let said = |status: u16, body: Value| (StatusCode::from_u16(status).expect("a status"), axum::Json(body));
    match mood {
        Mood::Says(status, body) => said(status, body).into_response(),
        Mood::HalfBroken(..) if n.is_multiple_of(2) => said(503, json!({})).into_response(),
        Mood::HalfBroken(status, body) => said(status, body).into_response(),
        Mood::When(permits, status, body) => {
            permits.acquire().await.expect("it is never closed").forget();
            said(status, body).into_response()
        }
        Mood::Silent => std::future::pending().await,
    }
}
