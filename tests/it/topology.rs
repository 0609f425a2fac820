//! What is on the broker is what was declared, nothing less and nothing more; what goes missing comes back, and what is different shows.

use crate::world::{MUG, Outcome, World, order};
use lapin::options::{ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use saga_common::testkit::Wire;
use saga_common::topology::{Argument, Declaration, QueueType, Topology};
use sagactl::client::{OrderStatus, Service};
use sagactl::stack::{StackOptions, eventually};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that the services declare, in words.
fn declared(maps: &[saga_common::Choreography], tap: bool) -> BTreeSet<String> {
    let topologies = maps.iter().map(|map| Topology::of(map, QueueType::Quorum, tap));
    topologies.flat_map(|topology| topology.declarations()).map(|declaration| in_words(&declaration)).collect()
}

fn in_words(declaration: &Declaration) -> String {
    match declaration {
        Declaration::Exchange { name, fanout } => {
            format!("{} exchange {name}", if *fanout { "fanout" } else { "direct" })
        }
        Declaration::Queue { name, arguments } => {
            let value = |argument: &Argument| match argument {
                Argument::Text(text) => Value::from(text.as_str()),
                Argument::Number(number) => Value::from(*number),
            };
            let arguments: BTreeMap<_, _> =
                arguments.iter().map(|(name, it)| ((*name).to_owned(), value(it))).collect();
            format!("queue {name} {arguments:?}")
        }
        Declaration::Binding { queue, exchange, key } => format!("{queue} hears `{key}` of {exchange}"),
    }
}

/// What the management API shows, in the same words.
async fn live(world: &World) -> Result<BTreeSet<String>, Box<dyn std::error::Error>> {
    let (management, vhost) = (world.stack.servers().management(), world.stack.vhost());
    let mut live = BTreeSet::new();
    // The broker has some of its own, which nobody declares.
    for exchange in
        management.exchanges(&vhost).await?.iter().filter(|it| !it.name.is_empty() && !it.name.starts_with("amq."))
    {
        assert!(exchange.durable, "{exchange:?}");
        live.insert(format!("{} exchange {}", exchange.kind, exchange.name));
    }
    for queue in management.queues(&vhost).await? {
        assert!(queue.durable, "{queue:?}");
        live.insert(format!("queue {} {:?}", queue.name, queue.arguments));
    }
    for binding in management.bindings(&vhost).await?.iter().filter(|it| !it.source.is_empty()) {
        live.insert(format!("{} hears `{}` of {}", binding.destination, binding.routing_key, binding.source));
    }
    Ok(live)
}

async fn maps(world: &World) -> Result<Vec<saga_common::Choreography>, Box<dyn std::error::Error>> {
    let mut maps = Vec::new();
    for service in Service::ALL {
        maps.push(world.client.choreography(service).await?);
    }
    Ok(maps)
}

#[tokio::test]
async fn the_broker_has_what_was_declared_nothing_less_and_nothing_more() -> Outcome {
    for tap in [false, true] {
        let world = World::with(StackOptions::unique().env_all("TAP", tap)).await?;
        let declared = declared(&maps(&world).await?, tap);
        // The API may be a moment behind.
        eventually("the topology", || async {
            let live = live(&world).await?;
            let missing: Vec<_> = declared.difference(&live).collect();
            let undeclared: Vec<_> = live.difference(&declared).collect();
            if missing.is_empty() && undeclared.is_empty() {
                return Ok(Some(()));
            }
            Err(format!("missing: {missing:#?}, undeclared: {undeclared:#?}").into())
        })
        .await?;
        if tap {
            world.ends(world.place(&order("anna", MUG, 1, "wallet")).await?.id, OrderStatus::Confirmed).await?;
            what_people_see_is_readable(&world).await?;
        }
        world.assert_consistent().await?;
    }
    Ok(())
}

/// Names of connections and consumers, and the properties of messages, as the management UI shows them.
async fn what_people_see_is_readable(world: &World) -> Outcome {
    let (management, vhost) = (world.stack.servers().management(), world.stack.vhost());
    eventually("names of connections and consumers", || async {
        let (connections, tags) = (management.connection_names(&vhost).await?, management.consumer_tags(&vhost).await?);
        let named = Service::ALL.iter().all(|service| {
            ["consumer@", "publisher@"]
                .iter()
                .all(|role| connections.iter().any(|it| it.starts_with(&format!("{}/{role}", service.name()))))
                && tags.iter().any(|it| it.starts_with(&format!("{}.events.", service.name())))
        });
        // Nobody is without a name.
        let nameless = connections.iter().chain(&tags).any(|it| !it.contains(['@', '.']));
        Ok((named && !nameless).then_some(()))
    })
    .await?;
    let messages = management.messages(&vhost, "saga.tap", 100).await?;
    let reserved =
        messages.iter().find(|it| it["properties"]["type"] == "stock.reserved.v1").ok_or("stock.reserved")?;
    let properties = &reserved["properties"];
    for property in ["message_id", "correlation_id", "timestamp"] {
        assert!(!properties[property].is_null(), "{property} is not in {reserved}");
    }
    assert_eq!((&properties["app_id"], &properties["content_type"]), (&"inventory".into(), &"application/json".into()));
    assert!(properties["headers"]["causation-id"].is_string() && reserved["payload"].is_string(), "{reserved}");
    Ok(())
}

/// What `/readyz` of a service answers.
async fn readyz(world: &World, service: Service) -> Result<(u16, String), Box<dyn std::error::Error>> {
    let answer = world.stack.http().get(format!("{}/readyz", world.stack.url(service)?)).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

#[tokio::test]
async fn exchanges_queues_and_bindings_that_go_missing_come_back() -> Outcome {
    let world = World::start().await?;
    let wire = Wire::connect(world.stack.amqp_url()).await?;
    let declared = declared(&maps(&world).await?, false);
    wire.delete_exchange("saga.failures").await?;
    wire.unbind("payment.events", "stock.reserved").await?;
    eventually("what is missing to come back", || async { Ok((live(&world).await? == declared).then_some(())) })
        .await?;
    // Whoever put it back says so.
    eventually("somebody to tell of it", || async {
        for service in [Service::Order, Service::Inventory, Service::Payment, Service::Notification] {
            let (status, text) = readyz(&world, service).await?;
            if status == 200 && text.contains("exchange saga.failures: missing on the broker, and declared again") {
                return Ok(Some(()));
            }
        }
        Ok(None)
    })
    .await?;
    wire.delete_queue("inventory.failures").await?;
    eventually("the queue to come back", || async {
        let ready = readyz(&world, Service::Inventory).await?.0 == 200;
        Ok((ready && live(&world).await? == declared).then_some(()))
    })
    .await?;
    world.ends(world.place(&order("anna", MUG, 1, "wallet")).await?.id, OrderStatus::Confirmed).await?;
    world.assert_consistent().await
}

#[tokio::test]
async fn a_queue_with_other_properties_makes_its_service_unready_until_it_is_mended() -> Outcome {
    let world = World::start().await?;
    // Somebody is faster than the service, and makes another queue of that name. It may take several tries.
    let wire = Wire::connect(world.stack.amqp_url()).await?;
    let connection = Connection::connect(world.stack.amqp_url(), ConnectionProperties::default()).await?;
    eventually("the wrong queue", || async {
        wire.delete_queue("payment.events").await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let classic = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let made = channel.queue_declare("payment.events".into(), classic, FieldTable::default()).await;
        Ok(made.is_ok().then_some(()))
    })
    .await?;
    eventually("payment-svc to be unready", || async {
        let (status, text) = readyz(&world, Service::Payment).await?;
        Ok((status == 503 && text.contains("payment.events exists with other properties")).then_some(()))
    })
    .await?;
    assert_eq!(readyz(&world, Service::Inventory).await?.0, 200, "it has its own queues");
    wire.delete_queue("payment.events").await?;
    eventually("payment-svc to be ready", || async {
        Ok((readyz(&world, Service::Payment).await?.0 == 200).then_some(()))
    })
    .await?;
    world.ends(world.place(&order("anna", MUG, 1, "wallet")).await?.id, OrderStatus::Confirmed).await?;
    world.assert_consistent().await
}
