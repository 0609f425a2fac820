//! Recording spans. Off, it costs a look at an option.

use super::cause::{Cause, Reaction};
use super::context::TraceContext;
use super::span::Span;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Spans that may wait for the collector in memory; beyond, they are dropped.
const SPANS_WAITING: usize = 8_192;

/// Records spans if somebody collects them. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Tracer(Option<Arc<Shared>>);

struct Shared {
    spans: mpsc::Sender<Span>,
    ratio: f64,
    dropped: metrics::Counter,
}

impl Tracer {
    /// Records traces that others have begun to record, and this share of those that begin here; the far end is the exporter's.
    pub(crate) fn new(ratio: f64, dropped: metrics::Counter) -> (Self, mpsc::Receiver<Span>) {
        let (spans, far_end) = mpsc::channel(SPANS_WAITING);
        (Self(Some(Arc::new(Shared { spans, ratio, dropped }))), far_end)
    }

    /// The cause that a `traceparent` is. What is no context is as if it were not there.
    pub(crate) fn cause(&self, traceparent: Option<&str>) -> Cause {
        let Some(text) = traceparent else { return Cause::Untraced };
        match text.parse::<TraceContext>() {
            Ok(context) if context.sampled && self.0.is_some() => Cause::Recorded(Reaction::to(&context)),
            // Written anew: what others put behind what we know may be of any length, and would travel with every message.
            Ok(context) => Cause::PassedOn(context.to_string()),
            Err(_) => Cause::Untraced,
        }
    }

    /// Work that goes on where it was left: a span that is recorded already.
    pub(crate) fn resume(&self, traceparent: Option<&str>) -> Cause {
        match self.recorded(traceparent) {
            Some(context) => Cause::Recorded(Reaction { context, parent: 0 }),
            None => self.cause(traceparent),
        }
    }

    /// The span of a request: the caller's trace goes on; without one, some begin a new one.
    pub(crate) fn request(&self, traceparent: Option<&str>) -> Request {
        match (self.cause(traceparent), &self.0) {
            (Cause::Untraced, Some(shared)) => {
                let context = TraceContext::root(true);
                if context.falls_into(shared.ratio) {
                    Request::Recorded(context, None)
                } else {
                    Request::Other(Cause::Untraced)
                }
            }
            (Cause::Recorded(reaction), _) => Request::Recorded(reaction.context, Some(reaction.parent)),
            (other, _) => Request::Other(other),
        }
    }

    /// The context that something carries, if it is recorded.
    pub(crate) fn recorded(&self, traceparent: Option<&str>) -> Option<TraceContext> {
        self.0.as_ref()?;
        traceparent?.parse().ok().filter(|context: &TraceContext| context.sampled)
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Never waits: what the collector does not take in time is dropped, and counted.
    pub(crate) fn record(&self, span: Span) {
        if let Some(shared) = &self.0
            && shared.spans.try_send(span).is_err()
        {
            shared.dropped.increment(1);
        }
    }
}

/// A request as traces see it.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    /// With its own span, and that of the caller.
    Recorded(TraceContext, Option<u64>),
    Other(Cause),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_on_is_short_whatever_a_caller_has_put_behind_it() {
        let known = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let long = format!("01-{known}-{}", "x".repeat(200_000));
        let passed_on = Tracer::default().cause(Some(&long)).traceparent();
        assert_eq!(passed_on, Some(format!("00-{known}")));
    }
}
