//! The broker as other services see it.

use crate::world::{Fallible, LIMIT, World};
use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind};
use saga_common::event::{Event, EventType};
use saga_common::{MessageId, SagaId};
use std::time::Duration;

pub(crate) struct Wire {
    // Closed when it is dropped.
    _connection: Connection,
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
        Ok(Self { _connection: connection, channel })
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
        let properties = BasicProperties::default()
            .with_message_id(id.to_string().into())
            .with_correlation_id(saga.to_string().into())
            .with_type(EventType::of::<E>()?.as_str().into())
            .with_delivery_mode(2);
        let (options, body) = (BasicPublishOptions::default(), serde_json::to_vec(event)?);
        self.channel.basic_publish("".into(), queue.into(), options, &body, properties).await?.await?;
        Ok(id)
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
