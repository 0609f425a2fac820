//! What happens by the clock: overdue orders are cancelled, old request keys forgotten.

use crate::{Outcome, Shop};
use sagactl::client::{OrderStatus, Service};
use sagactl::stack::eventually;

/// Lets every statement fail that changes this customer's orders.
const STUCK: &str = "
    create function refuse() returns trigger language plpgsql as $$ begin raise exception 'stuck'; end $$;
    create trigger stuck before update on orders for each row when (old.customer_id = 'stuck') execute function refuse()";

#[tokio::test]
async fn an_overdue_order_that_cannot_be_cancelled_does_not_keep_the_others() -> Outcome {
    let shop = Shop::up(1_500).await?;
    shop.database.batch_execute(STUCK).await?;
    // The one in the middle: of one by one, there is somebody before it and somebody after.
    let before = shop.place("anna", None).await?;
    let stuck = shop.place("stuck", None).await?;
    let after = shop.place("berta", None).await?;
    eventually("the others are cancelling", || async {
        let others = [shop.client.order(before).await?, shop.client.order(after).await?];
        Ok(others.iter().all(|order| order.status == OrderStatus::Cancelling).then_some(()))
    })
    .await?;
    assert_eq!(shop.client.order(stuck).await?.status, OrderStatus::Pending);
    assert_eq!(shop.client.order(after).await?.reason.as_deref(), Some("deadline passed"));
    let log = std::fs::read_to_string(shop.stack.log(Service::Order)?)?;
    assert!(log.contains("an overdue order cannot be cancelled") && log.contains(&stuck.to_string()), "it is said");

    shop.database.batch_execute("drop trigger stuck on orders").await?;
    eventually("the stuck one is cancelling", || async {
        Ok((shop.client.order(stuck).await?.status == OrderStatus::Cancelling).then_some(()))
    })
    .await?;
    let announced: i64 = shop.ask("select count(*) from saga.announcements where type = 'order.cancelling.v1'").await?;
    assert_eq!(announced, 3, "each is announced once, until everybody has answered");
    Ok(())
}

#[tokio::test]
async fn request_keys_are_forgotten_after_a_day_and_not_before() -> Outcome {
    let shop = Shop::up(60_000).await?;
    let young = shop.place("anna", Some("young")).await?;
    let old = shop.place("anna", Some("old")).await?;
    assert_eq!(shop.place("anna", Some("old")).await?, old, "the same key, the same order");
    // More than are forgotten in one statement.
    shop.database
        .batch_execute(
            "update request_keys set created_at = now() - interval '26 hours' where key = 'old';
             update request_keys set created_at = now() - interval '24 hours' where key = 'young';
             insert into request_keys (customer_id, key, body_hash, order_id, created_at)
             select 'crowd', n::text, '', gen_random_uuid(), now() - interval '2 days' from generate_series(1, 10500) n",
        )
        .await?;
    assert!(shop.stack.terminate(Service::Order).await?.success());
    shop.stack.start(Service::Order).await?;
    eventually("old keys are forgotten", || async {
        Ok((shop.ask::<i64>("select count(*) from request_keys").await? == 1).then_some(()))
    })
    .await?;
    assert_eq!(shop.place("anna", Some("young")).await?, young, "kept for a day, as promised");
    assert_ne!(shop.place("anna", Some("old")).await?, old, "a key of yesterday is free again");
    Ok(())
}
