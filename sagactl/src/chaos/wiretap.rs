//! Listens to everything that is said, to be able to say it again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::dice::Dice;
use super::wire::{Copied, EVENTS, FAILURES, Wire, WireError, reacts_to};
use crate::stack::Program;

const QUEUE: &str = "chaos.wiretap";
/// Not more bytes of bodies are kept: a random half goes when there are.
const KEPT_BYTES: usize = 96 * 1024 * 1024;
/// A fault may have removed the bindings.
const BIND_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
struct Heard {
    messages: Vec<Copied>,
    bytes: usize,
}

/// What was said so far, or a random part of it. Ends with its last owner.
#[derive(Debug)]
pub struct Wiretap {
    heard: Arc<Mutex<Heard>>,
    listening: JoinHandle<()>,
}

impl Wiretap {
    /// Listens from now on; connects again whenever it has to.
    #[must_use]
    pub fn on(amqp_url: &str) -> Self {
        let heard = Arc::<Mutex<Heard>>::default();
        let (url, into) = (amqp_url.to_owned(), Arc::clone(&heard));
        let listening = tokio::spawn(async move {
            loop {
                // Broken off by a fault, as a rule; what is said meanwhile waits in the queue or is not needed.
                let _ = listen(&url, &into).await;
                sleep(Duration::from_millis(300)).await;
            }
        });
        Self { heard, listening }
    }

    /// How many messages are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        locked(&self.heard).messages.len()
    }

    /// Whether nothing was heard.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The latest of them.
    #[must_use]
    pub fn latest(&self, count: usize) -> Vec<Copied> {
        let heard = locked(&self.heard);
        heard.messages[heard.messages.len().saturating_sub(count)..].to_vec()
    }

    /// Some of all of them, in random order.
    #[must_use]
    pub fn some(&self, count: usize, dice: &mut Dice) -> Vec<Copied> {
        let heard = locked(&self.heard);
        let mut places: Vec<usize> = (0..heard.messages.len()).collect();
        dice.shuffle(&mut places);
        places.into_iter().take(count).map(|at| heard.messages[at].clone()).collect()
    }
}

impl Drop for Wiretap {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(url: &str, heard: &Mutex<Heard>) -> Result<(), WireError> {
    let wire = Wire::connect(url).await?;
    bind(&wire).await?;
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let consumer = wire.channel().basic_consume(QUEUE.into(), "wiretap".into(), options, FieldTable::default());
    let mut consumer = consumer.await?;
    loop {
        match timeout(BIND_EVERY, consumer.next()).await {
            Err(_) => bind(&wire).await?,
            Ok(None) => return Ok(()),
            Ok(Some(delivery)) => {
                let delivery = delivery?;
                let (exchange, routing_key) = (delivery.exchange.to_string(), delivery.routing_key.to_string());
                keep(heard, Copied { exchange, routing_key, properties: delivery.properties, body: delivery.data });
            }
        }
    }
}

async fn bind(wire: &Wire) -> Result<(), WireError> {
    let channel = wire.channel();
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(50_000));
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(QUEUE.into(), options, arguments).await?;
    let keys = Program::ALL.into_iter().flat_map(reacts_to).map(|key| (EVENTS, *key));
    for (exchange, key) in keys.chain([(FAILURES, "")]) {
        let bound = channel.queue_bind(
            QUEUE.into(),
            exchange.into(),
            key.into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        bound.await?;
    }
    Ok(())
}

fn keep(heard: &Mutex<Heard>, message: Copied) {
    let mut heard = locked(heard);
    heard.bytes += message.body.len();
    heard.messages.push(message);
    if heard.bytes > KEPT_BYTES {
        let mut dice = Dice::new(heard.messages.len() as u64, 3);
        heard.messages.retain(|_| dice.percent(50));
        heard.bytes = heard.messages.iter().map(|it| it.body.len()).sum();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A list of messages is whole between two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
