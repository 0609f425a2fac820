//! Traces: what was done for one request, in every service, as one tree of spans. The way of a context: a request's header, what is
//! committed because of it (`saga.outbox`, `saga.waiting`, `saga.jobs`, `saga.announcements`), the header `traceparent` of a message,
//! the step that reacts to it, and so on. `docs/traces.md` has the picture.
//!
//! A context that says "not sampled" is passed on and costs nothing else; without a collector, so is any. Spans are made when what
//! they tell is committed, with ids that were committed with it, and carried out by a task of their own that nobody waits for.

mod cause;
mod context;
#[cfg(feature = "otel")]
mod export;
pub(crate) mod span;
mod tracer;

pub(crate) use cause::{Cause, Origin, Reaction};
pub(crate) use context::TraceContext;
pub(crate) use span::Span;
pub(crate) use tracer::{Request, Tracer};

/// What a request is a part of, for [`Unit::caused_by`](crate::Unit::caused_by). A handler takes it as an argument.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    cause: Cause,
    /// Another trace, which this one goes on from.
    after: Option<TraceContext>,
}

impl From<Cause> for Trace {
    fn from(cause: Cause) -> Self {
        Self { cause, after: None }
    }
}

impl Trace {
    /// What can be kept, for work on a later occasion ([`Saga::trace`](crate::Saga::trace)).
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        self.cause.traceparent()
    }

    /// The same, with a link to the trace of what it goes on from: a request of its own about something that began in another one. `None`, or what
    /// is no context, links to nothing.
    #[must_use]
    pub fn after(&self, traceparent: Option<&str>) -> Self {
        Self { cause: self.cause.clone(), after: traceparent.and_then(|text| text.parse().ok()) }
    }

    pub(crate) fn links(&self) -> Vec<TraceContext> {
        self.after.into_iter().collect()
    }

    /// What is done for the request is a span of its own within it.
    pub(crate) fn cause(&self) -> Cause {
        match &self.cause {
            Cause::Recorded(request) => Cause::Recorded(Reaction::to(&request.context)),
            other => other.clone(),
        }
    }
}

use crate::config::Settings;
use crate::service::StartError;
use std::time::Duration;

/// Who carries spans out; nobody if nothing is recorded.
#[derive(Default)]
pub(crate) struct Exporter {
    #[cfg(feature = "otel")]
    running: Option<export::Running>,
}

impl Exporter {
    /// What is left goes out, if that takes no longer than this. Nothing is recorded any more.
    pub(crate) async fn flush(self, limit: Duration) {
        #[cfg(feature = "otel")]
        if let Some(running) = self.running {
            running.flush(limit).await;
        }
        #[cfg(not(feature = "otel"))]
        let _ = limit;
    }
}

/// Records and exports what the settings ask for: nothing, unless they name a collector.
pub(crate) fn start(settings: &Settings, participant: &str) -> Result<(Tracer, Exporter), StartError> {
    #[cfg(feature = "otel")]
    if let Some(endpoint) = settings.otlp_endpoint.as_deref().filter(|endpoint| !endpoint.is_empty()) {
        let (tracer, spans) = Tracer::new(settings.traces_ratio, super::meters::spans("dropped"));
        let running = Some(export::start(endpoint, participant, spans)?);
        return Ok((tracer, Exporter { running }));
    }
    let _ = (settings, participant);
    Ok((Tracer::default(), Exporter::default()))
}
