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

/// The verdict of the last audit.
#[derive(Debug, Clone)]
pub(super) struct Verdict(Arc<Mutex<Last>>);

#[derive(Debug, Clone, Copy)]
struct Last {
    /// None before the first audit.
    violations: Option<u64>,
    /// None as long as no service could tell.
    stuck: Option<usize>,
    /// When the audit was; before the first, when this process began: who never gets an audit done is noticed, too.
    at: i64,
}

impl Verdict {
    pub(super) fn none_yet() -> Self {
        Self(Arc::new(Mutex::new(Last { violations: None, stuck: None, at: Utc::now().timestamp() })))
    }

    /// `stuck` stays what it was where nobody could tell.
    pub(super) fn note(&self, violations: u64, stuck: Option<usize>) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stuck = stuck.or(last.stuck);
        *last = Last { violations: Some(violations), stuck, at: Utc::now().timestamp() };
    }

    /// Serves `/metrics`, and `/livez`, from now on until the process ends.
    pub(super) async fn serve(&self, address: SocketAddr) -> std::io::Result<()> {
        let listener = TcpListener::bind(address).await?;
        let alive = || async { "alive\n" };
        let routes = Router::new().route("/metrics", get(metrics)).route("/livez", get(alive)).with_state(self.clone());
        tokio::spawn(axum::serve(listener, routes.into_make_service()).into_future());
        Ok(())
    }

    fn text(&self) -> String {
        let Last { violations, stuck, at } = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = format!(
            "# HELP saga_audit_last_run_timestamp_seconds When it was, in seconds since 1970; before the first, when the auditor began.\n\
             # TYPE saga_audit_last_run_timestamp_seconds gauge\n\
             saga_audit_last_run_timestamp_seconds {at}\n"
        );
        if let Some(violations) = violations {
            text += &format!(
                "# HELP saga_audit_violations Contradictions that the last audit has found.\n\
                 # TYPE saga_audit_violations gauge\n\
                 saga_audit_violations {violations}\n"
            );
        }
        if let Some(stuck) = stuck {
            text += &format!(
                "# HELP saga_audit_stuck_sagas Sagas that had not ended when the services could last tell, though they should have.\n\
                 # TYPE saga_audit_stuck_sagas gauge\n\
                 saga_audit_stuck_sagas {stuck}\n"
            );
        }
        text
    }
}

async fn metrics(State(verdict): State<Verdict>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], verdict.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_could_tell_is_not_shown_as_none() {
        let verdict = Verdict::none_yet();
        let shows = |line: &str| verdict.text().lines().any(|it| it.starts_with(line));
        assert!(shows("saga_audit_last_run_timestamp_seconds ") && !shows("saga_audit_violations"));
        verdict.note(1, None);
        assert!(shows("saga_audit_violations 1") && !shows("saga_audit_stuck_sagas"));
        verdict.note(0, Some(2));
        verdict.note(3, None);
        assert!(shows("saga_audit_violations 3") && shows("saga_audit_stuck_sagas 2"));
    }
}
