//! Carrying spans to a collector, over OTLP. The only user of OpenTelemetry's crates.

use super::context::TraceContext;
use super::span::{Kind, Span, Value};
use crate::service::StartError;
use crate::telemetry::meters;
use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Spans in one request.
const AT_ONCE: usize = 512;
/// For more to come together.
const LINGER: Duration = Duration::from_millis(200);
/// A collector that takes longer gets the next ones.
const EXPORT_LIMIT: Duration = Duration::from_secs(5);

/// The task that carries spans out.
pub(super) struct Running {
    task: JoinHandle<()>,
    closing: CancellationToken,
}

pub(super) fn start(endpoint: &str, participant: &str, spans: mpsc::Receiver<Span>) -> Result<Running, StartError> {
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(EXPORT_LIMIT).build();
    let mut exporter = exporter.map_err(|error| StartError::Collector(error.to_string()))?;
    let instance = format!("{}:{}", hostname(), std::process::id());
    let resource = Resource::builder_empty().with_attributes([
        KeyValue::new("service.name", format!("{participant}-svc")),
        KeyValue::new("service.namespace", "ordersaga"),
        KeyValue::new("service.instance.id", instance),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
    ]);
    exporter.set_resource(&resource.build());
    let closing = CancellationToken::new();
    let task = tokio::spawn(export(exporter, spans, closing.clone()));
    Ok(Running { task, closing })
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

impl Running {
    pub(super) async fn flush(self, limit: Duration) {
        self.closing.cancel();
        let mut task = self.task;
        if tokio::time::timeout(limit, &mut task).await.is_err() {
            task.abort();
            tracing::warn!("the collector of traces does not answer; the last spans are lost");
        }
    }
}

async fn export(exporter: SpanExporter, mut spans: mpsc::Receiver<Span>, closing: CancellationToken) {
    let scope = InstrumentationScope::builder("saga-common").with_version(env!("CARGO_PKG_VERSION")).build();
    let (exported, failed) = (meters::spans("exported"), meters::spans("failed"));
    let mut answers = true;
    let mut batch = Vec::with_capacity(AT_ONCE);
    loop {
        tokio::select! {
            // Once closed, what is there is still received, and then nothing.
            () = closing.cancelled(), if !spans.is_closed() => {
                spans.close();
                continue;
            }
            received = spans.recv_many(&mut batch, AT_ONCE) => if received == 0 { return },
        }
        let count = batch.len() as u64;
        let data = batch.drain(..).map(|span| data_of(span, &scope)).collect();
        let sent = tokio::time::timeout(EXPORT_LIMIT, exporter.export(data)).await;
        let now = matches!(sent, Ok(Ok(())));
        if now { &exported } else { &failed }.increment(count);
        // Once, not for every batch.
        match (answers, now) {
            (true, false) => {
                tracing::warn!(error = ?sent, "the collector of traces does not answer; spans are dropped")
            }
            (false, true) => tracing::info!("the collector of traces answers again"),
            _ => {}
        }
        answers = now;
        tokio::select! { () = tokio::time::sleep(LINGER) => {}, () = closing.cancelled() => {} }
    }
}

fn data_of(span: Span, scope: &InstrumentationScope) -> SpanData {
    let mut links = SpanLinks::default();
    links.links = span.links.iter().map(|context| Link::with_context(span_context(context, true))).collect();
    let attributes = span.attributes.into_iter().map(|(name, value)| match value {
        Value::Text(text) => KeyValue::new(name, text.into_owned()),
        Value::Number(number) => KeyValue::new(name, number),
    });
    SpanData {
        span_context: span_context(&span.context, false),
        parent_span_id: span.parent.map_or(SpanId::INVALID, |id| SpanId::from_bytes(id.to_be_bytes())),
        parent_span_is_remote: matches!(span.kind, Kind::Consumer | Kind::Server),
        span_kind: match span.kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Producer => SpanKind::Producer,
            Kind::Consumer => SpanKind::Consumer,
            Kind::Internal => SpanKind::Internal,
        },
        name: span.name.into(),
        start_time: span.began,
        end_time: span.ended.max(span.began),
        attributes: attributes.collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links,
        status: span.error.map_or(Status::Unset, Status::error),
        instrumentation_scope: scope.clone(),
    }
}

fn span_context(context: &TraceContext, remote: bool) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(context.trace_id.to_be_bytes()),
        SpanId::from_bytes(context.span_id.to_be_bytes()),
        if context.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() },
        remote,
        TraceState::default(),
    )
}
