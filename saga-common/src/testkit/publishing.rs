//! What leaves a service, without the service.

use super::{Bench, Message};
use crate::broker::{Link, Publisher};
use crate::error::Error;
use crate::outbox::Outgoing;
use std::sync::Arc;

/// Publishes as a service does what it has committed: in bundles, mandatory, with confirms.
pub struct Publishing {
    publisher: Publisher,
}

impl Publishing {
    /// Connects to the broker, and declares what the participant of `bench` consumes from.
    ///
    /// # Errors
    /// When the broker cannot be reached or refuses.
    pub async fn of<App: Send + Sync + 'static>(bench: &Bench<App>, amqp_url: &str) -> Result<Self, Error> {
        let engine = &bench.engine;
        let link = Link::new(amqp_url, &engine.participant.name, "publisher")?;
        link.declare(&engine.participant.topology(engine.settings.queue_type, engine.settings.tap)).await?;
        Ok(Self { publisher: Publisher::new(Arc::clone(&link), engine.bundling()) })
    }

    /// Publishes these together; tells how many the broker has confirmed.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn publish(&mut self, messages: &[Message]) -> Result<usize, Error> {
        let outgoing: Vec<Outgoing> = messages.iter().filter_map(Message::outgoing).collect();
        Ok(self.publisher.publish(&outgoing).await?.confirmed.len())
    }
}
