//! The same request once more.

use crate::world::{MUG, Outcome, TEA, World, order};
use futures::future::join_all;
use sagactl::client::{OrderFilter, OrderStatus, Product, Service};
use sagactl::stack::eventually;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

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

#[tokio::test]
async fn a_client_that_goes_away_leaves_its_key_with_the_placement() -> Outcome {
    let world = World::start().await?;
    let (mut database, looking) = (world.database(Service::Order).await?, world.database(Service::Order).await?);
    // Nothing can be inserted: one group is held up, and whatever comes waits for the next one.
    let holding = database.transaction().await?;
    holding.batch_execute("lock table orders in share mode").await?;
    let (first, wanted) = (order("first", MUG, 1, "wallet"), order("anna", MUG, 1, "wallet"));
    let held = world.client.place_order(&first, None, None);
    let retried = async {
        let waits = "select 1 from pg_locks where relation = 'orders'::regclass and not granted";
        let asked = eventually("the first group is held up", async || Ok(looking.query(waits, &[]).await?.pop()));
        asked.await.expect("the database tells its locks");
        let left = world.client.place_order(&wanted, Some("k"), None);
        let left = tokio::time::timeout(Duration::from_millis(300), left).await;
        assert!(left.is_err(), "the client has gone before the answer");
        let refused = world.client.place_order(&wanted, Some("k"), None).await.expect_err("it is still waiting");
        assert_eq!(refused.status(), Some(409), "{refused}");
        holding.rollback().await
    };
    let (held, retried) = tokio::join!(held, retried);
    retried?;
    world.ends(held?.order.id, OrderStatus::Confirmed).await?;
    let id = eventually("the order of the client that left", || async {
        Ok(world.client.place_order(&wanted, Some("k"), None).await.ok().map(|placed| placed.order.id))
    })
    .await?;
    world.ends(id, OrderStatus::Confirmed).await?;
    let orders: i64 = database.query_one("select count(*) from orders where customer_id = 'anna'", &[]).await?.get(0);
    assert_eq!(orders, 1);
    world.assert_consistent().await
}

#[tokio::test]
async fn a_key_that_a_stuck_replica_holds_is_a_conflict_and_stops_nobody_else() -> Outcome {
    let world = World::start().await?;
    let mut database = world.database(Service::Order).await?;
    let holding = database.transaction().await?;
    holding
        .execute(
            "insert into request_keys (customer_id, key, body_hash, order_id) values ('anna', 'k', '', gen_random_uuid())",
            &[],
        )
        .await?;
    let (wanted, other) = (order("anna", MUG, 1, "wallet"), order("berta", MUG, 1, "wallet"));
    let began = Instant::now();
    let (refused, others) = tokio::join!(
        world.client.place_order(&wanted, Some("k"), None),
        join_all((0..20).map(|_| world.client.place_order(&other, None, None)))
    );
    let refused = refused.expect_err("another has the key");
    assert_eq!(refused.status(), Some(409), "{refused}");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "the others did not wait for it: {took:?}");
    for placed in others {
        world.ends(placed?.order.id, OrderStatus::Confirmed).await?;
    }
    holding.rollback().await?;
    let id = world.client.place_order(&wanted, Some("k"), None).await?.order.id;
    world.ends(id, OrderStatus::Confirmed).await?;
    world.assert_consistent().await
}

#[tokio::test]
async fn a_repetition_is_answered_while_the_first_waits_and_whatever_the_prices_are_now() -> Outcome {
    let world = World::start().await?;
    world.stack.pause(Service::Payment)?;
    let wanted = order("anna", MUG, 1, "wallet");
    let waiting = world.client.place_order(&wanted, Some("k"), Some(5));
    let repeated = async {
        eventually("the first is committed", async || {
            let page = world.client.orders(&OrderFilter::default()).await?;
            Ok(page.orders.first().map(drop))
        })
        .await?;
        let repeated = world.client.place_order(&wanted, Some("k"), None).await;
        let dollars = Product {
            sku: MUG.to_owned(),
            name: "Stoneware mug".to_owned(),
            unit_price_minor: 2_000,
            currency: "USD".to_owned(),
        };
        world.client.put_product(&dollars).await?;
        let priced = world.client.place_order(&wanted, Some("k"), None).await;
        world.stack.resume(Service::Payment)?;
        Ok::<_, Box<dyn std::error::Error>>((repeated?, priced?))
    };
    let (first, repeated) = tokio::join!(waiting, repeated);
    let (first, (repeated, priced)) = (first?, repeated?);
    assert_eq!((repeated.status, repeated.order.id), (202, first.order.id), "it was committed long ago");
    assert_eq!((priced.status, priced.order.id, priced.order.amount_minor), (202, first.order.id, 1_800));
    let new = world.client.place_order(&wanted, Some("new"), None).await.expect_err("not sold for euros any more");
    assert_eq!(new.status(), Some(422), "{new}");
    world.ends(first.order.id, OrderStatus::Confirmed).await?;
    world.assert_consistent().await
}

#[tokio::test]
async fn a_committed_order_is_answered_even_if_it_cannot_be_read() -> Outcome {
    let world = World::start().await?;
    let database = world.database(Service::Order).await?;
    database.batch_execute("revoke select on order_lines from current_user").await?;
    let wanted = order("anna", MUG, 2, "wallet");
    let placed = world.client.place_order(&wanted, None, None).await;
    let unreadable = world.client.orders(&OrderFilter::default()).await;
    database.batch_execute("grant select on order_lines to current_user").await?;
    assert!(unreadable.is_err(), "lines could not be read");
    let placed = placed?;
    assert_eq!(placed.status, 202);
    let mut read = world.ends(placed.order.id, OrderStatus::Confirmed).await?;
    read.status = OrderStatus::Pending;
    read.closed_at = None;
    assert_eq!(format!("{read:?}"), format!("{:?}", placed.order), "the same body, read or not");
    world.assert_consistent().await
}
