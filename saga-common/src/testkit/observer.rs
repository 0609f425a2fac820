//! What a test hears on the broker.

use super::wire::answered;
use crate::broker::BrokerError;
use crate::envelope::{ANNOUNCEMENT, CAUSATION_ID};
use crate::error::Error;
use crate::ids::{MessageId, SagaId};
use futures::StreamExt;
use lapin::Consumer;
use lapin::message::Delivery;
use lapin::protocol::basic::AMQPProperties;
use lapin::types::{AMQPValue, ShortString};
use std::str::FromStr;
use std::time::Duration;

/// Nothing in a test takes longer, unless something is wrong.
const LIMIT: Duration = Duration::from_secs(30);

/// A queue of the test's own.
pub struct Observer {
    pub(super) consumer: Consumer,
}

/// A message with what came with it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Where it was published.
    pub exchange: String,
    /// Under which key.
    pub routing_key: String,
    /// Its id, if it has one that is a UUID.
    pub message_id: Option<MessageId>,
    /// Its saga, if it has one.
    pub saga_id: Option<SagaId>,
    /// Its wire type; empty if it has none.
    pub event_type: String,
    /// The service that signed it; none of what a [`Wire`](super::Wire) says.
    pub source: Option<String>,
    /// What caused it.
    pub causation_id: Option<MessageId>,
    /// Which repeat of an announcement it is.
    pub announcement: Option<i64>,
    /// All of its properties, to be sent again.
    pub properties: AMQPProperties,
    /// Its body.
    pub body: Vec<u8>,
}

impl Observer {
    /// The next message, waited for up to 30 s.
    ///
    /// # Errors
    /// When none comes, or the connection ends.
    #[allow(clippy::should_implement_trait)]
    pub async fn next(&mut self) -> Result<Seen, Error> {
        let silent = |_| BrokerError::Silent("the next message of a test's own queue");
        let next = tokio::time::timeout(LIMIT, self.consumer.next()).await.map_err(silent)?;
        Ok(answered(std::future::ready(next.ok_or(BrokerError::Cancelled)?)).await?.into())
    }
}

impl From<Delivery> for Seen {
    fn from(delivery: Delivery) -> Self {
        let properties = delivery.properties;
        let headers = properties.headers().clone().unwrap_or_default();
        let causation_id = match headers.inner().get(CAUSATION_ID) {
            Some(AMQPValue::LongString(id)) => String::from_utf8_lossy(id.as_bytes()).parse().ok(),
            _ => None,
        };
        let announcement = match headers.inner().get(ANNOUNCEMENT) {
            Some(AMQPValue::LongLongInt(n)) => Some(*n),
            _ => None,
        };
        Self {
            exchange: delivery.exchange.to_string(),
            routing_key: delivery.routing_key.to_string(),
            message_id: id(properties.message_id()),
            saga_id: id(properties.correlation_id()),
            event_type: properties.kind().as_ref().map(ToString::to_string).unwrap_or_default(),
            source: properties.app_id().as_ref().map(ToString::to_string),
            causation_id,
            announcement,
            properties,
            body: delivery.data,
        }
    }
}

fn id<T: FromStr>(text: &Option<ShortString>) -> Option<T> {
    text.as_ref()?.as_str().parse().ok()
}
