//! One connection to the broker, made anew when it has failed.

use super::{BrokerError, bounded};
use crate::topology::{Argument, Declaration, Topology};
use futures::{Stream, StreamExt};
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind, Event, ExchangeKind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

const HEARTBEAT_SECONDS: u16 = 10;

/// A connection for one purpose (publishing and consuming have one each, so that flow control of the one never stalls
/// the acks of the other).
pub(crate) struct Link {
    uri: AMQPUri,
    service: String,
    name: String,
    making: tokio::sync::Mutex<()>,
    current: std::sync::Mutex<Option<Arc<Connection>>>,
    unreadable: Arc<AtomicU64>,
}

impl Link {
    /// Prepares a link called `<service>/<role>@<host>:<pid>`; connects when used.
    pub(crate) fn new(url: &str, service: &str, role: &str) -> Result<Arc<Self>, BrokerError> {
        let mut uri: AMQPUri = url.parse().map_err(BrokerError::Url)?;
        uri.query.heartbeat = Some(HEARTBEAT_SECONDS);
        uri.query.connection_timeout = Some(5_000);
        Ok(Arc::new(Self {
            uri,
            service: service.to_owned(),
            name: connection_name(service, role),
            making: tokio::sync::Mutex::default(),
            current: std::sync::Mutex::default(),
            unreadable: Arc::default(),
        }))
    }

    /// Where the broker is.
    pub(super) fn uri(&self) -> &AMQPUri {
        &self.uri
    }

    /// How many connections of this link have ended because the client could not read what came.
    pub(crate) fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    /// The service whose link it is.
    pub(super) fn service(&self) -> &str {
        &self.service
    }

    fn current(&self) -> Option<Arc<Connection>> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        current.filter(|connection| connection.status().connected())
    }

    /// Is there a live connection?
    pub(crate) fn is_connected(&self) -> bool {
        self.current().is_some()
    }

    /// Has the broker asked publishers to wait (memory or disk alarm)?
    pub(crate) fn is_blocked(&self) -> bool {
        self.current().is_some_and(|connection| connection.status().blocked())
    }

    /// The live connection, or a new one.
    async fn connection(&self) -> Result<Arc<Connection>, BrokerError> {
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        let _one_at_a_time = self.making.lock().await;
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        let properties = ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let connection = bounded("connect", Connection::connect_uri(self.uri.clone(), properties)).await?;
        tracing::info!(connection = %self.name, "connected to the broker");
        tokio::spawn(count_unreadable(connection.events_listener(), Arc::clone(&self.unreadable)));
        let connection = Arc::new(connection);
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// Connects if there is no live connection.
    pub(crate) async fn ensure(&self) -> Result<(), BrokerError> {
        self.connection().await.map(drop)
    }

    /// A new channel on the live connection.
    pub(super) async fn channel(&self) -> Result<Channel, BrokerError> {
        let connection = self.connection().await?;
        bounded("open a channel", connection.create_channel()).await
    }

    /// Gives the connection up; the next use makes a new one.
    pub(crate) async fn discard(&self) {
        let connection = self.current.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(connection) = connection {
            let _ = bounded("close", connection.close(200, "bye".into())).await;
        }
    }

    /// Ends the link in order.
    pub(crate) async fn close(&self) {
        self.discard().await;
    }

    /// Declares everything; what is there already must be the same.
    pub(crate) async fn declare(&self, topology: &Topology) -> Result<(), BrokerError> {
        let channel = self.channel().await?;
        for declaration in topology.declarations() {
            declare(&channel, &declaration).await?;
        }
        let _ = bounded("close a channel", channel.close(200, "declared".into())).await;
        Ok(())
    }

    /// The exchanges and queues that are not there. (Bindings cannot be looked at.)
    pub(crate) async fn missing(&self, topology: &Topology) -> Result<Vec<String>, BrokerError> {
        let mut missing = Vec::new();
        let mut channel = self.channel().await?;
        for declaration in topology.declarations() {
            match is_there(&channel, &declaration).await {
                Ok(()) => {}
                Err(error) if refused_with(&error, 404).is_some() => {
                    missing.push(declaration.to_string());
                    // The broker closes a channel with a refusal.
                    channel = self.channel().await?;
                }
                Err(error) => return Err(error),
            }
        }
        let _ = bounded("close a channel", channel.close(200, "looked".into())).await;
        Ok(missing)
    }
}

/// Looks for an exchange or a queue, whatever its properties.
async fn is_there(channel: &Channel, declaration: &Declaration) -> Result<(), BrokerError> {
    match declaration {
        Declaration::Exchange { name, .. } => {
            let options = ExchangeDeclareOptions { passive: true, ..Default::default() };
            let looked = channel.exchange_declare((*name).into(), ExchangeKind::Direct, options, FieldTable::default());
            bounded("look for an exchange", looked).await
        }
        Declaration::Queue { name, .. } => {
            let options = QueueDeclareOptions { passive: true, ..Default::default() };
            let looked = channel.queue_declare(name.as_str().into(), options, FieldTable::default());
            bounded("look for a queue", looked).await.map(drop)
        }
        Declaration::Binding { .. } => Ok(()),
    }
}

/// `<service>/<role>@<host>:<pid>`.
pub(super) fn connection_name(service: &str, role: &str) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{service}/{role}@{}:{}", host.trim(), std::process::id())
}

/// Watches one connection until it ends. What its users see need not tell why: an ack that comes too late only learns
/// that the connection is gone.
async fn count_unreadable(events: impl Stream<Item = Event>, unreadable: Arc<AtomicU64>) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        if let Event::Error(error) = event
            && matches!(error.kind(), ErrorKind::ParsingError(_))
        {
            unreadable.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn declare(channel: &Channel, declaration: &Declaration) -> Result<(), BrokerError> {
    match declaration {
        Declaration::Exchange { name, fanout } => {
            let kind = if *fanout { ExchangeKind::Fanout } else { ExchangeKind::Direct };
            let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
            let declared = channel.exchange_declare((*name).into(), kind, options, FieldTable::default());
            bounded("declare an exchange", declared).await.map_err(|e| different(name, e))
        }
        Declaration::Queue { name, arguments } => {
            let mut table = FieldTable::default();
            for (key, value) in arguments {
                let value = match value {
                    Argument::Text(text) => AMQPValue::LongString(text.as_str().into()),
                    Argument::Number(number) => AMQPValue::LongLongInt(*number),
                };
                table.insert((*key).into(), value);
            }
            let options = QueueDeclareOptions { durable: true, ..Default::default() };
            let declared = channel.queue_declare(name.as_str().into(), options, table);
            bounded("declare a queue", declared).await.map(drop).map_err(|e| different(name, e))
        }
        Declaration::Binding { queue, exchange, key } => {
            let bound = channel.queue_bind(
                queue.as_str().into(),
                (*exchange).into(),
                key.as_str().into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            );
            bounded("bind a queue", bound).await
        }
    }
}

/// A 406 to a declaration means that the thing exists, but not as we need it.
fn different(name: &str, error: BrokerError) -> BrokerError {
    match refused_with(&error, 406) {
        Some(detail) => BrokerError::Different { name: name.to_owned(), detail },
        None => error,
    }
}

/// The broker's words, if it refused with this code.
fn refused_with(error: &BrokerError, code: u16) -> Option<String> {
    let BrokerError::Client { source, .. } = error else { return None };
    let ErrorKind::ProtocolError(refusal) = source.kind() else { return None };
    (refusal.get_id() == code).then(|| refusal.get_message().to_string())
}
