//! Everybody else on the broker: says what the others would say, hears what the service says.

use saga_common::event::Event;
use saga_common::testkit::{self, Observer, Seen};
use saga_common::{MessageId, SagaId};
use serde_json::Value;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const SAID: [(&str, &str); 4] = [
    ("saga.events", "stock.reserved"),
    ("saga.events", "stock.committed"),
    ("saga.events", "saga.compensated"),
    ("saga.failures", ""),
];

pub(crate) struct Wire {
    mouth: testkit::Wire,
    ears: Observer,
}

/// What the service said.
pub(crate) struct Heard {
    pub(crate) saga_id: SagaId,
    pub(crate) event_type: String,
    pub(crate) exchange: String,
    pub(crate) causation_id: Option<MessageId>,
    pub(crate) body: Value,
}

impl Wire {
    /// Call it when the service is ready: the exchanges are there then.
    pub(crate) async fn connect(url: &str) -> Outcome<Self> {
        let mouth = testkit::Wire::connect(url).await?;
        Ok(Self { ears: mouth.observe(&SAID).await?, mouth })
    }

    /// Publishes an event under a new id.
    pub(crate) async fn say<E: Event>(&self, saga_id: SagaId, event: &E) -> Outcome<MessageId> {
        let message_id = MessageId::new();
        self.say_as(message_id, saga_id, event).await?;
        Ok(message_id)
    }

    /// Publishes an event under this id.
    pub(crate) async fn say_as<E: Event>(&self, message_id: MessageId, saga_id: SagaId, event: &E) -> Outcome {
        assert!(self.mouth.publish_as(message_id, "saga.events", saga_id, event).await?, "nobody listens");
        Ok(())
    }

    /// Publishes a failure that says nothing but whose it is.
    pub(crate) async fn fails(&self, saga_id: SagaId) -> Outcome {
        assert!(self.mouth.send("saga.failures", "", testkit::properties("", saga_id), b"").await?, "nobody listens");
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
            let Seen { saga_id, event_type, exchange, causation_id, source, body, .. } = self.ears.next().await?;
            // Our own words come back over the fanout exchange; the service signs its own.
            if source.is_some() {
                let saga_id = saga_id.ok_or("a message of no saga")?;
                return Ok(Heard { saga_id, event_type, exchange, causation_id, body: serde_json::from_slice(&body)? });
            }
        }
    }
}
