//! `kill -9` of everything in the middle of 500 orders: all end, the audit is clean, nothing is parked.

use crate::world::{COFFEE, Fallible, MUG, Outcome, POOR, TEA, TEAPOT, World, order};
use futures::stream::{self, StreamExt};
use sagactl::client::{NewOrder, Service};
use sagactl::stack::{Program, StackOptions};
use std::future::Future;
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

const ORDERS: usize = 500;
const AT_ONCE: usize = 16;

fn patient() -> StackOptions {
    StackOptions::unique().env(Service::Order, "DEADLINE_MS", 60_000)
}

fn mixed(n: usize) -> NewOrder {
    let customer = format!("crowd-{n}");
    match n % 20 {
        0 => order(POOR, MUG, 1, "wallet"),
        1 => order(&customer, TEAPOT, 1, "wallet"),
        2 => order(&customer, TEA, 2, "pm_card_chargeDeclined"),
        3..=5 => order(&customer, TEA, 1, "pm_card_visa"),
        n if n % 2 == 0 => order(&customer, COFFEE, 2, "wallet"),
        _ => order(&customer, MUG, 1, "wallet"),
    }
}

impl World {
    /// Places [`ORDERS`] orders, does the `mishap` when a third of them are placed, and waits until all are terminal.
    /// A request whose answer got lost is sent again under its key, as any careful client would.
    async fn survive<Fut: Future<Output = Outcome>>(&self, mishap: impl FnOnce() -> Fut) -> Outcome {
        let (placed, mut count) = watch::channel(0);
        let placing = stream::iter(0..ORDERS).map(|n| self.place_surely(n, &placed)).buffer_unordered(AT_ONCE);
        let place_all = placing.collect::<Vec<Fallible<Uuid>>>();
        let trouble = async {
            count.wait_for(|placed| *placed >= ORDERS / 3).await?;
            mishap().await
        };
        let (ids, trouble) = tokio::join!(place_all, trouble);
        trouble?;
        for id in ids {
            self.client.wait_terminal(id?, Duration::from_secs(120)).await?;
        }
        self.assert_consistent().await
    }

    async fn place_surely(&self, n: usize, placed: &watch::Sender<usize>) -> Fallible<Uuid> {
        let (wanted, key) = (mixed(n), format!("order-{n}"));
        let id = sagactl::stack::eventually("placing an order", || async {
            match self.client.place_order(&wanted, Some(&key), None).await {
                Ok(placed) => Ok(Some(placed.order.id)),
                Err(error) if error.is_transient() || error.status() == Some(409) => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
        .await?;
        placed.send_modify(|placed| *placed += 1);
        Ok(id)
    }

    async fn kill_and_start(&self, program: impl Into<Program>) -> Outcome {
        let program = program.into();
        self.stack.kill9(program).await?;
        self.stack.start(program).await?;
        Ok(())
    }
}

#[tokio::test]
async fn order_svc_killed_amid_500_orders_loses_none() -> Outcome {
    let world = World::with(patient()).await?;
    world.survive(|| world.kill_and_start(Service::Order)).await
}

#[tokio::test]
async fn inventory_svc_killed_amid_500_orders_loses_none() -> Outcome {
    let world = World::with(patient()).await?;
    world.survive(|| world.kill_and_start(Service::Inventory)).await
}

#[tokio::test]
async fn payment_svc_killed_amid_500_orders_loses_none() -> Outcome {
    let world = World::with(patient()).await?;
    world.survive(|| world.kill_and_start(Service::Payment)).await
}

#[tokio::test]
async fn notification_svc_killed_amid_500_orders_loses_none() -> Outcome {
    let world = World::with(patient()).await?;
    world.survive(|| world.kill_and_start(Service::Notification)).await
}

#[tokio::test]
async fn the_provider_killed_amid_500_orders_charges_nobody_twice() -> Outcome {
    let world = World::with(patient()).await?;
    world.survive(|| world.kill_and_start(Program::SandboxProvider)).await
}

#[tokio::test]
async fn the_broker_killed_amid_500_orders_loses_none() -> Outcome {
    let world = World::alone(patient()).await?;
    world
        .survive(|| async {
            world.stack.servers().kill_broker().await?;
            world.stack.servers().start_broker().await?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn postgresql_killed_amid_500_orders_loses_none() -> Outcome {
    let world = World::alone(patient()).await?;
    world
        .survive(|| async {
            world.stack.servers().kill_postgres().await?;
            world.stack.servers().start_postgres().await?;
            Ok(())
        })
        .await
}
