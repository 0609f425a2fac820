//! The same request once more.

use crate::world::{MUG, Outcome, TEA, World, order};
use futures::future::join_all;
use sagactl::client::OrderStatus;
use std::collections::BTreeSet;

#[tokio::test]
async fn the_same_key_fifty_times_at_once_makes_one_order() -> Outcome {
    let world = World::start().await?;
    let wanted = order("anna", MUG, 1, "wallet");
    let all = join_all((0..50).map(|_| world.client.place_order(&wanted, Some("key-1"), None))).await;
    let mut ids = BTreeSet::new();
    for placed in all {
        match placed {
            Ok(placed) => {
                assert_eq!(
                    (placed.status, placed.order.status),
                    (202, OrderStatus::Pending),
                    "the answer of the first"
                );
                ids.insert(placed.order.id);
            }
            Err(error) => assert_eq!(error.status(), Some(409), "{error}"),
        }
    }
    assert_eq!(ids.len(), 1, "one order, whoever asked");
    let later = world.client.place_order(&wanted, Some("key-1"), None).await?;
    assert!(ids.contains(&later.order.id), "and a later repetition is the same order");
    world.ends(later.order.id, OrderStatus::Confirmed).await?;
    let replayed = world.client.place_order(&wanted, Some("\"key-1\""), None).await?;
    assert_eq!(
        replayed.order.status,
        OrderStatus::Pending,
        "the stored answer is the 202 at commit, quoted key or bare"
    );
    world.assert_consistent().await
}

#[tokio::test]
async fn a_key_with_another_body_is_refused_and_another_customers_key_is_another_key() -> Outcome {
    let world = World::start().await?;
    let first = world.client.place_order(&order("anna", MUG, 1, "wallet"), Some("k"), None).await?.order.id;
    let refused = world.client.place_order(&order("anna", TEA, 1, "wallet"), Some("k"), None).await;
    assert_eq!(refused.expect_err("another body").status(), Some(422));
    let other = world.client.place_order(&order("berta", MUG, 1, "wallet"), Some("k"), None).await?.order.id;
    assert_ne!(first, other);
    world.ends(first, OrderStatus::Confirmed).await?;
    world.ends(other, OrderStatus::Confirmed).await?;
    world.assert_consistent().await
}
