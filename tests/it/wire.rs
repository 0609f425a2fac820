//! The broker as a stranger sees it: raw messages in and out.

use crate::world::Fallible;
use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueuePurgeOptions};
use lapin::protocol::basic::AMQPProperties;
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use uuid::Uuid;

/// A channel of the test's own.
pub(crate) struct Wire {
    channel: Channel,
    _connection: Connection,
}

/// A message with everything that came with it.
#[derive(Clone)]
pub(crate) struct Copied {
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
    pub(crate) properties: AMQPProperties,
    pub(crate) body: Vec<u8>,
}

impl Copied {
    pub(crate) fn event_type(&self) -> String {
        self.properties.kind().as_ref().map(ToString::to_string).unwrap_or_default()
    }

    pub(crate) fn saga(&self) -> String {
        self.properties.correlation_id().as_ref().map(ToString::to_string).unwrap_or_default()
    }
}

impl Wire {
    pub(crate) async fn connect(url: &str) -> Fallible<Self> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { channel, _connection: connection })
    }

    pub(crate) async fn publish(
        &self,
        exchange: &str,
        key: &str,
        properties: AMQPProperties,
        body: &[u8],
    ) -> Fallible<()> {
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let confirm = self.channel.basic_publish(exchange.into(), key.into(), options, body, properties).await?.await?;
        match confirm {
            lapin::Confirmation::Ack(None) => Ok(()),
            other => Err(format!("not taken by the broker: {other:?}").into()),
        }
    }

    /// Straight into one queue.
    pub(crate) async fn put(&self, queue: &str, properties: AMQPProperties, body: &[u8]) -> Fallible<()> {
        self.publish("", queue, properties, body).await
    }

    /// Everything that is in a queue now.
    pub(crate) async fn take_all(&self, queue: &str) -> Fallible<Vec<Copied>> {
        let mut taken = Vec::new();
        let options = BasicGetOptions { no_ack: true };
        while let Some(message) = self.channel.basic_get(queue.into(), options).await? {
            taken.push(Copied {
                exchange: message.exchange.to_string(),
                routing_key: message.routing_key.to_string(),
                properties: message.properties.clone(),
                body: message.delivery.data,
            });
        }
        Ok(taken)
    }

    pub(crate) async fn purge(&self, queue: &str) -> Fallible<u32> {
        Ok(self.channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await?)
    }
}

/// Properties of an event of a saga.
pub(crate) fn event(event_type: &str, saga: Uuid) -> AMQPProperties {
    AMQPProperties::default()
        .with_message_id(Uuid::now_v7().to_string().into())
        .with_correlation_id(saga.to_string().into())
        .with_type(event_type.into())
        .with_content_type("application/json".into())
        .with_delivery_mode(2)
        .with_headers(FieldTable::default())
}
