//! Success.

use crate::world::{LIMIT, MUG, Outcome, TEA, World, order, order_of};
use sagactl::client::{OrderStatus, Service};
use sagactl::stack::eventually;

#[tokio::test]
async fn a_wallet_order_is_confirmed_closed_paid_and_announced() -> Outcome {
    let world = World::start().await?;
    let placed = world.client.place_order(&order_of("anna", &[(TEA, 2), (MUG, 1)], "wallet"), None, None).await?;
    assert_eq!(placed.status, 202);
    assert_eq!(placed.location, Some(format!("/orders/{}", placed.order.id)));
    let id = placed.order.id;
    world.ends(id, OrderStatus::Confirmed).await?;
    let closed = world.client.wait_closed(id, LIMIT).await?;
    assert_eq!(closed.amount_minor, 2 * 1_290 + 1_800);
    assert_eq!(world.client.wallet("anna").await?.balance_minor, 100_000 - closed.amount_minor);
    assert_eq!(world.client.stock(TEA).await?.sold, 2);
    world.assert_consistent().await?;
    assert_eq!(world.client.notifications(id).await?.len(), 1);
    // On a machine that is very busy one of them may take longer than the two seconds that it is waited for.
    let timeline = eventually("every service tells its part", || async {
        Ok(Some(world.client.timeline(id).await?).filter(|timeline| timeline.silent.is_empty()))
    })
    .await?;
    let steps: Vec<&str> = timeline.entries.iter().map(|entry| entry.step.as_str()).collect();
    for step in ["place-order", "reserve-stock", "charge-payment", "confirm-order", "commit-stock", "close-order"] {
        assert!(steps.contains(&step), "{step} is in {steps:?}");
    }
    Ok(())
}

#[tokio::test]
async fn whoever_prefers_to_wait_gets_the_order_when_it_is_terminal() -> Outcome {
    let world = World::start().await?;
    let placed = world.client.place_order(&order("anna", MUG, 1, "wallet"), None, Some(30)).await?;
    assert_eq!((placed.status, placed.order.status), (200, OrderStatus::Confirmed));
    world.assert_consistent().await
}

#[tokio::test]
async fn a_card_is_charged_once_at_the_provider() -> Outcome {
    let world = World::start().await?;
    let id = world.place(&order("anna", MUG, 1, "pm_card_visa")).await?.id;
    world.ends(id, OrderStatus::Confirmed).await?;
    let payment = world.client.payment(id).await?;
    assert_eq!((payment.status.as_str(), payment.amount_minor), ("charged", 1_800));
    assert!(payment.provider_reference.is_some());
    world.assert_consistent().await
}

#[tokio::test]
async fn orders_are_confirmed_while_nobody_listens_and_the_notes_follow() -> Outcome {
    let world = World::start().await?;
    assert!(world.stack.terminate(Service::Notification).await?.success());
    let id = world.place(&order("anna", MUG, 1, "wallet")).await?.id;
    world.ends(id, OrderStatus::Confirmed).await?;
    world.client.wait_closed(id, LIMIT).await?;
    world.stack.start(Service::Notification).await?;
    sagactl::stack::eventually("the note", || async {
        Ok((world.client.notifications(id).await?.len() == 1).then_some(()))
    })
    .await?;
    world.assert_consistent().await
}

#[tokio::test]
async fn the_stream_of_an_orders_events_ends_when_nothing_more_will_happen() -> Outcome {
    let world = World::start().await?;
    let id = world.place(&order("anna", MUG, 1, "wallet")).await?.id;
    let url = format!("{}/orders/{id}/events", world.stack.url(Service::Order)?);
    // Read to its end: a stream that stayed open would run into the limit.
    let stream = world.stack.http().get(url).timeout(LIMIT).send().await?.text().await?;
    let names: Vec<&str> = stream.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(names.iter().filter(|name| **name == "closed").count(), 1, "{names:?}");
    assert_eq!(names.last(), Some(&"closed"));
    world.assert_consistent().await
}
