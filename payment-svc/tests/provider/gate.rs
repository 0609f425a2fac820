//! The provider is not asked while it does not answer, and by so many at once and no more.

use crate::fake::{Fake, Mood};
use payment_svc::provider::{IntentId, IntentState, ProviderClient, ProviderError, ProviderLimits};
use saga_common::Held;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

fn limits() -> ProviderLimits {
    ProviderLimits { provider_breaker_calls: 4, provider_breaker_open_ms: 200, ..ProviderLimits::default() }
}

/// It opens, and stays so for longer than any test takes.
fn for_ever() -> ProviderLimits {
    ProviderLimits { provider_breaker_open_ms: 3_600_000, ..limits() }
}

fn succeeded() -> Value {
    json!({"id": "pi_1", "status": "succeeded"})
}

fn id() -> IntentId {
    IntentId::new("pi_1").expect("an id")
}

fn held<T>(result: Result<T, ProviderError>) -> Option<Held> {
    match result {
        Err(ProviderError::NotAsked(held)) => Some(held),
        _ => None,
    }
}

/// Asks until nobody is asked any more; how often somebody was.
async fn until_not_asked(client: &ProviderClient) -> usize {
    for n in 0..100 {
        if held(client.retrieve(&id()).await).is_some() {
            return n;
        }
    }
    panic!("it was asked a hundred times");
}

#[tokio::test]
async fn whatever_is_no_answer_ends_the_asking() {
    let nothing = || json!({});
    for (mood, within) in [
        (Mood::Says(500, nothing()), 4),
        (Mood::Says(503, nothing()), 4),
        (Mood::Says(429, nothing()), 4),
        (Mood::Silent, 4),
        (Mood::HalfBroken(200, succeeded()), 5),
    ] {
        let provider = Fake::start(mood.clone()).await;
        let client = provider.client(&for_ever());
        let asked = until_not_asked(&client).await;
        assert!(asked <= within, "{mood:?}: {asked}");
        for _ in 0..50 {
            assert!(held(client.refund(&id(), "k").await).is_some());
        }
        assert_eq!(provider.asked().len(), asked, "{mood:?}: nobody is asked while the breaker is open");
        assert!(client.trouble().is_some());
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_soon_not_looked_for() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port");
    let key = payment_svc::provider::ProviderKey::new("k");
    let client = ProviderClient::with_limits(&format!("http://{closed}"), &key, Default::default(), &for_ever())
        .expect("a client");
    assert_eq!(until_not_asked(&client).await, 4);
}

#[tokio::test]
async fn declines_and_refusals_are_answers() {
    let error = |kind: &str| json!({"error": {"type": kind, "message": "no"}});
    for (status, body) in [
        (402, error("card_error")),
        (400, error("invalid_request_error")),
        (401, error("invalid_request_error")),
        (404, error("invalid_request_error")),
        (409, error("idempotency_error")),
    ] {
        let provider = Fake::start(Mood::Says(status, body)).await;
        let client = provider.client(&for_ever());
        for _ in 0..20 {
            assert!(held(client.confirm(&id(), "k").await).is_none(), "{status}");
        }
        assert_eq!((provider.asked().len(), client.trouble()), (20, None));
    }
}

#[tokio::test]
async fn one_call_finds_out_and_the_others_follow_if_it_is_answered() {
    let provider = Fake::start(Mood::Says(500, json!({}))).await;
    let client = provider.client(&limits());
    let before = until_not_asked(&client).await;
    let permits = Arc::new(Semaphore::new(0));
    provider.is_now(Mood::When(Arc::clone(&permits), 200, succeeded()));
    // Those that come while the probe is under way are turned away; the probe is not answered before they were.
    let probed = loop {
        let mut together = JoinSet::new();
        for _ in 0..10 {
            let client = client.clone();
            together.spawn(async move { client.retrieve(&id()).await });
        }
        let mut waits = Vec::new();
        while waits.len() < 9 {
            waits.push(held(together.join_next().await.expect("ten").expect("no panic")).expect("turned away").wait);
        }
        // The tenth is the probe, which is on its way to the provider, or was too early like the others.
        let tenth = loop {
            if provider.asked().len() > before && permits.available_permits() == 0 {
                permits.add_permits(1);
            }
            match together.try_join_next() {
                Some(tenth) => break tenth.expect("no panic"),
                None => tokio::task::yield_now().await,
            }
        };
        match tenth {
            Err(ProviderError::NotAsked(_)) => {}
            answered => break answered,
        }
        // Time itself is tested: who is turned away is told when to come back.
        tokio::time::sleep(waits.into_iter().max().unwrap_or_default()).await;
    };
    assert_eq!(probed, Ok(IntentState::Succeeded));
    assert_eq!(provider.asked().len(), before + 1, "one of ten was let through");
    permits.add_permits(100);
    for _ in 0..20 {
        assert_eq!(client.retrieve(&id()).await, Ok(IntentState::Succeeded));
    }
    assert_eq!(client.trouble(), None);
}

#[tokio::test]
async fn a_probe_without_an_answer_begins_the_wait_anew() {
    let provider = Fake::start(Mood::Says(500, json!({}))).await;
    let client = provider.client(&limits());
    let before = until_not_asked(&client).await;
    for probes in 1..=3 {
        while provider.asked().len() < before + probes {
            let turned_away = held(client.retrieve(&id()).await);
            // Time itself is tested: who is turned away is told when to come back.
            tokio::time::sleep(turned_away.map_or(Duration::ZERO, |held| held.wait)).await;
        }
        assert!(held(client.retrieve(&id()).await).is_some(), "after probe {probes}");
        assert_eq!(provider.asked().len(), before + probes);
    }
}

#[tokio::test]
async fn a_probe_that_is_given_up_leaves_its_place_to_the_next() {
    let provider = Fake::start(Mood::Says(500, json!({}))).await;
    let client = provider.client(&ProviderLimits { provider_breaker_open_ms: 1, ..limits() });
    let before = until_not_asked(&client).await;
    provider.is_now(Mood::Silent);
    while provider.asked().len() == before {
        // An undo takes the job over while its call is the probe.
        let probe = tokio::spawn({
            let client = client.clone();
            async move { client.retrieve(&id()).await }
        });
        while provider.asked().len() == before && !probe.is_finished() {
            tokio::task::yield_now().await;
        }
        probe.abort();
    }
    provider.is_now(Mood::Says(200, succeeded()));
    let answered = async { while client.retrieve(&id()).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(10), answered).await.expect("it is asked again");
}

#[tokio::test]
async fn calls_at_once_are_limited_and_waiting_for_a_turn_is_too() {
    let permits = Arc::new(Semaphore::new(0));
    let provider = Fake::start(Mood::When(Arc::clone(&permits), 200, succeeded())).await;
    let limits = ProviderLimits { provider_calls_at_once: 2, provider_turn_ms: 50, ..for_ever() };
    let client = provider.client(&limits);
    let mut calls = JoinSet::new();
    for _ in 0..6 {
        let client = client.clone();
        calls.spawn(async move { client.retrieve(&id()).await });
    }
    for _ in 0..4 {
        let turned_away = held(calls.join_next().await.expect("a call").expect("no panic")).expect("no turn");
        assert!(turned_away.why.contains("places"), "{turned_away:?}");
    }
    assert_eq!(provider.asked().len(), 2);
    permits.add_permits(2);
    for _ in 0..2 {
        assert_eq!(calls.join_next().await.expect("a call").expect("no panic"), Ok(IntentState::Succeeded));
    }
    assert_eq!(client.trouble(), None, "being busy tells nothing against the provider");
}
