//! Charges that do not fit their order.

use crate::world::{MUG, Outcome, World, order};
use saga_common::testkit::{Wire, properties};
use sagactl::client::{OrderStatus, Service};
use sagactl::stack::{StackOptions, eventually};
use serde_json::json;
use uuid::Uuid;

async fn charge(wire: &Wire, order: Uuid, amount_minor: i64) -> Outcome {
    let body =
        json!({"order_id": order, "amount_minor": amount_minor, "currency": "EUR", "provider_reference": "pi_odd"});
    let properties = properties("payment.charged.v1", order.into());
    assert!(wire.send("saga.events", "payment.charged", properties, body.to_string().as_bytes()).await?);
    Ok(())
}

#[tokio::test]
async fn a_charge_of_another_amount_cancels_even_if_all_have_answered_before() -> Outcome {
    let world = World::start().await?;
    let wire = Wire::connect(world.stack.amqp_url()).await?;
    world.stack.pause(Service::Inventory)?;
    let id = world.place(&order("anna", MUG, 1, "wallet")).await?.id;
    // A failure that never reaches the owner of the saga.
    for queue in ["payment.failures", "inventory.failures"] {
        assert!(wire.send("", queue, properties("something.odd.v1", id.into()), b"{}").await?);
    }
    world.stack.resume(Service::Inventory)?;
    eventually("both answers", || async { Ok((world.client.order(id).await?.answers.given.len() == 2).then_some(())) })
        .await?;
    assert_eq!(world.client.order(id).await?.status, OrderStatus::Pending);
    charge(&wire, id, 1).await?;
    let ended = world.ends(id, OrderStatus::Cancelled).await?;
    assert_eq!(ended.reason.as_deref(), Some("charged amount differs from the order"));
    world.assert_consistent().await
}

#[tokio::test]
async fn charges_without_an_order_are_announced_until_all_have_answered_at_whatever_replica() -> Outcome {
    let world = World::with(StackOptions::unique().replicas(Service::Order, 2)).await?;
    let wire = Wire::connect(world.stack.amqp_url()).await?;
    for _ in 0..60 {
        charge(&wire, Uuid::now_v7(), 1).await?;
    }
    let database = world.database(Service::Order).await?;
    eventually("the refusals", || async {
        let refused =
            "select count(*) from saga.idempotency_keys where step = 'confirm-order' and verdict = 'rejected'";
        Ok((database.query_one(refused, &[]).await?.get::<_, i64>(0) == 60).then_some(()))
    })
    .await?;
    eventually("the end of the announcements", || async {
        let open = database.query_one("select count(*) from saga.announcements", &[]).await?;
        Ok((open.get::<_, i64>(0) == 0).then_some(()))
    })
    .await
}
