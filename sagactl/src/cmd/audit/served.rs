//! What a watch has found last, as metrics.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use chrono::Utc;
use tokio::net::TcpListener;

/// The verdict of the last audit; none before the first.
#[derive(Debug, Clone, Default)]
pub(super) struct Verdict(Arc<Mutex<Option<Last>>>);

#[derive(Debug, Clone, Copy)]
struct Last {
    violations: u64,
    stuck: usize,
    at: i64,
}

impl Verdict {
    pub(super) fn note(&self, violations: u64, stuck: usize) {
        let last = Last { violations, stuck, at: Utc::now().timestamp() };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
    }

    /// Serves `/metrics`, and `/livez`, from now on until the process ends.
    pub(super) async fn serve(&self, address: SocketAddr) -> std::io::Result<()> {
        let listener = TcpListener::bind(address).await?;
        let alive = || async { "alive\n" };
        let routes = Router::new().route("/metrics", get(metrics)).route("/livez", get(alive)).with_state(self.clone());
        tokio::spawn(axum::serve(listener, routes).into_future());
        Ok(())
    }

    fn text(&self) -> String {
        let Some(Last { violations, stuck, at }) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) else {
            return String::new();
        };
        format!(
            "# HELP saga_audit_violations Contradictions that the last audit has found.\n\
             # TYPE saga_audit_violations gauge\n\
             saga_audit_violations {violations}\n\
             # HELP saga_audit_stuck_sagas Sagas that had not ended by then, though they should have.\n\
             # TYPE saga_audit_stuck_sagas gauge\n\
             saga_audit_stuck_sagas {stuck}\n\
             # HELP saga_audit_last_run_timestamp_seconds When it was, in seconds since 1970.\n\
             # TYPE saga_audit_last_run_timestamp_seconds gauge\n\
             saga_audit_last_run_timestamp_seconds {at}\n"
        )
    }
}

async fn metrics(State(verdict): State<Verdict>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], verdict.text())
}
