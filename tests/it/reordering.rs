//! Undo and action in every order.

use crate::world::{MUG, Outcome, World, order};
use saga_common::testkit::Wire;
use sagactl::client::{OrderStatus, Service};
use sagactl::stack::{StackOptions, eventually};

#[tokio::test]
async fn an_action_after_its_undo_finds_the_fence() -> Outcome {
    let world = World::start().await?;
    assert!(world.stack.terminate(Service::Inventory).await?.success());
    let before = world.database(Service::Inventory).await?;
    let id = world.place(&order("anna", MUG, 1, "wallet")).await?.id;
    let wire = Wire::connect(world.stack.amqp_url()).await?;
    // The action is held back ...
    let held = eventually("order.placed", || async { Ok(wire.take_all("inventory.events").await?.pop()) }).await?;
    assert_eq!(held.saga_id, Some(id.into()));
    world.client.cancel(id).await?;
    world.stack.start(Service::Inventory).await?;
    // ... until its undo is done.
    world.ends(id, OrderStatus::Cancelled).await?;
    assert!(wire.send("", "inventory.events", held.properties, &held.body).await?);
    eventually("the late action's ack", || async {
        Ok(world
            .stack
            .servers()
            .management()
            .queues(&world.stack.vhost())
            .await?
            .iter()
            .all(|q| q.messages == 0)
            .then_some(()))
    })
    .await?;
    let story = world.client.saga(Service::Inventory, id).await?;
    assert!(story.steps.iter().any(|s| s.step == "reserve-stock" && s.verdict == "fenced"), "{story:?}");
    let reservations = before.query("select 1 from reservations where order_id = $1", &[&id]).await?;
    assert!(reservations.is_empty());
    world.assert_consistent().await
}

#[tokio::test]
async fn action_and_undo_at_once_at_two_replicas_leave_nothing_held() -> Outcome {
    let world =
        World::with(StackOptions::unique().replicas(Service::Inventory, 2).replicas(Service::Payment, 2)).await?;
    for replica in 0..2 {
        world.stack.pause((Service::Inventory, replica))?;
    }
    let orders: Vec<_> = (0..60).map(|n| order(&format!("both-{n}"), MUG, 1, "wallet")).collect();
    let ids = world.place_all(&orders).await?;
    for id in &ids {
        world.client.cancel(*id).await?;
    }
    for replica in 0..2 {
        world.stack.resume((Service::Inventory, replica))?;
    }
    for id in ids {
        world.ends(id, OrderStatus::Cancelled).await?;
    }
    world.assert_consistent().await?;
    let stock = world.client.stock(MUG).await?;
    assert_eq!((stock.reserved, stock.sold), (0, 0));
    Ok(())
}
