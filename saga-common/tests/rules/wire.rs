//! The broker as other services see it.

use crate::world::{Fallible, LIMIT, Outcome, World};
use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicPublishOptions, ConfirmSelectOptions,
    ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, ExchangeKind};
use saga_common::event::{Event, EventType};
use saga_common::{MessageId, SagaId};
use std::time::Duration;

pub(crate) struct Wire {
    // Closed when it is dropped.
    connection: Connection,
    channel: Channel,
}

/// A queue of the test's own.
pub(crate) struct Observer {
    consumer: Consumer,
}

/// What an observer saw of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) id: String,
    pub(crate) saga: String,
    pub(crate) announcement: Option<i64>,
}

impl Wire {
    pub(crate) async fn connect(world: &World) -> Fallible<Self> {
        let connection = Connection::connect(&world.amqp_url().await?, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        channel.exchange_declare("saga.events".into(), ExchangeKind::Direct, durable, FieldTable::default()).await?;
        Ok(Self { connection, channel })
    }

    /// Binds a new queue to these routes of the direct exchange.
    pub(crate) async fn observe(&self, keys: &[&str]) -> Fallible<Observer> {
        let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
        let queue = self.channel.queue_declare("".into(), options, FieldTable::default()).await?;
        let (name, options) = (queue.name().clone(), QueueBindOptions::default());
        for key in keys {
            self.channel
                .queue_bind(name.clone(), "saga.events".into(), (*key).into(), options, FieldTable::default())
                .await?;
        }
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let consumer = self.channel.basic_consume(name, "".into(), options, FieldTable::default()).await?;
        Ok(Observer { consumer })
    }

    /// Puts an event into a queue, as another service's publication would.
    pub(crate) async fn put<E: Event>(&self, queue: &str, saga: SagaId, event: &E) -> Fallible<MessageId> {
        let id = MessageId::new();
        let properties = properties(id, saga, &EventType::of::<E>()?);
        let (options, body) = (BasicPublishOptions::default(), serde_json::to_vec(event)?);
        self.channel.basic_publish("".into(), queue.into(), options, &body, properties).await?.await?;
        Ok(id)
    }

    /// The same, of a saga that carries fault directives.
    pub(crate) async fn put_carrying<E: Event>(
        &self,
        queue: &str,
        saga: SagaId,
        event: &E,
        directives: &str,
    ) -> Fallible<MessageId> {
        let id = MessageId::new();
        let mut headers = FieldTable::default();
        headers.insert("saga-fault".into(), AMQPValue::LongString(directives.into()));
        let properties = properties(id, saga, &EventType::of::<E>()?).with_headers(headers);
        let (options, body) = (BasicPublishOptions::default(), serde_json::to_vec(event)?);
        self.channel.basic_publish("".into(), queue.into(), options, &body, properties).await?.await?;
        Ok(id)
    }

    /// Publishes an event, as another service does; tells whether a queue has taken it. On a channel of its own, which
    /// ends if there is no such exchange.
    pub(crate) async fn publish<E: Event>(&self, exchange: &str, saga: SagaId, event: &E) -> Fallible<bool> {
        let channel = self.connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let event_type = EventType::of::<E>()?;
        let key = event_type.as_str().trim_end_matches(".v1");
        let properties = properties(MessageId::new(), saga, &event_type);
        let (options, body) =
            (BasicPublishOptions { mandatory: true, ..Default::default() }, serde_json::to_vec(event)?);
        let confirm = channel.basic_publish(exchange.into(), key.into(), options, &body, properties).await?.await?;
        Ok(matches!(confirm, Confirmation::Ack(None)))
    }

    /// Takes the binding of a queue to a route of the direct exchange away.
    pub(crate) async fn unbind(&self, queue: &str, key: &str) -> Outcome {
        let unbound = self.channel.queue_unbind(queue.into(), "saga.events".into(), key.into(), FieldTable::default());
        Ok(unbound.await?)
    }

    pub(crate) async fn delete_exchange(&self, name: &str) -> Outcome {
        Ok(self.channel.exchange_delete(name.into(), ExchangeDeleteOptions::default()).await?)
    }

    pub(crate) async fn delete_queue(&self, name: &str) -> Outcome {
        self.channel.queue_delete(name.into(), QueueDeleteOptions::default()).await?;
        Ok(())
    }

    /// Makes the broker give up the next message of a queue, as a limit of its own would.
    pub(crate) async fn dead_letter(&self, queue: &str) -> Outcome {
        let next = self.channel.basic_get(queue.into(), BasicGetOptions::default()).await?;
        let next = next.ok_or_else(|| format!("{queue} is empty"))?;
        next.delivery.acker.nack(BasicNackOptions::default()).await?;
        Ok(())
    }

    /// How many messages of the queue are with nobody.
    pub(crate) async fn ready(&self, queue: &str) -> Fallible<u32> {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        Ok(self.channel.queue_declare(queue.into(), options, FieldTable::default()).await?.message_count())
    }

    /// The sagas of what is left in the queue.
    pub(crate) async fn left(&self, queue: &str) -> Fallible<Vec<String>> {
        let mut sagas = Vec::new();
        while let Some(message) = self.channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await? {
            sagas.push(seen(&message.delivery).saga);
        }
        Ok(sagas)
    }
}

impl Observer {
    /// The next message.
    pub(crate) async fn next(&mut self) -> Fallible<Seen> {
        self.within(LIMIT).await?.ok_or_else(|| "no message came".into())
    }

    /// The next message, if one comes in time.
    pub(crate) async fn within(&mut self, limit: Duration) -> Fallible<Option<Seen>> {
        match tokio::time::timeout(limit, self.consumer.next()).await {
            Ok(delivery) => Ok(Some(seen(&delivery.ok_or("the subscription ended")??))),
            Err(_) => Ok(None),
        }
    }
}

fn properties(id: MessageId, saga: SagaId, event_type: &EventType) -> BasicProperties {
    BasicProperties::default()
        .with_message_id(id.to_string().into())
        .with_correlation_id(saga.to_string().into())
        .with_type(event_type.as_str().into())
        .with_delivery_mode(2)
}

fn seen(delivery: &Delivery) -> Seen {
    let text = |value: &Option<lapin::types::ShortString>| value.as_ref().map_or_else(String::new, ToString::to_string);
    let header = delivery.properties.headers().as_ref().and_then(|table| table.inner().get("announcement"));
    Seen {
        id: text(delivery.properties.message_id()),
        saga: text(delivery.properties.correlation_id()),
        announcement: match header {
            Some(AMQPValue::LongLongInt(n)) => Some(*n),
            _ => None,
        },
    }
}
