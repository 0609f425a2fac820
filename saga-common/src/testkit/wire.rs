//! The broker as other services see it, and as strangers do. A client of its own on purpose, not the engine's `broker`: what it says
//! must be able to be wrong, and what it finds must not pass through what is tested.

use super::observer::Observer;
use super::seen::{Seen, events};
use crate::envelope::FAULT;
use crate::error::Error;
use crate::event::{Event, EventType};
use crate::ids::{MessageId, SagaId};
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicPublishOptions, ConfirmSelectOptions,
    ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
    QueuePurgeOptions,
};
use lapin::protocol::basic::AMQPProperties;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind};
use std::future::Future;

/// The exchange of what is said.
const EVENTS: &str = "saga.events";

/// A test's own connection to the broker: says what other services would say, and does what nobody should.
pub struct Wire {
    // Closed when it is dropped.
    connection: Connection,
    channel: Channel,
}

/// The properties of an event under a new id, as a service sends it, but unsigned.
#[must_use]
pub fn properties(event_type: &str, saga_id: SagaId) -> AMQPProperties {
    AMQPProperties::default()
        .with_message_id(MessageId::new().to_string().into())
        .with_correlation_id(saga_id.to_string().into())
        .with_type(event_type.into())
        .with_content_type("application/json".into())
        .with_delivery_mode(2)
        .with_headers(FieldTable::default())
}

pub(super) async fn answered<T>(answer: impl Future<Output = Result<T, lapin::Error>>) -> Result<T, Error> {
    Ok(crate::broker::bounded("a test's own request", answer).await?)
}

impl Wire {
    /// Connects, and declares the exchange of what is said, so that it can be observed before any service runs.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        let connection = answered(Connection::connect(url, ConnectionProperties::default())).await?;
        let channel = confirming(&connection).await?;
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        answered(channel.exchange_declare(EVENTS.into(), ExchangeKind::Direct, durable, FieldTable::default())).await?;
        Ok(Self { connection, channel })
    }

    /// Sends bytes with these properties; tells whether a queue has taken them. On a channel of its own, which ends if there is
    /// no such exchange.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn send(
        &self,
        exchange: &str,
        routing_key: &str,
        properties: AMQPProperties,
        body: &[u8],
    ) -> Result<bool, Error> {
        let channel = confirming(&self.connection).await?;
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let sent = answered(channel.basic_publish(exchange.into(), routing_key.into(), options, body, properties));
        Ok(matches!(answered(sent.await?).await?, Confirmation::Ack(None)))
    }

    /// Publishes an event under a new id; tells whether a queue has taken it.
    ///
    /// # Errors
    /// When the event cannot be written or the broker refuses.
    pub async fn publish<E: Event>(&self, exchange: &str, saga_id: SagaId, event: &E) -> Result<bool, Error> {
        self.publish_as(MessageId::new(), exchange, saga_id, event).await
    }

    /// Publishes an event under this id; tells whether a queue has taken it.
    ///
    /// # Errors
    /// When the event cannot be written or the broker refuses.
    pub async fn publish_as<E: Event>(
        &self,
        message_id: MessageId,
        exchange: &str,
        saga_id: SagaId,
        event: &E,
    ) -> Result<bool, Error> {
        let event_type = EventType::of::<E>()?;
        let properties = properties(event_type.as_str(), saga_id).with_message_id(message_id.to_string().into());
        self.send(exchange, event_type.routing_key(), properties, &serde_json::to_vec(event)?).await
    }

    /// Puts an event into one queue.
    ///
    /// # Errors
    /// When the event cannot be written, there is no such queue, or the broker refuses.
    pub async fn put<E: Event>(&self, queue: &str, saga_id: SagaId, event: &E) -> Result<MessageId, Error> {
        self.put_with(queue, saga_id, event, FieldTable::default()).await
    }

    /// Puts an event of a saga that carries fault directives into one queue.
    ///
    /// # Errors
    /// When the event cannot be written, there is no such queue, or the broker refuses.
    pub async fn put_carrying<E: Event>(
        &self,
        queue: &str,
        saga_id: SagaId,
        event: &E,
        directives: &str,
    ) -> Result<MessageId, Error> {
        let mut headers = FieldTable::default();
        headers.insert(FAULT.into(), AMQPValue::LongString(directives.into()));
        self.put_with(queue, saga_id, event, headers).await
    }

    async fn put_with<E: Event>(
        &self,
        queue: &str,
        saga_id: SagaId,
        event: &E,
        headers: FieldTable,
    ) -> Result<MessageId, Error> {
        let (message_id, event_type) = (MessageId::new(), EventType::of::<E>()?);
        let properties = properties(event_type.as_str(), saga_id).with_message_id(message_id.to_string().into());
        if !self.send("", queue, properties.with_headers(headers), &serde_json::to_vec(event)?).await? {
            let source = std::io::Error::new(std::io::ErrorKind::NotFound, "there is no such queue");
            return Err(Error::Io { what: format!("putting an event into the queue {queue}"), source });
        }
        Ok(message_id)
    }

    /// Binds a new queue to these pairs of exchange and key, and listens to it.
    ///
    /// # Errors
    /// When there is no such exchange.
    pub async fn observe(&self, routes: &[(&str, &str)]) -> Result<Observer, Error> {
        let none = FieldTable::default;
        let exclusive = QueueDeclareOptions { exclusive: true, ..Default::default() };
        let name = answered(self.channel.queue_declare("".into(), exclusive, none())).await?.name().clone();
        for (exchange, key) in routes {
            let (exchange, key) = ((*exchange).into(), (*key).into());
            answered(self.channel.queue_bind(name.clone(), exchange, key, QueueBindOptions::default(), none())).await?;
        }
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let consumer = answered(self.channel.basic_consume(name, "".into(), options, none())).await?;
        Ok(Observer::of(consumer))
    }

    /// Takes the binding of a queue to a key of the direct exchange away.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn unbind(&self, queue: &str, key: &str) -> Result<(), Error> {
        answered(self.channel.queue_unbind(queue.into(), EVENTS.into(), key.into(), FieldTable::default())).await
    }

    /// Deletes an exchange.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn delete_exchange(&self, name: &str) -> Result<(), Error> {
        answered(self.channel.exchange_delete(name.into(), ExchangeDeleteOptions::default())).await
    }

    /// Deletes a queue with what it holds.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn delete_queue(&self, name: &str) -> Result<(), Error> {
        answered(self.channel.queue_delete(name.into(), QueueDeleteOptions::default())).await?;
        Ok(())
    }

    /// Empties a queue; tells how many messages that were.
    ///
    /// # Errors
    /// When there is no such queue.
    pub async fn purge(&self, queue: &str) -> Result<u32, Error> {
        answered(self.channel.queue_purge(queue.into(), QueuePurgeOptions::default())).await
    }

    /// Makes the broker give up the next message of a queue, as a limit of its own would; tells whether there was one.
    ///
    /// # Errors
    /// When there is no such queue.
    pub async fn dead_letter(&self, queue: &str) -> Result<bool, Error> {
        let next = answered(self.channel.basic_get(queue.into(), BasicGetOptions::default())).await?;
        match next {
            None => Ok(false),
            Some(next) => answered(next.delivery.acker.nack(BasicNackOptions::default())).await,
        }
    }

    /// How many messages of a queue are with nobody.
    ///
    /// # Errors
    /// When there is no such queue.
    pub async fn ready(&self, queue: &str) -> Result<u32, Error> {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        Ok(answered(self.channel.queue_declare(queue.into(), options, FieldTable::default())).await?.message_count())
    }

    /// Takes everything that is in a queue now.
    ///
    /// # Errors
    /// When there is no such queue.
    pub async fn take_all(&self, queue: &str) -> Result<Vec<Seen>, Error> {
        let mut taken = Vec::new();
        let options = BasicGetOptions { no_ack: true };
        while let Some(message) = answered(self.channel.basic_get(queue.into(), options)).await? {
            taken.extend(events(message.delivery));
        }
        Ok(taken)
    }
}

async fn confirming(connection: &Connection) -> Result<Channel, Error> {
    let channel = answered(connection.create_channel()).await?;
    answered(channel.confirm_select(ConfirmSelectOptions::default())).await?;
    Ok(channel)
}
