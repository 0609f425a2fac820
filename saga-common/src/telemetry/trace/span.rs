//! Spans as they are recorded, and what those of the engine are called: OpenTelemetry's conventions for messaging, HTTP and
//! RabbitMQ. Pure.

use super::cause::Reaction;
use super::context::TraceContext;
use crate::envelope::Envelope;
use crate::ids::SagaId;
use crate::outbox::Outgoing;
use crate::topology::{QueueRole, Route};
use std::borrow::Cow;
use std::time::SystemTime;

/// Who does what to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Server,
    Client,
    Producer,
    Consumer,
    Internal,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(Cow<'static, str>),
    Number(i64),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

/// What is kept of an error, in characters.
const LONGEST_ERROR: usize = 512;

/// Something that was done, from when to when, and because of what.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) context: TraceContext,
    /// The id of the span that this one is part of; of a message, the one that made it.
    pub(crate) parent: Option<u64>,
    pub(crate) began: SystemTime,
    pub(crate) ended: SystemTime,
    pub(crate) attributes: Vec<(&'static str, Value)>,
    pub(crate) links: Vec<TraceContext>,
    /// Why it came to nothing.
    pub(crate) error: Option<String>,
}

impl Span {
    /// A span that ends as it begins, unless somebody says otherwise.
    pub(crate) fn new(name: String, kind: Kind, context: TraceContext, parent: Option<u64>, began: SystemTime) -> Self {
        Self {
            name,
            kind,
            context,
            parent,
            began,
            ended: began,
            attributes: Vec::new(),
            links: Vec::new(),
            error: None,
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    /// Spans wait in memory until they are sent: of a long story its beginning is kept.
    pub(crate) fn failed(mut self, why: Option<String>) -> Self {
        self.error = why.map(|why| why.chars().take(LONGEST_ERROR).collect());
        self
    }

    fn messaging(self, operation: &'static str, kind: &'static str, destination: String) -> Self {
        self.with("messaging.system", "rabbitmq")
            .with("messaging.operation.name", operation)
            .with("messaging.operation.type", kind)
            .with("messaging.destination.name", destination)
    }

    fn message(self, id: String, saga: Option<SagaId>) -> Self {
        let span = self.with("messaging.message.id", id);
        match saga {
            Some(saga) => span.with("messaging.message.conversation_id", saga.to_string()).of_saga(saga),
            None => span,
        }
    }

    fn of_saga(self, saga: SagaId) -> Self {
        self.with("saga.id", saga.to_string())
    }

    fn said(self, message: &Outgoing) -> Self {
        let span = self.message(message.id.to_string(), Some(message.saga_id));
        let span = span.with("messaging.rabbitmq.destination.routing_key", message.routing_key().to_owned());
        span.with("saga.event", message.event_type.clone())
    }
}

/// `{exchange}:{routing key}`; a fanout has no keys.
fn destination(route: Route, routing_key: &str) -> String {
    match route {
        Route::Direct => format!("{}:{routing_key}", route.exchange()),
        Route::Fanout => route.exchange().to_owned(),
    }
}

/// The same with the queue that it came over.
fn source(envelope: &Envelope, role: QueueRole, service: &str) -> String {
    let queue = role.queue(service);
    match role {
        QueueRole::Events => {
            format!("{}:{queue}", destination(Route::Direct, crate::event::routing_key(&envelope.event_type)))
        }
        QueueRole::Failures => format!("{}:{queue}", destination(Route::Fanout, "")),
        QueueRole::Parked => queue,
    }
}

/// What a participant did with a message: the step that reacted to it, or its undos.
pub(crate) fn process(
    reaction: &Reaction,
    envelope: &Envelope,
    (service, role): (&str, QueueRole),
    step: &str,
    attempt: u32,
    began: SystemTime,
) -> Span {
    let source = source(envelope, role, service);
    let name = format!("process {source}");
    Span::new(name, Kind::Consumer, reaction.context, Some(reaction.parent), began)
        .messaging("process", "process", source)
        .message(envelope.message_id.to_string(), envelope.saga_id.as_ref().ok().copied())
        .with("saga.event", envelope.event_type.clone())
        .with("saga.step", step.to_owned())
        .with("saga.attempt", attempt)
}

/// A unit of work over messages of several sagas: in a trace of its own, with links to what was done for each.
pub(crate) fn batch(queue: String, events: u32, began: SystemTime, links: Vec<TraceContext>) -> Span {
    let span = Span::new(format!("process {queue}"), Kind::Consumer, TraceContext::root(true), None, began);
    let mut span = span.messaging("process", "process", queue).with("messaging.batch.message_count", events);
    span.links = links;
    span
}

/// One step undone, a part of what was done with the failure.
pub(crate) fn undo(reaction: &Reaction, saga: SagaId, step: &str, verdict: &'static str, began: SystemTime) -> Span {
    Span::new(format!("undo {step}"), Kind::Internal, reaction.context.child(), Some(reaction.context.span_id), began)
        .of_saga(saga)
        .with("saga.step", step.to_owned())
        .with("saga.verdict", verdict)
}

/// A step that is done because somebody asked for it over HTTP, or a clock.
pub(crate) fn step(reaction: &Reaction, saga: SagaId, step: &str, began: SystemTime) -> Span {
    Span::new(step.to_owned(), Kind::Internal, reaction.context, Some(reaction.parent), began)
        .of_saga(saga)
        .with("saga.step", step.to_owned())
}

/// A message is made: its context is stored with it and travels. It ends with the commit.
pub(crate) fn create(message: &Outgoing, context: TraceContext, parent: u64, began: SystemTime) -> Span {
    let destination = destination(message.route, message.routing_key());
    Span::new(format!("create {destination}"), Kind::Producer, context, Some(parent), began)
        .messaging("create", "create", destination)
        .said(message)
}

/// It is brought to the broker: from the commit to the confirm, in however large a batch.
pub(crate) fn publish(message: &Outgoing, made: &TraceContext, batch: u32, began: SystemTime) -> Span {
    let destination = destination(message.route, message.routing_key());
    Span::new(format!("publish {destination}"), Kind::Client, made.child(), Some(made.span_id), began)
        .messaging("publish", "send", destination)
        .said(message)
        .with("messaging.batch.message_count", batch)
        .with("saga.announcement", message.announcement)
}

/// A request, from its arrival to its answer. It has failed if that is our fault.
#[cfg(feature = "http")]
pub(crate) fn request(
    (context, caller): (TraceContext, Option<u64>),
    (method, route, path): (String, String, String),
    status: u16,
    began: SystemTime,
) -> Span {
    Span::new(format!("{method} {route}"), Kind::Server, context, caller, began)
        .with("http.request.method", method)
        .with("http.route", route)
        .with("url.path", path)
        .with("http.response.status_code", u32::from(status))
        .failed((status >= 500).then(|| format!("status {status}")))
}

/// A call outside: one attempt, to the commit of what came of it.
pub(crate) fn call(
    reaction: &Reaction,
    saga: SagaId,
    (step, phase): (&str, &'static str),
    attempt: u32,
    began: SystemTime,
) -> Span {
    Span::new(format!("{phase} {step}"), Kind::Client, reaction.context, Some(reaction.parent), began)
        .of_saga(saga)
        .with("saga.step", step.to_owned())
        .with("saga.phase", phase)
        .with("saga.attempt", attempt)
}
