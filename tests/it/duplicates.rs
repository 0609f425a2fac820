//! Every message three times over changes nothing.

use crate::world::{Fallible, LIMIT, MUG, Outcome, POOR, TEA, TEAPOT, World, order, order_of};
use saga_common::testkit::{Seen, Wire};
use sagactl::client::{OrderStatus, Service};
use sagactl::stack::{Program, StackOptions, eventually};

const SERVICES: [Service; 4] = [Service::Order, Service::Inventory, Service::Payment, Service::Notification];

#[tokio::test]
async fn every_message_three_times_also_inside_one_batch_changes_nothing() -> Outcome {
    let world = World::with(StackOptions::unique().env_all("TAP", true)).await?;
    let anna = world.place(&order_of("anna", &[(TEA, 1), (MUG, 2)], "wallet")).await?.id;
    let card = world.place(&order("berta", MUG, 1, "pm_card_visa")).await?.id;
    world.ends(anna, OrderStatus::Confirmed).await?;
    world.ends(card, OrderStatus::Confirmed).await?;
    for refused in [order(POOR, MUG, 1, "wallet"), order("anna", TEAPOT, 1, "wallet")] {
        let id = world.place(&refused).await?.id;
        world.ends(id, OrderStatus::Cancelled).await?;
    }
    world.assert_consistent().await?;
    let before = snapshot(&world).await?;

    let wire = Wire::connect(world.stack.amqp_url()).await?;
    let said = wire.take_all("saga.tap").await?;
    assert!(said.len() >= 2 * 5 + 2 * 5, "the tap has what was said: {}", said.len());
    // While nobody runs, the copies pile up and come as one batch.
    for service in SERVICES {
        world.stack.pause(service)?;
    }
    for message in &said {
        for _ in 0..3 {
            let Seen { exchange, routing_key, properties, body, .. } = message;
            assert!(wire.send(exchange, routing_key, properties.clone(), body).await?, "{message:?} is not taken");
        }
    }
    for service in SERVICES {
        world.stack.resume(service)?;
    }
    settled(&world).await?;
    assert_eq!(snapshot(&world).await?, before);
    world.assert_consistent().await
}

/// Waits until the queues are empty, then lets every service drain, so that nothing is held in memory either.
async fn settled(world: &World) -> Outcome {
    let (management, vhost) = (world.stack.servers().management(), world.stack.vhost());
    eventually("empty queues", || async {
        let queues = management.queues(&vhost).await?;
        Ok(queues.iter().filter(|q| q.name != "saga.tap").all(|q| q.messages == 0).then_some(()))
    })
    .await?;
    for service in SERVICES {
        assert!(world.stack.terminate(service).await?.success());
    }
    for service in SERVICES {
        world.stack.start(Program::from(service)).await?;
    }
    Ok(())
}

/// Every verdict, business row and balance.
async fn snapshot(world: &World) -> Fallible<Vec<String>> {
    let business: [(Service, &[&str]); 4] = [
        (Service::Order, &["orders", "order_lines"]),
        (Service::Inventory, &["stock", "reservations", "stock_movements"]),
        (Service::Payment, &["wallets", "wallet_movements", "payments"]),
        (Service::Notification, &["notifications"]),
    ];
    let mut rows = Vec::new();
    for (service, tables) in business {
        let database = world.database(service).await?;
        let guards = "select saga_id || ' ' || step || ' ' || verdict || ' ' || coalesce(said_id::text, '') from saga.idempotency_keys";
        let queries = tables.iter().map(|table| format!("select t::text from {table} t"));
        for query in queries.chain([guards.to_owned()]) {
            for row in database.query(&format!("{query} order by 1"), &[]).await? {
                rows.push(row.get(0));
            }
        }
    }
    Ok(rows)
}

#[tokio::test]
async fn another_body_under_a_handled_key_is_parked_not_taken_for_a_duplicate() -> Outcome {
    let world = World::with(StackOptions::unique().env_all("TAP", true)).await?;
    let id = world.place(&order("anna", MUG, 1, "wallet")).await?.id;
    world.ends(id, OrderStatus::Confirmed).await?;
    world.client.wait_closed(id, LIMIT).await?;
    let wire = Wire::connect(world.stack.amqp_url()).await?;
    let said = wire.take_all("saga.tap").await?;
    let placed = said.iter().find(|m| m.event_type == "order.placed.v1").ok_or("order.placed is in the tap")?;
    let forged = String::from_utf8(placed.body.clone())?.replace("\"quantity\":1", "\"quantity\":9");
    let Seen { exchange, routing_key, properties, .. } = placed;
    assert!(wire.send(exchange, routing_key, properties.clone(), forged.as_bytes()).await?);
    let parked =
        eventually("the conflict", || async { Ok(world.client.parked(Service::Inventory, 10).await?.pop()) }).await?;
    assert!(parked.reason.as_deref().is_some_and(|reason| reason.contains("conflict")), "{parked:?}");
    assert_eq!(world.client.stock(MUG).await?.sold, 1);
    world.assert_consistent_with(sagactl::audit::ExpectedParked::Messages(vec![parked.message_id])).await
}
