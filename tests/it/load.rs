//! `sagactl load`: what its figures promise.

use crate::world::{Outcome, World};
use sagactl::audit::AuditConfig;
use sagactl::client::Service;
use sagactl::load::{self, LoadError, Pace, Settings};
use std::time::Duration;
use tokio::sync::Notify;

fn settings(pace: Pace, seconds: u64) -> Settings {
    Settings {
        pace,
        mix: "skus=20,out-of-stock=5,cancels=5,card=5,keys=50".parse().unwrap_or_default(),
        seed: 1,
        warm_up: Duration::from_millis(500),
        duration: Duration::from_secs(seconds),
        rounds: 1,
        beside: None,
        command: String::new(),
        warnings: Vec::new(),
    }
}

fn audit(world: &World) -> AuditConfig {
    AuditConfig { amqp_url: Some(world.stack.amqp_url().to_owned()), ..world.stack.audit_config() }
}

#[tokio::test]
async fn a_load_gives_figures_only_if_the_audit_is_clean() -> Outcome {
    let world = World::start().await?;
    let (record, settings) = (world.stack.record().await, settings(Pace::InFlight(8), 2));
    let report = load::run(&record, &audit(&world), &settings, |line| eprintln!("{line}")).await?;
    let figures = &report.rounds[0].figures;
    assert!(report.measure.rate > 0.0 && figures.ended > 0, "{figures:?}");
    assert_eq!(report.rounds[0].failed, 0, "{:?}", report.rounds[0].first_failure);
    assert!(figures.http.p50_ms < figures.terminal.p50_ms, "an answer comes before the end: {figures:?}");
    assert!(figures.terminal.mean_ms < figures.closed.mean_ms, "closing comes after the end: {figures:?}");
    assert!(figures.in_flight > 4.0 && figures.in_flight < 12.0, "eight were to be in flight: {}", figures.in_flight);
    let cost = report.measure.cpu_s_per_1000.unwrap_or_default();
    assert!(cost > 0.0, "the servers are on this machine: {:?}", report.rounds[0].cpu_s_per_1000);

    let inventory = world.database(Service::Inventory).await?;
    inventory.execute("update stock set available = available + 1 where sku = 'LOAD-00000'", &[]).await?;
    match load::run(&record, &audit(&world), &settings, |line| eprintln!("{line}")).await {
        Err(LoadError::NotClean(found)) => assert!(found.failed().count() > 0),
        other => return Err(format!("somebody gave away an article, and the load says {other:?}").into()),
    }
    Ok(())
}

/// Coordinated omission: a client that waits for answers would place almost nothing while the service stands still, and find that
/// almost all orders were fast.
#[tokio::test]
async fn orders_that_should_have_been_placed_while_the_service_stood_still_count_as_slow() -> Outcome {
    const STANDS_STILL: Duration = Duration::from_millis(1_500);
    let world = World::start().await?;
    let (record, settings) = (world.stack.record().await, settings(Pace::Rate(10.0), 4));
    let audit = audit(&world);
    let begun = Notify::new();
    let say = |line: &str| {
        if line.starts_with("Round") {
            begun.notify_one();
        }
    };
    let stand_still = async {
        begun.notified().await;
        // Into the window, which is four seconds long.
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.stack.pause(Service::Order)?;
        tokio::time::sleep(STANDS_STILL).await;
        world.stack.resume(Service::Order)
    };
    let (report, stood_still) = tokio::join!(load::run(&record, &audit, &settings, say), stand_still);
    stood_still?;
    let figures = &report?.rounds[0].figures;
    assert!((39..=41).contains(&figures.terminal.count), "10 a second for 4 s were meant: {figures:?}");
    assert!(figures.terminal.p90_ms > 500.0, "{figures:?}");
    Ok(())
}
