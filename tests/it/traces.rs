//! One order is one trace: from the request through every service and message to the end, whatever happens on the way. The collector
//! is the test's own.

use crate::world::{Fallible, LIMIT, MUG, Outcome, POOR, World, order};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use saga_common::testkit::Wire;
use sagactl::client::{OrderStatus, Service};
use sagactl::stack::{Servers, StackOptions, eventually};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tonic::{Request, Response, Status};
use uuid::Uuid;

/// A span and the service that recorded it.
#[derive(Clone, Debug)]
struct Recorded {
    service: String,
    span: Span,
}

impl Recorded {
    fn attribute(&self, name: &str) -> Option<String> {
        text(self.span.attributes.iter().find(|it| it.key == name)?.value.as_ref()?.value.as_ref()?)
    }

    /// What it is, for a person: `order: POST /orders`.
    fn title(&self) -> String {
        format!("{}: {}", self.service, self.span.name)
    }

    fn failed(&self) -> bool {
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
struct Collector(Arc<Mutex<Vec<Recorded>>>);

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
    async fn start() -> Fallible<(Self, String)> {
        let collector = Self::default();
        let port = Servers::shared().await?.take_port()?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let serving = tonic::transport::Server::builder().add_service(TraceServiceServer::new(collector.clone()));
        tokio::spawn(serving.serve(address));
        Ok((collector, format!("http://{address}")))
    }

    fn all(&self) -> Vec<Recorded> {
        self.0.lock().map(|kept| kept.clone()).unwrap_or_default()
    }

    /// The trace of an order: that in which its first message was made.
    fn of_order(&self, id: Uuid) -> Vec<Recorded> {
        let all = self.all();
        let made = |it: &&Recorded| {
            it.span.name == "create saga.events:order.placed"
                && it.attribute("messaging.message.conversation_id") == Some(id.to_string())
        };
        let Some(trace) = all.iter().find(made).map(|it| it.span.trace_id.clone()) else { return Vec::new() };
        all.into_iter().filter(|it| it.span.trace_id == trace).collect()
    }

    /// Waits for these spans in the trace of an order, and tells all of it: one tree, in causal order, with all of the saga in it.
    async fn tree(&self, id: Uuid, expected: &[&str]) -> Fallible<Vec<Recorded>> {
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

fn traced(endpoint: &str) -> StackOptions {
    let options = StackOptions::unique().env_all("TAP", true).env_all("FAULTS", "on");
    options.env_all("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).env_all("OTEL_TRACES_SAMPLER_ARG", 1)
}

#[tokio::test]
async fn a_confirmed_order_is_one_trace_with_its_call_outside() -> Outcome {
    let (collector, endpoint) = Collector::start().await?;
    let world = World::with(traced(&endpoint)).await?;
    let id = world.place(&order("anna", MUG, 1, "pm_card_visa")).await?.id;
    world.ends(id, OrderStatus::Confirmed).await?;
    world.client.wait_closed(id, LIMIT).await?;
    let expected = [
        "order: POST /orders",
        "order: place-order",
        "order: create saga.events:order.placed",
        "order: publish saga.events:order.placed",
        "inventory: process saga.events:order.placed:inventory.events",
        "inventory: create saga.events:stock.reserved",
        "payment: process saga.events:stock.reserved:payment.events",
        "payment: call charge-payment",
        "payment: create saga.events:payment.charged",
        "payment: publish saga.events:payment.charged",
        "order: process saga.events:payment.charged:order.events",
        "order: create saga.events:order.confirmed",
        "inventory: process saga.events:order.confirmed:inventory.events",
        "notification: process saga.events:order.confirmed:notification.events",
        "order: process saga.events:stock.committed:order.events",
    ];
    let trace = collector.tree(id, &expected).await?;
    let charged =
        trace.iter().find(|it| it.span.name.starts_with("process saga.events:stock.reserved")).ok_or("payment's")?;
    for (name, value) in [
        ("messaging.system", "rabbitmq"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", "saga.events:stock.reserved:payment.events"),
        ("saga.step", "charge-payment"),
        ("saga.verdict", "intent"),
        ("saga.attempt", "1"),
    ] {
        assert_eq!(charged.attribute(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(charged.span.kind, 5, "a consumer");
    // The unit of work is in a trace of its own, and knows whom it was for.
    let linked = |it: &Recorded| it.span.links.iter().any(|link| link.span_id == charged.span.span_id);
    eventually("the batch", || async { Ok(collector.all().iter().any(linked).then_some(())) }).await?;
    assert!(trace.iter().all(|it| !it.failed()), "nothing has failed");
    world.assert_consistent().await
}

#[tokio::test]
async fn a_declined_order_is_one_trace_with_everything_that_is_undone() -> Outcome {
    let (collector, endpoint) = Collector::start().await?;
    let world = World::with(traced(&endpoint)).await?;
    let id = world.place(&order(POOR, MUG, 1, "wallet")).await?.id;
    world.ends(id, OrderStatus::Cancelled).await?;
    let expected = [
        "payment: create saga.failures",
        "payment: process saga.failures:payment.failures",
        "inventory: process saga.failures:inventory.failures",
        "inventory: undo reserve-stock",
        "inventory: create saga.events:saga.compensated",
        "order: process saga.failures:order.failures",
        "order: undo place-order",
        "order: process saga.events:saga.compensated:order.events",
        "order: create saga.events:order.cancelled",
        "notification: process saga.events:order.cancelled:notification.events",
    ];
    collector.tree(id, &expected).await?;
    world.assert_consistent().await
}

#[tokio::test]
async fn a_message_that_waited_stays_in_its_trace_with_each_attempt() -> Outcome {
    let (collector, endpoint) = Collector::start().await?;
    let world = World::with(traced(&endpoint)).await?;
    let unlucky = world.client.clone().with_faults(Some("inventory-svc/after-steps@order.placed=error*2".to_owned()));
    let id = unlucky.place_order(&order("anna", MUG, 1, "wallet"), None, None).await?.order.id;
    world.ends(id, OrderStatus::Confirmed).await?;
    let trace = collector.tree(id, &["order: create saga.events:order.confirmed"]).await?;
    let attempts = trace.iter().filter(|it| it.span.name.contains("order.placed:inventory.events"));
    let attempts: Vec<_> =
        attempts.map(|it| (it.attribute("saga.attempt"), it.attribute("saga.verdict"), it.failed())).collect();
    let text = |text: &str| Some(text.to_owned());
    assert!(attempts.contains(&(text("1"), text("waiting"), true)), "{attempts:?}");
    assert!(attempts.contains(&(text("2"), text("done"), false)), "{attempts:?}");
    world.assert_consistent().await
}

#[tokio::test]
async fn what_a_deadline_undoes_is_in_the_trace_of_the_order() -> Outcome {
    let (collector, endpoint) = Collector::start().await?;
    let world = World::with(traced(&endpoint).env(Service::Order, "DEADLINE_MS", 3_000)).await?;
    let late = world.client.clone().with_faults(Some("order-svc/before-begin@payment.charged=hold".to_owned()));
    let id = late.place_order(&order("berta", MUG, 1, "pm_card_visa"), None, None).await?.order.id;
    eventually("the charge", || async {
        Ok(world.client.payment(id).await.is_ok_and(|payment| payment.status == "charged").then_some(()))
    })
    .await?;
    eventually("the deadline", || async {
        Ok((world.client.order(id).await?.status == OrderStatus::Cancelling).then_some(()))
    })
    .await?;
    world.client.release(Service::Order, id).await?;
    world.ends(id, OrderStatus::Cancelled).await?;
    let expected = [
        "order: deadline",
        "order: create saga.failures",
        "inventory: undo reserve-stock",
        "payment: process saga.failures:payment.failures",
        "payment: undo charge-payment",
        "order: process saga.events:saga.compensated:order.events",
        "order: create saga.events:order.cancelled",
    ];
    collector.tree(id, &expected).await?;
    world.assert_consistent().await
}

#[tokio::test]
async fn a_callers_trace_goes_on_and_what_nobody_records_is_passed_on() -> Outcome {
    let (collector, endpoint) = Collector::start().await?;
    // Nothing that begins here is recorded.
    let world = World::with(traced(&endpoint).env_all("OTEL_TRACES_SAMPLER_ARG", 0)).await?;
    let post = async |context: Option<&str>| -> Fallible<Uuid> {
        let request = world.stack.http().post(format!("{}/orders", world.stack.url(Service::Order)?));
        let request = request.json(&order("anna", MUG, 1, "wallet"));
        let request =
            context.map_or(request.try_clone().ok_or("no body")?, |context| request.header("traceparent", context));
        let placed: serde_json::Value = request.send().await?.error_for_status()?.json().await?;
        let id: Uuid = placed["id"].as_str().ok_or("no id")?.parse()?;
        world.ends(id, OrderStatus::Confirmed).await?;
        world.client.wait_closed(id, LIMIT).await?;
        Ok(id)
    };
    let unrecorded = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let (silent, passed_on, nonsense) =
        (post(None).await?, post(Some(unrecorded)).await?, post(Some("00-1-2-03")).await?);
    let recorded = post(Some("00-1bf7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01")).await?;
    eventually("the caller's trace", || async {
        let trace = collector.of_order(recorded);
        Ok(trace.iter().any(|it| it.title().starts_with("notification: process")).then_some(()))
    })
    .await?;
    let trace = collector.of_order(recorded);
    let request = trace.iter().find(|it| it.span.name == "POST /orders").ok_or("the request")?;
    assert_eq!(request.span.trace_id[..2], [0x1b, 0xf7]);
    assert_eq!(request.span.parent_span_id, 0xc7ad_6b71_6920_3331_u64.to_be_bytes());
    let all = collector.all();
    assert!(
        all.iter().all(|it| it.span.trace_id == request.span.trace_id || !it.span.links.is_empty()),
        "nothing else"
    );

    let said = Wire::connect(world.stack.amqp_url()).await?.take_all("saga.tap").await?;
    for message in &said {
        let headers = message.properties.headers().as_ref();
        let carried = headers.and_then(|it| it.inner().get("traceparent")?.as_long_string().map(ToString::to_string));
        let saga = message.saga_id.ok_or("a saga")?.as_uuid();
        if saga == passed_on {
            assert_eq!(carried.as_deref(), Some(unrecorded), "{}", message.event_type);
        } else if saga == silent || saga == nonsense {
            assert_eq!(carried, None, "{}", message.event_type);
        }
    }
    world.assert_consistent().await
}

#[tokio::test]
async fn a_collector_that_does_not_answer_holds_nothing_up() -> Outcome {
    // Connections are taken, and nothing is ever said.
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let world = World::with(traced(&format!("http://{}", deaf.local_addr()?))).await?;
    let mut ids = Vec::new();
    for n in 0..50 {
        ids.push(world.place(&order(&format!("customer-{n}"), MUG, 1, "wallet")).await?.id);
    }
    for id in ids {
        world.ends(id, OrderStatus::Confirmed).await?;
    }
    world.assert_consistent().await?;
    for service in Service::ALL {
        let asked = Instant::now();
        assert!(world.stack.terminate(service).await?.success(), "{service:?}");
        assert!(asked.elapsed() < Duration::from_secs(8), "{service:?} took {:?} to stop", asked.elapsed());
    }
    Ok(())
}
