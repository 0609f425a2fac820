//! The broker as a stranger sees it: raw messages in and out.

use std::time::Duration;

use futures::future::join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::protocol::basic::AMQPProperties;
use lapin::{Channel, Confirmation, Connection, ConnectionProperties};
use tokio::time::timeout;

use crate::stack::Program;

/// Where successes go.
pub const EVENTS: &str = "saga.events";
/// Where failures go.
pub const FAILURES: &str = "saga.failures";
/// Nothing that the broker is asked for here takes longer, unless it is down.
const PATIENCE: Duration = Duration::from_secs(20);

/// The participant's name, the first part of its queues' names.
#[must_use]
pub fn participant(program: Program) -> &'static str {
    match program {
        Program::OrderSvc => "order",
        Program::InventorySvc => "inventory",
        Program::PaymentSvc => "payment",
        Program::NotificationSvc => "notification",
        Program::SandboxProvider => "provider",
        Program::Issuer => "issuer",
    }
}

/// The routing keys of the events a participant reacts to.
#[must_use]
pub fn reacts_to(program: Program) -> &'static [&'static str] {
    match program {
        Program::OrderSvc => &["payment.charged", "stock.committed", "saga.compensated"],
        Program::InventorySvc => &["order.placed", "order.confirmed"],
        Program::PaymentSvc => &["stock.reserved"],
        Program::NotificationSvc => &["order.confirmed", "order.cancelled"],
        Program::SandboxProvider | Program::Issuer => &[],
    }
}

/// Whether everybody is told of it: somebody refused, or the order is given up.
#[must_use]
pub fn is_failure(routing_key: &str) -> bool {
    matches!(routing_key, "payment.declined" | "stock.rejected" | "order.cancelling")
}

/// A message with everything that came with it.
#[derive(Debug, Clone)]
pub struct Copied {
    /// Where it was published.
    pub exchange: String,
    /// Under which key.
    pub routing_key: String,
    /// Its properties.
    pub properties: AMQPProperties,
    /// Its body.
    pub body: Vec<u8>,
}

/// Why the broker did not do something. One sentence.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The client's error.
    #[error("the broker: {0}")]
    Client(#[from] lapin::Error),
    /// No answer in time.
    #[error("the broker has not answered in 20 s")]
    Silent,
}

/// A connection with one channel in confirm mode.
#[derive(Debug)]
pub struct Wire {
    connection: Connection,
    channel: Channel,
}

impl Wire {
    /// Connects.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn connect(url: &str) -> Result<Self, WireError> {
        let connect = async {
            let connection = Connection::connect(url, ConnectionProperties::default()).await?;
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok::<_, WireError>(Self { connection, channel })
        };
        timeout(PATIENCE, connect).await.map_err(|_| WireError::Silent)?
    }

    /// Its channel.
    #[must_use]
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Publishes all of them, waits for the confirms, and returns how many the broker has taken.
    ///
    /// # Errors
    /// When the broker closes the channel, as it does for an exchange that is not there.
    pub async fn publish(&self, messages: &[Copied]) -> Result<usize, WireError> {
        let mut taken = 0;
        for some in messages.chunks(500) {
            let mut confirms = Vec::with_capacity(some.len());
            for message in some {
                let Copied { exchange, routing_key, properties, body } = message;
                let (exchange, key) = (exchange.as_str().into(), routing_key.as_str().into());
                let options = BasicPublishOptions { mandatory: true, ..Default::default() };
                let sent = self.channel.basic_publish(exchange, key, options, body, properties.clone());
                confirms.push(timeout(PATIENCE, sent).await.map_err(|_| WireError::Silent)??);
            }
            let confirms = timeout(PATIENCE, join_all(confirms)).await.map_err(|_| WireError::Silent)?;
            for confirm in confirms {
                taken += usize::from(matches!(confirm?, Confirmation::Ack(None)));
            }
        }
        Ok(taken)
    }

    /// Ends the connection.
    pub async fn close(self) {
        let _ = timeout(PATIENCE, self.connection.close(200, "done".into())).await;
    }
}
