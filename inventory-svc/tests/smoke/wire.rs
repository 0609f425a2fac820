//! Everybody else on the broker: says what the others would say, hears what the service says.

use futures::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use saga_common::event::{Event, EventType};
use saga_common::{MessageId, SagaId};
use serde_json::Value;
use std::time::Duration;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const SAID: [&str; 3] = ["stock.reserved", "stock.committed", "saga.compensated"];
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Wire {
    _connection: Connection,
    channel: Channel,
    ears: Consumer,
}

/// What the service said.
pub(crate) struct Heard {
    pub(crate) saga_id: SagaId,
    pub(crate) event_type: String,
    pub(crate) exchange: String,
    pub(crate) causation_id: Option<String>,
    pub(crate) body: Value,
}

impl Wire {
    /// Call it when the service is ready: the exchanges are there then.
    pub(crate) async fn connect(url: &str) -> Outcome<Self> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let exclusive = QueueDeclareOptions { exclusive: true, ..Default::default() };
        channel.queue_declare("ears".into(), exclusive, FieldTable::default()).await?;
        let routes = SAID.map(|key| ("saga.events", key)).into_iter().chain([("saga.failures", "")]);
        for (exchange, key) in routes {
            let bound = channel.queue_bind(
                "ears".into(),
                exchange.into(),
                key.into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            );
            bound.await?;
        }
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let ears = channel.basic_consume("ears".into(), "ears".into(), options, FieldTable::default()).await?;
        Ok(Self { _connection: connection, channel, ears })
    }

    /// Publishes an event under a new id.
    pub(crate) async fn say<E: Event>(&self, saga_id: SagaId, event: &E) -> Outcome<MessageId> {
        let message_id = MessageId::new();
        self.say_as(message_id, saga_id, event).await?;
        Ok(message_id)
    }

    /// Publishes an event under this id.
    pub(crate) async fn say_as<E: Event>(&self, message_id: MessageId, saga_id: SagaId, event: &E) -> Outcome {
        let event_type = EventType::of::<E>()?;
        let properties = BasicProperties::default().with_type(event_type.as_str().into());
        let body = serde_json::to_vec(event)?;
        self.publish("saga.events", event_type.routing_key(), message_id, saga_id, properties, &body).await
    }

    /// Publishes a failure that says nothing but whose it is.
    pub(crate) async fn fails(&self, saga_id: SagaId) -> Outcome {
        self.publish("saga.failures", "", MessageId::new(), saga_id, BasicProperties::default(), b"").await
    }

    async fn publish(
        &self,
        exchange: &str,
        key: &str,
        message_id: MessageId,
        saga_id: SagaId,
        properties: BasicProperties,
        body: &[u8],
    ) -> Outcome {
        let properties = properties
            .with_message_id(message_id.to_string().into())
            .with_correlation_id(saga_id.to_string().into())
            .with_delivery_mode(2);
        self.channel
            .basic_publish(exchange.into(), key.into(), BasicPublishOptions::default(), body, properties)
            .await?;
        Ok(())
    }

    /// The next that the service says, which must be about this saga.
    pub(crate) async fn hears(&mut self, saga_id: SagaId) -> Outcome<Heard> {
        let heard = self.listen().await?;
        assert_eq!(heard.saga_id, saga_id);
        Ok(heard)
    }

    /// The next that the service says.
    pub(crate) async fn listen(&mut self) -> Outcome<Heard> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.ears.next()).await;
            let delivery = next.map_err(|_| "the service says nothing")?.ok_or("the broker went away")??;
            let properties = &delivery.properties;
            // Our own words come back over the fanout exchange; the service signs its own.
            if properties.app_id().is_none() {
                continue;
            }
            let saga_id = properties.correlation_id().as_ref().ok_or("a message of no saga")?.as_str().parse()?;
            let headers = properties.headers().clone().unwrap_or_default();
            let causation_id = headers.inner().get("causation-id").and_then(|id| id.as_long_string());
            return Ok(Heard {
                saga_id,
                event_type: properties.kind().as_ref().map(ToString::to_string).unwrap_or_default(),
                exchange: delivery.exchange.to_string(),
                causation_id: causation_id.map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned()),
                body: serde_json::from_slice(&delivery.data)?,
            });
        }
    }
}
