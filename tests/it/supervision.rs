//! A supervised stack: services that are killed come back by themselves, and orders flow on.

use crate::world::{LIMIT, MUG, Outcome, World, order};
use sagactl::client::{OrderStatus, Service};
use sagactl::stack::StackOptions;

#[tokio::test]
async fn services_killed_amid_orders_come_back_by_themselves_and_every_order_ends() -> Outcome {
    let options = StackOptions::unique().supervise(true).env(Service::Order, "DEADLINE_MS", 60_000);
    let world = World::with(options).await?;
    let orders: Vec<_> = (0..30).map(|n| order(&format!("steady-{n}"), MUG, 1, "wallet")).collect();
    let mut ids = Vec::new();
    for (orders, service) in orders.chunks(10).zip([Service::Payment, Service::Inventory, Service::Order]) {
        ids.extend(world.place_all(orders).await?);
        world.stack.kill_supervised(service).await?;
        // Only the order service is needed to place the next.
        world.stack.ready(Service::Order).await?;
    }
    for id in ids {
        world.client.wait_terminal(id, LIMIT).await?;
    }
    for service in [Service::Payment, Service::Inventory, Service::Order] {
        assert_eq!(world.stack.restarts(service), 1, "{service}");
    }
    let id = world.place(&order("after", MUG, 1, "wallet")).await?.id;
    world.ends(id, OrderStatus::Confirmed).await?;
    assert!(world.stack.restart_log().iter().all(|it| it.ready_after_ms.is_some()), "{:?}", world.stack.restart_log());
    world.assert_consistent().await
}
