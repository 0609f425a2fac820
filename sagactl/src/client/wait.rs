//! Waiting for an order to get somewhere, by asking again and again.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::{Client, ClientError, Order, OrderStatus};

/// The pause between two questions grows from the first to the last of these: an order takes milliseconds when all is well, and
/// asking more often than ten times a second would only be load when it is not.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_millis(100);

impl Client {
    /// Asks for the order until it is terminal (confirmed or further, or cancelled), first after 10 ms, later every 100 ms.
    /// A service that cannot be reached, or answers 5xx, is asked again: it may be restarting.
    ///
    /// # Errors
    /// [`ClientError::StillWaiting`] after `timeout`, or the last transport error if no answer came at all; any other problem
    /// (404, 401) at once.
    pub async fn wait_terminal(&self, id: Uuid, timeout: Duration) -> Result<Order, ClientError> {
        self.wait(id, timeout, |order| order.status.is_terminal()).await
    }

    /// Asks for the order until nothing of it is left to do: cancelled, or confirmed with its stock committed. Pauses, patience
    /// and errors as in [`Client::wait_terminal`].
    ///
    /// # Errors
    /// As [`Client::wait_terminal`].
    pub async fn wait_closed(&self, id: Uuid, timeout: Duration) -> Result<Order, ClientError> {
        let closed = |order: &Order| {
            let cancelled = order.status == OrderStatus::Cancelled;
            cancelled || (order.status.is_terminal() && order.closed_at.is_some())
        };
        self.wait(id, timeout, closed).await
    }

    /// Asks for the order until it has been returned. Pauses, patience and errors as in [`Client::wait_terminal`].
    ///
    /// # Errors
    /// As [`Client::wait_terminal`].
    pub async fn wait_returned(&self, id: Uuid, timeout: Duration) -> Result<Order, ClientError> {
        self.wait(id, timeout, |order| order.status == OrderStatus::Returned).await
    }

    async fn wait(&self, id: Uuid, timeout: Duration, done: impl Fn(&Order) -> bool) -> Result<Order, ClientError> {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut last = ClientError::StillWaiting { id, status: "unknown".to_owned(), waited_ms: timeout.as_millis() };
        loop {
            match tokio::time::timeout_at(begun + timeout, self.order(id)).await {
                Ok(Ok(order)) if done(&order) => return Ok(order),
                Ok(Ok(order)) => {
                    let (status, waited_ms) = (order.status.to_string(), begun.elapsed().as_millis());
                    last = ClientError::StillWaiting { id, status, waited_ms };
                }
                Ok(Err(error)) if error.is_transient() => last = error,
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(last),
            }
            if begun.elapsed() + pause > timeout {
                return Err(last);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }
}
