//! The only user of the AMQP client: connections, topology, publishing with confirms, consuming with acks, and getting
//! past what the client cannot read.
//!
//! No client recovery: a [`Link`] is made anew when it has failed, everything on it (channels, topology, consumers) by
//! whoever uses it. Every await has a deadline, because the client has none.

mod link;
mod publisher;
mod salvage;
mod subscription;

pub(crate) use link::Link;
pub(crate) use publisher::{Publisher, Report};
pub(crate) use salvage::{Salvage, Unread};
pub(crate) use subscription::Subscription;

use std::future::Future;
use std::time::Duration;

/// Longest wait for an answer of the broker.
pub(crate) const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Why the broker could not be used. Never holds the URL, which has a password in it.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The URL is none.
    #[error("the broker's URL cannot be used: {0}")]
    Url(String),
    /// The client's or the broker's error.
    #[error("broker: {what}: {}", crate::error::chain(.source))]
    Client {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: lapin::Error,
    },
    /// A fault was injected.
    #[error("broker: {0}")]
    Injected(#[from] crate::faults::Fault),
    /// No answer in time: the outcome is unknown.
    #[error("broker: {0}: no answer in time")]
    Silent(&'static str),
    /// A queue or exchange exists with other properties.
    #[error(
        "broker: {name} exists with other properties ({detail}). They cannot be changed in place: let it run empty, \
         delete it and start again, or go back to the setting it was made with (QUEUE_TYPE)"
    )]
    Different {
        /// The queue or exchange.
        name: String,
        /// The broker's words.
        detail: String,
    },
    /// The subscription has ended: the queue was deleted or the node went away.
    #[error("broker: the subscription was cancelled")]
    Cancelled,
}

/// Awaits the broker, but not for ever.
pub(crate) async fn bounded<T>(
    what: &'static str,
    answer: impl Future<Output = Result<T, lapin::Error>>,
) -> Result<T, BrokerError> {
    match tokio::time::timeout(ANSWER_LIMIT, answer).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(BrokerError::Client { what, source }),
        Err(_) => Err(BrokerError::Silent(what)),
    }
}
