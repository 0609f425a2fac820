//! The notes over HTTP: single statements, checked against the table when this is compiled.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use chrono::{DateTime, Utc};
use saga_common::http::{Caller, Problem, Reply};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The routes of this service.
pub(crate) fn routes(reads: PgPool) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list)).with_state(reads)
}

/// Which notes.
#[derive(Deserialize, IntoParams)]
struct Filter {
    /// Those about this order only.
    order_id: Option<Uuid>,
}

/// Notes to customers.
#[derive(Serialize, ToSchema)]
struct Notifications {
    /// Latest first, at most 100.
    notifications: Vec<Notification>,
}

/// One note.
#[derive(Serialize, ToSchema)]
struct Notification {
    /// The message that was the reason for it.
    message_id: Uuid,
    /// The order it is about.
    order_id: Uuid,
    /// What happened: `confirmed`, `cancelled`, `shipped`, `delivered` or `returned`.
    kind: String,
    /// The note.
    text: String,
    /// When it was written.
    created_at: DateTime<Utc>,
    /// What became of its e-mail: `pending`, `sent`, `refused`, or `none` for a note from before there were e-mails.
    state: String,
    /// How often it was tried to send it.
    attempts: i32,
    /// What the last attempt failed with, in the mail server's words if it had any.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}

/// The latest notes: of one order for its customer, of one or of all for an operator.
#[utoipa::path(get, path = "/notifications", tag = "notifications", params(Filter),
    responses((status = 200, body = Notifications), (status = 400, body = Problem)))]
async fn list(
    caller: Caller,
    State(reads): State<PgPool>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Reply<Json<Notifications>> {
    let Query(Filter { order_id }) = filter?;
    let notifications = match order_id {
        Some(order_id) => of_order(&reads, order_id, caller.sees_only()).await?,
        None if caller.is_operator() => latest(&reads).await?,
        None => return Err(Problem::new(400, "order_id: which order? Only an operator may ask for all")),
    };
    // What a mail server has said is for who runs it.
    let told =
        |note: Notification| Notification { last_error: note.last_error.filter(|_| caller.is_operator()), ..note };
    Ok(Json(Notifications { notifications: notifications.into_iter().map(told).collect() }))
}

/// Those of one order; for a customer only if it is theirs.
async fn of_order(reads: &PgPool, order_id: Uuid, customer: Option<&str>) -> sqlx::Result<Vec<Notification>> {
    sqlx::query_as!(
        Notification,
        r#"select n.message_id, n.order_id, n.kind, n.text, n.created_at, coalesce(m.state, 'none') as "state!",
                  coalesce(m.attempts, 0) as "attempts!", m.last_error as "last_error?"
           from notifications n left join mails m on m.message_id = n.message_id
           where n.order_id = $1 and ($2::text is null or m.customer_id = $2) order by n.created_at desc limit 100"#,
        order_id,
        customer
    )
    .fetch_all(reads)
    .await
}

async fn latest(reads: &PgPool) -> sqlx::Result<Vec<Notification>> {
    sqlx::query_as!(
        Notification,
        r#"select n.message_id, n.order_id, n.kind, n.text, n.created_at, coalesce(m.state, 'none') as "state!",
                  coalesce(m.attempts, 0) as "attempts!", m.last_error as "last_error?"
           from notifications n left join mails m on m.message_id = n.message_id
           order by n.created_at desc limit 100"#
    )
    .fetch_all(reads)
    .await
}
