//! Errors of starting and running a participant, and one way to print a chain of causes.

use crate::broker::BrokerError;
use crate::db::DbError;
use crate::participant::ChoreographyError;

/// Why a participant cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refuses, is unreachable or is not durable.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The broker refuses or is unreachable.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The participant's choreography does not fit together.
    #[error(transparent)]
    Choreography(#[from] ChoreographyError),
    /// An event cannot be written.
    #[error("the event cannot be written as JSON: {0}")]
    Encode(#[from] serde_json::Error),
    /// An event has no wire type.
    #[error(transparent)]
    EventType(#[from] crate::event::BadEventType),
    /// The guard rows of the saga's day are not kept any more, or not yet: nothing can be done in it.
    #[error("{0}")]
    Expired(&'static str),
    /// A setting or the operating system is in the way.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What went wrong.
        source: std::io::Error,
    },
}

/// The error and all its causes in one line.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
