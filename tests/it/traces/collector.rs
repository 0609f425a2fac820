//! A collector of traces, in the test's own process, as OTLP has it.

use crate::world::Fallible;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use sagactl::stack::{Servers, eventually};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tonic::{Request, Response, Status};
use uuid::Uuid;

/// A span and the service that recorded it.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    pub(super) service: String,
    pub(super) span: Span,
}

impl Recorded {
    pub(super) fn attribute(&self, name: &str) -> Option<String> {
        text(self.span.attributes.iter().find(|it| it.key == name)?.value.as_ref()?.value.as_ref()?)
    }

    /// What it is, for a person: `order: POST /orders`.
    pub(super) fn title(&self) -> String {
        format!("{}: {}", self.service, self.span.name)
    }

    pub(super) fn failed(&self) -> bool {
        self.span.status.as_ref().is_some_and(|status| status.code == 2)
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Keeps what it is sent.
#[derive(Clone, Default)]
pub(super) struct Collector(Arc<Mutex<Vec<Recorded>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut kept = self.0.lock().map_err(|_| Status::internal("a test has panicked"))?;
        for of_service in request.into_inner().resource_spans {
            let attributes = of_service.resource.map(|it| it.attributes).unwrap_or_default();
            let name = attributes.iter().find(|it| it.key == "service.name");
            let service = name.and_then(|it| text(it.value.as_ref()?.value.as_ref()?)).unwrap_or_default();
            let spans = of_service.scope_spans.into_iter().flat_map(|it| it.spans);
            kept.extend(spans.map(|span| Recorded { service: service.trim_end_matches("-svc").to_owned(), span }));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Serves until the test ends; returns where.
    pub(super) async fn start() -> Fallible<(Self, String)> {
        let collector = Self::default();
        let port = Servers::shared().await?.take_port()?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let serving = tonic::transport::Server::builder().add_service(TraceServiceServer::new(collector.clone()));
        tokio::spawn(serving.serve(address));
        Ok((collector, format!("http://{address}")))
    }

    pub(super) fn all(&self) -> Vec<Recorded> {
        self.0.lock().map(|kept| kept.clone()).unwrap_or_default()
    }

    /// The trace of an order: that in which its first message was made.
    pub(super) fn of_order(&self, id: Uuid) -> Vec<Recorded> {
        let all = self.all();
        let made = |it: &&Recorded| {
            it.span.name == "create saga.events:order.placed"
                && it.attribute("messaging.message.conversation_id") == Some(id.to_string())
        };
        let Some(trace) = all.iter().find(made).map(|it| it.span.trace_id.clone()) else { return Vec::new() };
        all.into_iter().filter(|it| it.span.trace_id == trace).collect()
    }

    /// Waits for these spans in the trace of an order, and tells all of it: one tree, in causal order, with all of the saga in it.
    pub(super) async fn tree(&self, id: Uuid, expected: &[&str]) -> Fallible<Vec<Recorded>> {
        let whole = |trace: &[Recorded]| {
            let titles: BTreeSet<String> = trace.iter().map(Recorded::title).collect();
            let missing: Vec<&str> = expected.iter().filter(|title| !titles.contains(**title)).copied().collect();
            let ids: BTreeSet<&[u8]> = trace.iter().map(|it| it.span.span_id.as_slice()).collect();
            let lost =
                |it: &&Recorded| !it.span.parent_span_id.is_empty() && !ids.contains(it.span.parent_span_id.as_slice());
            let orphans: Vec<String> = trace.iter().filter(lost).map(Recorded::title).collect();
            (missing.is_empty() && orphans.is_empty())
                .then_some(())
                .ok_or(format!("missing {missing:?}, orphans {orphans:?}, of {titles:#?}"))
        };
        let come = eventually("the trace", || async { Ok(whole(&self.of_order(id)).is_ok().then_some(())) }).await;
        let trace = self.of_order(id);
        come.map_err(|error| format!("{error}: {}", whole(&trace).err().unwrap_or_default()))?;
        let by_id: BTreeMap<&[u8], &Recorded> = trace.iter().map(|it| (it.span.span_id.as_slice(), it)).collect();
        assert_eq!(by_id.len(), trace.len(), "each span has an id of its own");
        let roots: Vec<String> =
            trace.iter().filter(|it| it.span.parent_span_id.is_empty()).map(Recorded::title).collect();
        assert_eq!(roots, ["order: POST /orders"], "one root");
        for it in &trace {
            let Some(parent) = by_id.get(it.span.parent_span_id.as_slice()) else { continue };
            // Two threads look at the clock.
            let slack = 5_000_000;
            assert!(
                it.span.start_time_unix_nano + slack >= parent.span.start_time_unix_nano,
                "{} begins before {}",
                it.title(),
                parent.title()
            );
            assert!(it.span.end_time_unix_nano >= it.span.start_time_unix_nano, "{}", it.title());
        }
        let of_saga = |it: &Recorded| it.attribute("saga.id") == Some(id.to_string());
        let elsewhere = self.all().into_iter().filter(|it| of_saga(it) && it.span.trace_id != trace[0].span.trace_id);
        assert_eq!(
            elsewhere.map(|it| it.title()).collect::<Vec<_>>(),
            Vec::<String>::new(),
            "all of the saga is in it"
        );
        Ok(trace)
    }
}
