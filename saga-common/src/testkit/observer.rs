//! What a test hears on the broker, over a client of its own as the [`Wire`](super::Wire) is: it must not pass through what is tested.

use super::seen::{Seen, events};
use super::wire::answered;
use crate::broker::BrokerError;
use crate::error::Error;
use futures::StreamExt;
use lapin::Consumer;
use std::collections::VecDeque;
use std::time::Duration;

/// Nothing in a test takes longer, unless something is wrong.
const LIMIT: Duration = Duration::from_secs(30);

/// A queue of the test's own.
pub struct Observer {
    consumer: Consumer,
    /// The rest of a bundle.
    opened: VecDeque<Seen>,
}

impl Observer {
    pub(super) fn of(consumer: Consumer) -> Self {
        Self { consumer, opened: VecDeque::new() }
    }

    /// The next event, waited for up to 30 s. A bundle is opened: it was said as events.
    ///
    /// # Errors
    /// When none comes, or the connection ends.
    #[allow(clippy::should_implement_trait)]
    pub async fn next(&mut self) -> Result<Seen, Error> {
        if let Some(seen) = self.opened.pop_front() {
            return Ok(seen);
        }
        let silent = |_| BrokerError::Silent("the next message of a test's own queue");
        let next = tokio::time::timeout(LIMIT, self.consumer.next()).await.map_err(silent)?;
        let delivery = answered(std::future::ready(next.ok_or(BrokerError::Cancelled)?)).await?;
        self.opened.extend(events(delivery));
        self.opened.pop_front().ok_or_else(|| BrokerError::Silent("an event in a bundle").into())
    }
}
