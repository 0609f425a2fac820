//! Messages nobody can handle: they are set aside, and their neighbours flow.

use crate::world::{LIMIT, MUG, Outcome, World, order};
use lapin::protocol::basic::AMQPProperties;
use saga_common::testkit::{Wire, properties};
use sagactl::audit::ExpectedParked;
use sagactl::client::{OrderStatus, ParkedMessage, Service};
use sagactl::stack::{Servers, eventually, session};
use std::process::Stdio;
use std::time::Duration;
use uuid::Uuid;

#[tokio::test]
async fn malformed_oversized_and_unknown_messages_are_parked_and_their_neighbours_flow() -> Outcome {
    let world = World::start().await?;
    let wire = Wire::connect(world.stack.amqp_url()).await?;
    let saga = Uuid::now_v7();
    let v4 = Uuid::from_u128(0x1234_5678_1234_4234_8234_1234_5678_1234);
    let huge = format!("{{\"pad\":\"{}\"}}", "x".repeat(1_200_000));
    let poison: Vec<(&str, AMQPProperties, &[u8])> = vec![
        ("malformed", properties("order.placed.v1", saga.into()), b"{"),
        ("oversized", properties("order.placed.v1", saga.into()), huge.as_bytes()),
        ("unknown", properties("order.placed.v9", saga.into()), b"{}"),
        ("expired", properties("order.placed.v1", v4.into()), b"{}"),
        ("no correlation id", AMQPProperties::default().with_type("order.placed.v1".into()), b"{}"),
        (
            "malformed",
            properties("order.placed.v1", saga.into()).with_content_type("application/cloudevents-batch+json".into()),
            b"{}",
        ),
    ];
    for (_, properties, body) in &poison {
        assert!(wire.send("", "inventory.events", properties.clone(), body).await?);
    }
    let id = world.place(&order("anna", MUG, 1, "wallet")).await?.id;
    world.ends(id, OrderStatus::Confirmed).await?;
    world.client.wait_closed(id, LIMIT).await?;
    let parked = all_parked(&world, poison.len()).await?;
    for (words, _, _) in &poison {
        assert!(parked.iter().any(|p| reason(p).contains(words)), "`{words}` is a reason in {parked:?}");
    }
    for message in &parked {
        let redriven = world.client.redrive(Service::Inventory, message.message_id).await;
        let hopeless = ["expired", "correlation", "bundle"].iter().any(|word| reason(message).contains(word));
        assert_eq!(redriven.is_err(), hopeless, "{message:?}");
    }
    all_parked(&world, poison.len()).await?;
    world.assert_consistent_with(ExpectedParked::Count(poison.len())).await
}

fn reason(message: &ParkedMessage) -> &str {
    message.reason.as_deref().unwrap_or_default()
}

async fn all_parked(world: &World, count: usize) -> crate::world::Fallible<Vec<ParkedMessage>> {
    eventually("the parked messages", || async {
        let parked = world.client.parked(Service::Inventory, 100).await?;
        Ok((parked.len() == count).then_some(parked))
    })
    .await
}

#[tokio::test]
async fn a_message_that_kills_the_process_ends_parked_and_its_neighbours_flow() -> Outcome {
    let servers = Servers::shared().await?;
    let name = format!("fragile{:08x}", rand::random::<u32>());
    let database = servers.create_database(&name).await?;
    let amqp = servers.create_vhost(&name).await?;
    let port = servers.take_port()?;
    let start = || {
        tokio::process::Command::new(env!("CARGO_BIN_EXE_fragile-svc"))
            .env("DATABASE_URL", &database)
            .env("AMQP_URL", &amqp)
            .env("LISTEN", format!("127.0.0.1:{port}"))
            .env("AUTH", "off")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    };
    let url = format!("http://127.0.0.1:{port}");
    let ready = || async { Ok(reqwest::get(format!("{url}/readyz")).await?.status().is_success().then_some(())) };
    let mut service = start()?;
    eventually("the service", ready).await?;

    let wire = Wire::connect(&amqp).await?;
    let killer = Uuid::now_v7();
    for n in 0..20 {
        let saga = if n == 10 { killer } else { Uuid::now_v7() };
        let body = if n == 10 { r#"{"word":"die"}"# } else { r#"{"word":"hello"}"# };
        let told = properties("test.told.v1", saga.into());
        assert!(wire.send("saga.events", "test.told", told, body.as_bytes()).await?);
    }
    // What ends is started again, as any supervisor would, until it stays.
    let mut ends = 0;
    loop {
        tokio::select! {
            ended = service.wait() => {
                assert!(!ended?.success());
                ends += 1;
                assert!(ends < 10, "it is parked after a bounded number of attempts");
                service = start()?;
            }
            parked = parked_sagas(&url) => {
                assert_eq!(parked?, [killer]);
                break;
            }
        }
    }
    assert!(ends >= 3, "it was tried: {ends}");
    let database = session(&database).await?;
    eventually("the neighbours", || async {
        let marks: i64 = database.query_one("select count(*) from marks", &[]).await?.get(0);
        Ok((marks == 19).then_some(()))
    })
    .await?;
    service.kill().await?;
    Ok(())
}

/// Waits for a parked message.
async fn parked_sagas(url: &str) -> crate::world::Fallible<Vec<Uuid>> {
    eventually("a parked message", || async {
        let list: serde_json::Value = reqwest::Client::new()
            .get(format!("{url}/parked"))
            .timeout(Duration::from_secs(2))
            .send()
            .await?
            .json()
            .await?;
        let sagas: Vec<Uuid> = list["parked"]
            .as_array()
            .map(|all| all.iter().filter_map(|p| p["saga_id"].as_str()?.parse().ok()).collect())
            .unwrap_or_default();
        Ok((!sagas.is_empty()).then_some(sagas))
    })
    .await
}
