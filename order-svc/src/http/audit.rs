//! `/audit`: what the auditor said last. It reads all databases, which no service may: whoever runs it (`sagactl audit`) tells the result here,
//! where people look. It is kept in memory: a verdict is worth nothing for long.

use super::Shop;
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use chrono::{DateTime, Utc};
use saga_common::http::{Operator, Problem, Reply};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use utoipa::ToSchema;

/// The last verdict that this process was told.
#[derive(Clone, Default)]
pub(super) struct LastAudit(Arc<RwLock<Option<Arc<Verdict>>>>);

/// What an auditor found: what `sagactl audit --json` prints.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Report {
    /// Every check that was made.
    #[schema(max_items = 1_000)]
    checks: Vec<Check>,
    /// What need not be wrong.
    #[serde(default)]
    #[schema(max_items = 1_000)]
    warnings: Vec<Check>,
    /// How many of everything the checks were made on.
    #[serde(default)]
    counts: BTreeMap<String, u64>,
}

/// One statement about the data that should hold.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct Check {
    name: String,
    /// The statement, in words.
    claim: String,
    /// Does it hold?
    passed: bool,
    /// How many contradict it.
    violations: u64,
    /// The first of those.
    #[serde(default)]
    findings: Vec<Finding>,
}

/// One contradiction.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct Finding {
    id: String,
    expected: String,
    actual: String,
}

/// A report, and who told it when.
#[derive(Serialize, ToSchema)]
pub(super) struct Verdict {
    /// By this process's clock.
    told_at: DateTime<Utc>,
    /// Whose token it was.
    told_by: String,
    /// Did every check pass?
    clean: bool,
    report: Report,
}

/// The last verdict of the auditor, if this process has been told one since it started. Each replica keeps what it was told itself.
#[utoipa::path(get, path = "/audit", tag = "explorer",
    responses((status = 200, body = Verdict), (status = 404, body = Problem, description = "none was told yet")))]
pub(super) async fn show(_: Operator, State(shop): State<Arc<Shop>>) -> Reply<Json<Arc<Verdict>>> {
    let last = shop.audit.0.read().unwrap_or_else(PoisonError::into_inner).clone();
    last.map(Json).ok_or_else(|| Problem::not_found("this process has been told of no audit since it started"))
}

/// Tells what an auditor has found; it takes the place of what was told before.
#[utoipa::path(put, path = "/audit", tag = "explorer", request_body = Report, responses((status = 200, body = Verdict)))]
pub(super) async fn tell(
    Operator(caller): Operator,
    State(shop): State<Arc<Shop>>,
    report: Result<Json<Report>, JsonRejection>,
) -> Reply<Json<Arc<Verdict>>> {
    let Json(report) = report?;
    // A report about nothing is no clean one.
    let clean = !report.checks.is_empty() && report.checks.iter().all(|check| check.passed);
    let verdict = Verdict { told_at: Utc::now(), told_by: caller.subject().to_owned(), clean, report };
    let verdict = Arc::new(verdict);
    *shop.audit.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&verdict));
    Ok(Json(verdict))
}
