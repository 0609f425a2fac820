//! Cancellation by the customer and by the clock, on either side of the pivot.

use crate::world::{LIMIT, MUG, Outcome, World, order};
use sagactl::client::{OrderStatus, Service};
use sagactl::stack::{StackOptions, eventually};

#[tokio::test]
async fn a_customer_cancels_before_the_pivot_and_everything_is_undone() -> Outcome {
    let world = World::start().await?;
    // Paid neither now nor soon: the order stays on this side of the pivot.
    world.stack.pause(Service::Payment)?;
    let id = world.place(&order("anna", MUG, 1, "wallet")).await?.id;
    eventually("the reservation", || async { Ok((world.client.stock(MUG).await?.reserved == 1).then_some(())) })
        .await?;
    let cancelling = world.client.cancel(id).await?;
    assert_eq!(cancelling.status, OrderStatus::Cancelling);
    world.client.cancel(id).await?;
    world.stack.resume(Service::Payment)?;
    let ended = world.ends(id, OrderStatus::Cancelled).await?;
    assert_eq!(ended.reason.as_deref(), Some("cancelled by the customer"));
    world.client.cancel(id).await?;
    world.assert_consistent().await?;
    assert_eq!(world.client.wallet("anna").await?.balance_minor, 100_000);
    Ok(())
}

#[tokio::test]
async fn a_confirmed_order_cannot_be_cancelled() -> Outcome {
    let world = World::start().await?;
    let id = world.place(&order("anna", MUG, 1, "wallet")).await?.id;
    world.ends(id, OrderStatus::Confirmed).await?;
    let refused = world.client.cancel(id).await.expect_err("it is confirmed");
    assert_eq!(refused.status(), Some(409));
    world.client.wait_closed(id, LIMIT).await?;
    world.assert_consistent().await
}

#[tokio::test]
async fn cancelling_what_does_not_exist_is_not_found() -> Outcome {
    let world = World::start().await?;
    // Of today, of a day that no guard row is kept of, and of no day.
    let ids = [uuid::Uuid::now_v7(), uuid::Uuid::from_u128(0x7000_8000_0000_0000_0000), uuid::Uuid::nil()];
    for id in ids {
        let refused = world.client.cancel(id).await.expect_err("there is no such order");
        assert!(refused.is_not_found(), "{id}: {refused:?}");
    }
    world.assert_consistent().await
}

#[tokio::test]
async fn an_order_that_nobody_decides_is_cancelled_at_its_deadline() -> Outcome {
    let world = World::with(StackOptions::unique().env(Service::Order, "DEADLINE_MS", 1_000)).await?;
    world.stack.pause(Service::Payment)?;
    let id = world.place(&order("anna", MUG, 1, "wallet")).await?.id;
    eventually("the deadline", || async {
        Ok((world.client.order(id).await?.status == OrderStatus::Cancelling).then_some(()))
    })
    .await?;
    world.stack.resume(Service::Payment)?;
    let ended = world.ends(id, OrderStatus::Cancelled).await?;
    assert_eq!(ended.reason.as_deref(), Some("deadline passed"));
    world.assert_consistent().await
}

#[tokio::test]
async fn cancellations_that_race_with_confirmation_agree_with_it() -> Outcome {
    let world = World::start().await?;
    let mut ids = Vec::new();
    for n in 0..40 {
        let id = world.place(&order(&format!("racer-{n}"), MUG, 1, "wallet")).await?.id;
        // Sometimes at once, sometimes a little later: on either side of the pivot.
        for _ in 0..n % 8 {
            world.client.order(id).await?;
        }
        let accepted = world.client.cancel(id).await.is_ok();
        ids.push((id, accepted));
    }
    for (id, accepted) in ids {
        let wanted = if accepted { OrderStatus::Cancelled } else { OrderStatus::Confirmed };
        world.ends(id, wanted).await?;
    }
    world.assert_consistent().await
}
