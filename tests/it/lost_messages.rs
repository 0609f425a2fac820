//! Messages that are lost with their queue: whoever is needed is asked again.

use crate::world::{LIMIT, MUG, Outcome, POOR, World, order};
use saga_common::testkit::{Wire, properties};
use sagactl::client::{OrderStatus, Service};
use sagactl::stack::{StackOptions, eventually};

#[tokio::test]
async fn a_hundred_orders_fail_while_inventorys_queue_is_deleted_and_all_are_undone() -> Outcome {
    let world = World::with(StackOptions::unique().env(Service::Order, "DEADLINE_MS", 120_000)).await?;
    world.stack.pause(Service::Payment)?;
    let orders: Vec<_> = (0..100)
        .map(|n| if n % 2 == 0 { order(POOR, MUG, 1, "wallet") } else { order(&format!("c-{n}"), MUG, 1, "wallet") })
        .collect();
    let ids = world.place_all(&orders).await?;
    eventually("the reservations", || async { Ok((world.client.stock(MUG).await?.reserved == 100).then_some(())) })
        .await?;
    world.stack.pause(Service::Inventory)?;
    let (management, vhost) = (world.stack.servers().management(), world.stack.vhost());
    management.delete_queue(&vhost, "inventory.failures").await?;
    for id in ids.iter().skip(1).step_by(2) {
        world.client.cancel(*id).await?;
    }
    world.stack.resume(Service::Payment)?;
    eventually("the failures", || async {
        let mut failing = 0;
        for id in &ids {
            failing += usize::from(world.client.order(*id).await?.status == OrderStatus::Cancelling);
        }
        Ok((failing == 100).then_some(()))
    })
    .await?;
    world.stack.resume(Service::Inventory)?;
    for id in ids {
        world.ends(id, OrderStatus::Cancelled).await?;
    }
    world.assert_consistent().await?;
    assert_eq!(world.client.stock(MUG).await?.reserved, 0);
    Ok(())
}

#[tokio::test]
async fn a_confirmation_that_inventory_never_got_is_announced_again() -> Outcome {
    let world = World::start().await?;
    world.stack.pause(Service::Payment)?;
    let id = world.place(&order("anna", MUG, 1, "wallet")).await?.id;
    eventually("the reservation", || async { Ok((world.client.stock(MUG).await?.reserved == 1).then_some(())) })
        .await?;
    assert!(world.stack.terminate(Service::Inventory).await?.success());
    world.stack.resume(Service::Payment)?;
    world.ends(id, OrderStatus::Confirmed).await?;
    let wire = Wire::connect(world.stack.amqp_url()).await?;
    eventually("order.confirmed", || async { Ok((wire.purge("inventory.events").await? > 0).then_some(())) }).await?;
    world.stack.start(Service::Inventory).await?;
    world.client.wait_closed(id, LIMIT).await?;
    world.assert_consistent().await
}

#[tokio::test]
async fn a_success_lost_before_the_pivot_is_healed_by_the_deadline() -> Outcome {
    let world = World::with(StackOptions::unique().env(Service::Order, "DEADLINE_MS", 2_000)).await?;
    assert!(world.stack.terminate(Service::Payment).await?.success());
    let id = world.place(&order("anna", MUG, 1, "wallet")).await?.id;
    let wire = Wire::connect(world.stack.amqp_url()).await?;
    eventually("stock.reserved", || async { Ok((wire.purge("payment.events").await? > 0).then_some(())) }).await?;
    world.stack.start(Service::Payment).await?;
    world.ends(id, OrderStatus::Cancelled).await?;
    world.assert_consistent().await
}

#[tokio::test]
async fn a_failure_of_unknown_type_and_unreadable_body_still_undoes() -> Outcome {
    let world = World::start().await?;
    world.stack.pause(Service::Payment)?;
    let id = world.place(&order("anna", MUG, 1, "wallet")).await?.id;
    eventually("the reservation", || async { Ok((world.client.stock(MUG).await?.reserved == 1).then_some(())) })
        .await?;
    let wire = Wire::connect(world.stack.amqp_url()).await?;
    assert!(wire.send("saga.failures", "", properties("something.odd.v7", id.into()), b"\xff not json").await?);
    world.stack.resume(Service::Payment)?;
    world.ends(id, OrderStatus::Cancelled).await?;
    world.assert_consistent().await
}
