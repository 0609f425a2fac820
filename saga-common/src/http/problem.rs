//! Errors over HTTP: RFC 9457 problem details, one clear sentence each.

use crate::db::{DbError, Trouble, is_gone, trouble};
use crate::error::{Error, chain};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::iter::successors;

const GONE: &str = "the database is not available; try again";
const SLOW: &str = "the database took too long to answer; try again";
const BUSY: &str =
    "no connection for reads came free in time: all of them are busy, or the database takes no connections; try again";

/// SQLSTATE of a statement that the server ended because of its `statement_timeout`.
const STATEMENT_TIMEOUT: &str = "57014";

/// What a handler returns.
pub type Reply<T> = Result<T, Problem>;

/// An RFC 9457 problem.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// What kind of problem: `about:blank`, so the title is the status's.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong, in one sentence for the caller.
    detail: String,
    /// Field by field, where several things are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<String>,
}

impl Problem {
    /// A problem with this status.
    pub fn new(status: u16, detail: impl Into<String>) -> Self {
        let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let title = code.canonical_reason().unwrap_or("Error");
        Self { kind: "about:blank", title, status: code.as_u16(), detail: detail.into(), errors: Vec::new() }
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404, detail)
    }

    /// 409.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(409, detail)
    }

    /// 422 with everything that is wrong.
    pub fn invalid(errors: Vec<String>) -> Self {
        let detail = errors.first().cloned().unwrap_or_default();
        Self { errors, ..Self::new(422, detail) }
    }

    /// 500; the cause belongs in the log.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(500, detail)
    }

    /// 503: try again.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(503, detail)
    }

    fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::warn!(error = %chain(error), "a request failed");
        if let Some(read) = successors(Some(error), |error| error.source()).find_map(|e| e.downcast_ref()) {
            return Self::of_read(read);
        }
        match trouble(error) {
            Trouble::Own => Self::internal("the request could not be carried out; nothing is known to have happened"),
            _ => Self::unavailable(GONE),
        }
    }

    fn of_read(error: &sqlx::Error) -> Self {
        match error {
            // sqlx says the same of a database that refuses connections: it tries again until its time is up.
            sqlx::Error::PoolTimedOut => Self::unavailable(BUSY),
            sqlx::Error::Io(_) | sqlx::Error::PoolClosed => Self::unavailable(GONE),
            sqlx::Error::Database(error) => match error.code().as_deref() {
                Some(STATEMENT_TIMEOUT) => Self::unavailable(SLOW),
                Some(state) if is_gone(state) => Self::unavailable(GONE),
                _ => Self::internal("the request could not be carried out"),
            },
            _ => Self::internal("the request could not be carried out"),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == 413 {
            // The rest of the body may not have been read: nobody should send another request behind it.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if self.status == 503 {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Expired(why) => Self::conflict(why),
            error => Self::of(&error),
        }
    }
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        Self::of(&error)
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        Self::of(&error)
    }
}

impl From<axum::extract::rejection::JsonRejection> for Problem {
    fn from(rejection: axum::extract::rejection::JsonRejection) -> Self {
        Self::new(rejection.status().as_u16(), rejection.body_text())
    }
}

impl From<axum::extract::rejection::QueryRejection> for Problem {
    fn from(rejection: axum::extract::rejection::QueryRejection) -> Self {
        Self::new(rejection.status().as_u16(), rejection.body_text())
    }
}

impl From<axum::extract::rejection::PathRejection> for Problem {
    fn from(rejection: axum::extract::rejection::PathRejection) -> Self {
        Self::new(rejection.status().as_u16(), rejection.body_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// What somebody is answered whose request ended so: status, `Retry-After`, and the sentence.
    fn answer(problem: Problem) -> (u16, bool, String) {
        let response = problem.clone().into_response();
        (response.status().as_u16(), response.headers().contains_key(header::RETRY_AFTER), problem.detail)
    }

    #[tokio::test]
    async fn a_pool_that_has_no_connection_in_time_says_so_and_asks_to_try_again() {
        let pool = sqlx::postgres::PgPoolOptions::new()
            .acquire_timeout(Duration::from_millis(1))
            .connect_lazy("postgres://nobody@127.0.0.1:1/nothing")
            .expect("a URL");
        let error = pool.acquire().await.expect_err("nobody is there");
        assert!(matches!(error, sqlx::Error::PoolTimedOut), "{error}");
        assert_eq!(answer(error.into()), (503, true, BUSY.to_owned()));
    }

    #[test]
    fn what_passes_by_itself_is_to_be_tried_again_also_inside_of_other_errors() {
        let closed = || sqlx::Error::PoolClosed;
        assert_eq!(answer(closed().into()), (503, true, GONE.to_owned()));
        assert_eq!(answer(DbError::from(closed()).into()), (503, true, GONE.to_owned()));
        assert_eq!(answer(Error::from(DbError::from(closed())).into()), (503, true, GONE.to_owned()));
        let own: Problem = Error::from(DbError::from(sqlx::Error::RowNotFound)).into();
        assert_eq!(answer(own).0, 500);
    }
}
