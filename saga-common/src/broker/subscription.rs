//! Consuming with acks: what is waiting in the buffer, and one ack for all of it.

use super::{BrokerError, Link, bounded};
use crate::envelope::{self, Envelope, RawMessage};
use futures::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Consumer};
use std::collections::BTreeMap;

/// Deliveries of one subscription, opened.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    /// The events, in the order of delivery, each with the broker's word that it was delivered before.
    pub(crate) events: Vec<(Envelope, bool)>,
    /// The tag below and with which everything of this subscription has been handed out.
    last_tag: u64,
}

/// One generation of a consumer: a queue's channel. Its tags die with it, so an ack can never reach a later one.
pub(crate) struct Subscription {
    channel: Channel,
    consumer: Consumer,
    /// The client tells the end of a subscription once. It may come right behind a delivery, which is worked first.
    ended: Option<BrokerError>,
}

impl Subscription {
    pub(crate) async fn open(link: &Link, queue: &str, tag: &str, prefetch: u16) -> Result<Self, BrokerError> {
        let channel = link.channel().await?;
        bounded("set the prefetch", channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
        let options = BasicConsumeOptions::default();
        let consuming = channel.basic_consume(queue.into(), tag.into(), options, FieldTable::default());
        let consumer = bounded("consume", consuming).await?;
        Ok(Self { channel, consumer, ended: None })
    }

    /// Waits for a delivery and takes what else is there already, up to about `most` events. Never lingers.
    pub(crate) async fn next(&mut self, most: usize) -> Result<Deliveries, BrokerError> {
        if let Some(ended) = self.ended.take() {
            return Err(ended);
        }
        let mut deliveries = Deliveries::default();
        deliveries.take(delivered(self.consumer.next().await)?);
        while deliveries.events.len() < most {
            match self.consumer.next().now_or_never().map(delivered) {
                Some(Ok(delivery)) => deliveries.take(delivery),
                Some(Err(ended)) => {
                    self.ended = Some(ended);
                    break;
                }
                None => break,
            }
        }
        Ok(deliveries)
    }

    /// Acks everything up to and with these deliveries: all of it is settled, because the consumer takes the next
    /// ones only when these are.
    pub(crate) async fn ack(&self, deliveries: &Deliveries) -> Result<(), BrokerError> {
        bounded("ack", self.channel.basic_ack(deliveries.last_tag, BasicAckOptions { multiple: true })).await
    }

    /// Ends in order: what was handed out but not acked goes back.
    pub(crate) async fn close(self) {
        let _ = bounded("close a channel", self.channel.close(200, "done".into())).await;
    }
}

fn delivered(next: Option<Result<Delivery, lapin::Error>>) -> Result<Delivery, BrokerError> {
    next.ok_or(BrokerError::Cancelled)?.map_err(|source| BrokerError::Client { what: "consume", source })
}

impl Deliveries {
    fn take(&mut self, delivery: Delivery) {
        self.last_tag = delivery.delivery_tag;
        let redelivered = delivery.redelivered;
        let envelopes = envelope::open(raw(delivery));
        self.events.extend(envelopes.into_iter().map(|envelope| (envelope, redelivered)));
    }
}

pub(super) fn raw(delivery: Delivery) -> RawMessage {
    let properties = &delivery.properties;
    let text = |value: &Option<lapin::types::ShortString>| value.as_ref().map(|v| v.as_str().to_owned());
    let headers = properties.headers().as_ref().map(header_texts).unwrap_or_default();
    RawMessage {
        message_id: text(properties.message_id()),
        correlation_id: text(properties.correlation_id()),
        event_type: text(properties.kind()),
        app_id: text(properties.app_id()),
        content_type: text(properties.content_type()),
        headers,
        body: delivery.data,
    }
}

fn header_texts(table: &FieldTable) -> BTreeMap<String, String> {
    let text = |value: &AMQPValue| match value {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        AMQPValue::ShortString(text) => Some(text.as_str().to_owned()),
        AMQPValue::LongLongInt(number) => Some(number.to_string()),
        AMQPValue::LongInt(number) => Some(number.to_string()),
        AMQPValue::LongUInt(number) => Some(number.to_string()),
        AMQPValue::ShortInt(number) => Some(number.to_string()),
        AMQPValue::ShortShortInt(number) => Some(number.to_string()),
        _ => None,
    };
    table.inner().iter().filter_map(|(key, value)| Some((key.as_str().to_owned(), text(value)?))).collect()
}
