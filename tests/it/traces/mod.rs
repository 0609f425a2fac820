//! One order is one trace: from the request through every service and message to the end, whatever happens on the way. The collector
//! is the test's own.

mod collector;

use crate::world::{Fallible, LIMIT, MUG, Outcome, POOR, World, order};
use collector::{Collector, Recorded};
use saga_common::testkit::Wire;
use sagactl::client::{OrderStatus, Service};
use sagactl::stack::{StackOptions, eventually};
use std::time::{Duration, Instant};
use uuid::Uuid;

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
async fn what_is_asked_about_an_order_later_is_linked_to_its_trace() -> Outcome {
    let (collector, endpoint) = Collector::start().await?;
    let world = World::with(traced(&endpoint)).await?;
    let kept = world.place(&order("anna", MUG, 1, "wallet")).await?.id;
    world.ends(kept, OrderStatus::Confirmed).await?;
    world.client.wait_closed(kept, LIMIT).await?;
    for status in [OrderStatus::Shipped, OrderStatus::Delivered] {
        world.client.set_order_status(kept, &status).await?;
    }
    world.client.return_order(kept).await?;
    world.client.wait_returned(kept, LIMIT).await?;
    let late = world.client.clone().with_faults(Some("payment-svc/before-begin@stock.reserved=hold".to_owned()));
    let cancelled = late.place_order(&order("berta", MUG, 1, "wallet"), None, None).await?.order.id;
    world.client.cancel(cancelled).await?;
    world.client.release(Service::Payment, cancelled).await?;
    world.ends(cancelled, OrderStatus::Cancelled).await?;

    for (order, step) in [(kept, "ship"), (kept, "deliver"), (kept, "begin-return"), (cancelled, "cancel")] {
        let placed =
            eventually("the order's trace", || async { Ok(collector.of_order(order).into_iter().next()) }).await?;
        let span =
            eventually(step, || async { Ok(collector.all().into_iter().find(|it| it.span.name == step)) }).await?;
        let linked: Vec<_> = span.span.links.iter().map(|link| &link.trace_id).collect();
        assert_eq!(linked, [&placed.span.trace_id], "{step}");
        assert_ne!(span.span.trace_id, placed.span.trace_id, "{step} is a request of its own");
    }
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
