//! Statements of loops.

use std::future::Future;
use std::io;
use std::time::Duration;

const LONGEST: Duration = Duration::from_secs(5);

/// A statement that ends: a server that does not answer must not stop a loop for good.
pub(crate) async fn bounded<T>(statement: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let late = |_| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into()));
    tokio::time::timeout(LONGEST, statement).await.unwrap_or_else(late)
}
