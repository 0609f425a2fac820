//! A payment provider that is down, silent or half broken: it is left alone, orders come to an end, customers are told why,
//! and when it is back everything that waited is settled, once.

use crate::world::{Fallible, LIMIT, MUG, Outcome, World, order};
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sagactl::client::{OrderStatus, Service};
use sagactl::stack::{Program, StackOptions, Upstream, eventually};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// Hands every request to the sandbox.
    Well,
    /// Answers 503.
    Down,
    /// Answers nothing.
    Silent,
    /// Answers every third request with 503.
    HalfBroken,
}

/// Stands before the sandbox.
struct Door {
    port: u16,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    mood: Mood,
    calls: usize,
    sandbox: String,
}

impl Door {
    async fn open() -> Fallible<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let inner = Arc::new(Mutex::new(Inner { mood: Mood::Well, calls: 0, sandbox: String::new() }));
        let app = axum::Router::new().fallback(pass).with_state(Arc::clone(&inner));
        tokio::spawn(axum::serve(listener, app).into_future());
        Ok(Self { port, inner })
    }

    fn is_now(&self, mood: Mood) {
        self.inner.lock().expect("nobody panicked").mood = mood;
    }

    fn calls(&self) -> usize {
        self.inner.lock().expect("nobody panicked").calls
    }
}

async fn pass(State(inner): State<Arc<Mutex<Inner>>>, request: Request) -> Response {
    let (mood, calls, sandbox) = {
        let mut inner = inner.lock().expect("nobody panicked");
        inner.calls += 1;
        (inner.mood, inner.calls, inner.sandbox.clone())
    };
    match mood {
        Mood::Silent => std::future::pending().await,
        Mood::Down => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Mood::HalfBroken if calls.is_multiple_of(3) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Mood::Well | Mood::HalfBroken => match hand_on(&sandbox, request).await {
            Ok((status, body)) => (status, body).into_response(),
            Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
        },
    }
}

async fn hand_on(sandbox: &str, request: Request) -> Fallible<(StatusCode, Bytes)> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 65_536).await?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let request = client.request(head.method, format!("{sandbox}{}", head.uri)).headers(head.headers).body(body);
    let answer = request.send().await?;
    Ok((answer.status(), answer.bytes().await?))
}

/// A stack whose payment-svc reaches the sandbox through a door, and is soon tired of it.
async fn behind_a_door(deadline_ms: u64) -> Fallible<(World, Door)> {
    let door = Door::open().await?;
    let options = StackOptions::unique()
        .through(Service::Payment, Upstream::Provider, door.port)
        .env(Service::Order, "DEADLINE_MS", deadline_ms)
        .env(Service::Payment, "PROVIDER_TIMEOUT_MS", 400)
        .env(Service::Payment, "PROVIDER_BREAKER_CALLS", 4)
        .env(Service::Payment, "PROVIDER_BREAKER_OPEN_MS", 1_000);
    let world = World::with(options).await?;
    door.inner.lock().expect("nobody panicked").sandbox = world.stack.url(Program::SandboxProvider)?;
    Ok((world, door))
}

impl World {
    async fn payment_svc(&self, path: &str) -> Fallible<(u16, String)> {
        let answer = self.stack.http().get(format!("{}{path}", self.stack.url(Service::Payment)?)).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Waits until the breaker is in this state.
    async fn breaker(&self, state: &'static str) -> Outcome {
        let line = format!("payment_provider_breaker_state{{state=\"{state}\"}} 1");
        eventually(state, || async {
            Ok(self.payment_svc("/metrics").await?.1.lines().any(|it| it == line).then_some(()))
        })
        .await
    }

    /// How often each of the provider's intents of an order has succeeded.
    async fn charges(&self, order: Uuid) -> Fallible<usize> {
        let url = format!("{}/v1/payment_intents?limit=100", self.stack.url(Program::SandboxProvider)?);
        let request = reqwest::Client::new().get(url).bearer_auth(self.stack.provider_key());
        let list: Value = request.send().await?.json().await?;
        let of_order = |intent: &&Value| intent["metadata"]["order_id"] == order.to_string();
        let data = list["data"].as_array().cloned().unwrap_or_default();
        Ok(data.iter().filter(of_order).filter(|intent| intent["status"] == "succeeded").count())
    }
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_left_alone_and_the_customer_is_told() -> Outcome {
    let (world, door) = behind_a_door(5_000).await?;
    for mood in [Mood::Down, Mood::Silent] {
        door.is_now(Mood::Well);
        let before = world.place(&order("anna", MUG, 1, "pm_card_visa")).await?.id;
        world.ends(before, OrderStatus::Confirmed).await?;
        world.breaker("closed").await?;

        door.is_now(mood);
        let asked = door.calls();
        let orders = world.place_all(&vec![order("anna", MUG, 1, "pm_card_visa"); 8]).await?;
        world.breaker("open").await?;
        // What needs no provider goes on, and the service is ready, with a note.
        let by_wallet = world.place(&order("anna", MUG, 1, "wallet")).await?.id;
        world.ends(by_wallet, OrderStatus::Confirmed).await?;
        let (status, text) = world.payment_svc("/readyz").await?;
        assert_eq!(status, 200, "{text}");
        let waiting = world.payment_svc(&format!("/payments/{}", orders[0])).await?.1;
        assert!(waiting.contains("\"waits_because\":\"the provider"), "{waiting}");
        for id in &orders {
            let order = world.ends(*id, OrderStatus::Cancelled).await?;
            let told = "deadline passed: the payment provider did not answer";
            assert_eq!(order.reason.as_deref(), Some(told), "{mood:?}");
            let payment = world.payment_svc(&format!("/payments/{id}")).await?.1;
            assert!(payment.contains("\"reason\":\"the payment provider did not answer\""), "{payment}");
            assert_eq!(world.charges(*id).await?, 0);
        }
        // Eight orders would ask six times each within their deadline; once the breaker is open, one call a second finds out.
        let calls = door.calls() - asked;
        assert!(calls <= 8 + 6, "{mood:?}: {calls} calls");
    }
    door.is_now(Mood::Well);
    let after = world.place(&order("anna", MUG, 1, "pm_card_visa")).await?.id;
    world.ends(after, OrderStatus::Confirmed).await?;
    world.breaker("closed").await?;
    assert_eq!(world.payment_svc("/readyz").await?.1, "ready\n");
    assert_eq!(world.charges(after).await?, 1);
    world.assert_consistent().await
}

#[tokio::test]
async fn charges_that_waited_for_the_provider_are_made_once_when_it_is_back() -> Outcome {
    let (world, door) = behind_a_door(60_000).await?;
    door.is_now(Mood::Down);
    let orders = world.place_all(&vec![order("anna", MUG, 1, "pm_card_visa"); 20]).await?;
    world.breaker("open").await?;
    door.is_now(Mood::HalfBroken);
    eventually("some to get through", || async {
        let mut confirmed = 0;
        for id in &orders {
            confirmed += usize::from(world.client.order(*id).await?.status == OrderStatus::Confirmed);
        }
        Ok((confirmed >= 3).then_some(()))
    })
    .await?;
    door.is_now(Mood::Well);
    for id in &orders {
        world.ends(*id, OrderStatus::Confirmed).await?;
        assert_eq!(world.charges(*id).await?, 1);
    }
    world.assert_consistent().await
}

#[tokio::test]
async fn a_refund_waits_for_the_provider_and_is_made_once() -> Outcome {
    let (world, door) = behind_a_door(60_000).await?;
    // Charged, and the answer never comes.
    let id = world.place(&order("anna", MUG, 1, "pm_card_sandboxTimeout")).await?.id;
    eventually("the charge", || async { Ok((world.charges(id).await? == 1).then_some(())) }).await?;
    door.is_now(Mood::Down);
    let cancelled = world.client.cancel(id).await.is_ok();
    // Others open the breaker; the refund has to wait behind it.
    let others = world.place_all(&vec![order("anna", MUG, 1, "pm_card_visa"); 4]).await?;
    world.breaker("open").await?;
    let held = "saga_job_holds_total{step=\"charge-payment\"}";
    eventually("a job to be held", || async {
        Ok(world.payment_svc("/metrics").await?.1.contains(held).then_some(()))
    })
    .await?;
    door.is_now(Mood::Well);
    world.client.wait_terminal(id, LIMIT).await?;
    for other in others {
        world.ends(other, OrderStatus::Confirmed).await?;
    }
    world.assert_consistent().await?;
    let expected = if cancelled { "refunded" } else { "charged" };
    assert_eq!(world.client.payment(id).await?.status, expected);
    Ok(())
}
