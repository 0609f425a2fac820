//! Two of every service: no deadlock, and one truth.

use crate::world::{COFFEE, LIMIT, MUG, Outcome, POOR, TEA, World, order, order_of};
use futures::stream::{self, StreamExt};
use sagactl::client::{OrderStatus, Service};
use sagactl::stack::StackOptions;

fn two_of_each() -> StackOptions {
    [Service::Order, Service::Inventory, Service::Payment, Service::Notification]
        .into_iter()
        .fold(StackOptions::unique(), |options, service| options.replicas(service, 2))
        .env(Service::Order, "DEADLINE_MS", 120_000)
}

#[tokio::test]
async fn orders_that_share_articles_in_opposite_order_never_deadlock() -> Outcome {
    let world = World::with(two_of_each()).await?;
    let orders: Vec<_> = (0..240)
        .map(|n| {
            let customer = if n % 10 == 0 { POOR.to_owned() } else { format!("share-{}", n % 7) };
            let items = if n % 2 == 0 { [(TEA, 1), (MUG, 1), (COFFEE, 1)] } else { [(COFFEE, 1), (MUG, 1), (TEA, 1)] };
            order_of(&customer, &items, "wallet")
        })
        .collect();
    let placing = stream::iter(&orders).map(|o| world.client.place_order(o, None, None)).buffer_unordered(48);
    let mut ids = Vec::new();
    for placed in placing.collect::<Vec<_>>().await {
        ids.push(placed?.order.id);
    }
    for id in &ids {
        world.client.wait_terminal(*id, LIMIT).await?;
    }
    world.assert_consistent().await?;
    for service in [Service::Order, Service::Inventory, Service::Payment, Service::Notification] {
        let database = world.database(service).await?;
        let deadlocks: i64 = database
            .query_one("select deadlocks from pg_stat_database where datname = current_database()", &[])
            .await?
            .get(0);
        assert_eq!(deadlocks, 0, "in {service:?}'s database");
    }
    Ok(())
}

#[tokio::test]
async fn both_answers_of_a_cancellation_at_two_replicas_cancel_the_order_once() -> Outcome {
    let world = World::with(two_of_each()).await?;
    // Answers pile up while nobody collects them, and are handed to both replicas at once.
    let orders: Vec<_> = (0..60).map(|_| order(POOR, MUG, 1, "wallet")).collect();
    let ids = world.place_all(&orders).await?;
    for replica in 0..2 {
        world.stack.pause((Service::Order, replica))?;
    }
    sagactl::stack::eventually("the answers", || async {
        let reserved = world.client.stock(MUG).await?.reserved;
        Ok((reserved == 0).then_some(()))
    })
    .await?;
    for replica in 0..2 {
        world.stack.resume((Service::Order, replica))?;
    }
    for id in &ids {
        world.ends(*id, OrderStatus::Cancelled).await?;
    }
    world.assert_consistent().await?;
    for id in ids {
        assert_eq!(world.client.notifications(id).await?.len(), 1, "said once");
    }
    Ok(())
}
