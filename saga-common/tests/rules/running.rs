//! What whoever runs a participant relies on: readiness tells the truth, what was removed comes back, secrets stay secret.

use crate::proxy::{PURPOSES, Proxy};
use crate::shop::{Placed, Refused, effects, shop};
use crate::world::{Fallible, MIGRATOR, Outcome, World, eventually};
use saga_common::http::Problem;
use saga_common::{SagaId, Service, testkit};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Asks a participant something over HTTP: the whole answer.
async fn get(address: SocketAddr, path: &str) -> Fallible<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_tells_what_is_missing_and_is_regained_without_anything_to_do() -> Outcome {
    let world = World::new().await?;
    let proxy = Proxy::start(&world.amqp_url().await?).await?;
    let mut settings = testkit::settings(&world.database_url, &proxy.url)?;
    settings.queue_type = saga_common::topology::QueueType::Classic;
    let address = SocketAddr::from(([127, 0, 0, 1], world.servers.take_port()?));
    settings.listen = Some(address);
    let service = Service::prepare(shop(&Arc::default())?, settings, &MIGRATOR).await?;
    let serving = tokio::spawn(service.serve("", Default::default()));
    let answers = async |wanted: &str| {
        eventually(wanted, async || Ok(get(address, "/readyz").await?.contains(wanted).then_some(()))).await
    };
    answers("200 OK").await?;
    let metrics = get(address, "/metrics").await?;
    assert!(metrics.contains("saga_partition_days_ahead 14"), "also right after the start: {metrics}");
    let [consumer, publisher] = PURPOSES;
    for (purpose, why) in [(publisher, "no connection to publish on"), (consumer, "not subscribed to every queue")] {
        proxy.refuse(Some(purpose));
        answers(why).await?;
        assert!(get(address, "/readyz").await?.starts_with("HTTP/1.1 503"), "and it stays so");
        proxy.refuse(None);
        answers("200 OK").await?;
    }
    world.outage().await?;
    answers("the database does not answer").await?;
    world.back_again().await?;
    answers("200 OK").await?;
    assert!(!serving.is_finished());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn exchanges_and_bindings_that_somebody_removed_are_declared_again() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(shop(&Arc::default())?).await?;
    let replica = world.replica(shop(&Arc::default())?).await?;
    let wire = world.wire().await?;
    let saga = SagaId::new();
    wire.unbind("shop.events", "test.placed").await?;
    wire.delete_exchange("saga.failures").await?;
    assert!(!wire.publish("saga.events", saga, &Placed::order()).await?, "it is unbound");
    assert!(wire.publish("saga.failures", saga, &Refused {}).await.is_err(), "it is gone");

    // No subscription has failed: nothing but time brings them back.
    let routed = async |exchange: &str| match exchange {
        "saga.events" => wire.publish(exchange, saga, &Placed::order()).await,
        _ => wire.publish(exchange, saga, &Refused {}).await,
    };
    for (exchange, effect) in [("saga.events", "reserve"), ("saga.failures", "release")] {
        eventually(exchange, async || Ok(routed(exchange).await?.then_some(()))).await?;
        let seen = async || Ok(effects(&bench, saga).await?.contains(&effect.to_owned()).then_some(()));
        eventually(effect, seen).await?;
    }
    replica.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_somebody_deleted_is_declared_bound_and_consumed_again() -> Outcome {
    let world = World::new().await?;
    let bench = world.bench(shop(&Arc::default())?).await?;
    let replica = world.replica(shop(&Arc::default())?).await?;
    let wire = world.wire().await?;
    for queue in ["shop.events", "shop.failures", "shop.parked"] {
        wire.delete_queue(queue).await?;
    }
    let saga = SagaId::new();
    assert!(wire.put("nowhere.events", saga, &Placed::order()).await.is_err(), "nobody took it");
    let routed = async || Ok(wire.publish("saga.events", saga, &Placed::order()).await?.then_some(()));
    eventually("the queue is bound", routed).await?;
    eventually("it is consumed", async || Ok((effects(&bench, saga).await? == ["reserve"]).then_some(()))).await?;
    replica.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_takes_too_long_is_to_be_tried_again() -> Outcome {
    let world = World::new().await?;
    let mut reading = saga_common::db::reads(&world.database_url, 1)?.acquire().await?;
    sqlx::query("set statement_timeout = '10ms'").execute(&mut *reading).await?;
    let late = sqlx::query("select pg_sleep(60)").execute(&mut *reading).await.expect_err("it is ended");
    let problem = serde_json::to_value(Problem::from(late))?;
    assert_eq!(problem["status"], 503, "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("took too long")), "{problem}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_have_as_many_connections_as_the_setting_says() -> Outcome {
    let world = World::new().await?;
    let mut settings = world.settings().await?;
    settings.read_connections = 2;
    let service = Service::prepare(shop(&Arc::default())?, settings, &MIGRATOR).await?;
    assert_eq!(service.reads().options().get_max_connections(), 2);
    Ok(())
}

#[test]
fn settings_that_are_logged_show_no_password() -> Outcome {
    let settings = testkit::settings("postgres://shop:secret-one@db/shop", "amqp://shop:secret-two@broker/shop")?;
    assert!(!format!("{settings:?} {settings:#?}").contains("secret"));
    Ok(())
}
