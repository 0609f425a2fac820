//! What becomes of a confirmed order: shipped, delivered, and taken back with its money and its stock.

use crate::world::{COFFEE, Fallible, LIMIT, MUG, Outcome, TEA, World, order, order_of};
use futures::future::join_all;
use saga_common::testkit::Wire;
use sagactl::client::{ClientError, NewOrder, Order, OrderFilter, OrderStatus, Service};
use sagactl::stack::{StackOptions, eventually};
use std::collections::BTreeSet;
use uuid::Uuid;

impl World {
    /// Places an order and waits until it is closed.
    async fn closed(&self, wanted: &NewOrder) -> Fallible<Uuid> {
        let id = self.place(wanted).await?.id;
        self.ends(id, OrderStatus::Confirmed).await?;
        self.client.wait_closed(id, LIMIT).await?;
        Ok(id)
    }

    /// An order that its customer has.
    async fn delivered(&self, wanted: &NewOrder) -> Fallible<Uuid> {
        let id = self.closed(wanted).await?;
        for status in [OrderStatus::Shipped, OrderStatus::Delivered] {
            assert_eq!(self.client.set_order_status(id, &status).await?.status, status);
        }
        Ok(id)
    }

    /// Asks for the return; gives its id.
    async fn take_back(&self, id: Uuid) -> Fallible<Uuid> {
        Ok(self.client.return_order(id).await?.taken_back.ok_or("it has no return")?.id)
    }

    async fn returned(&self, id: Uuid) -> Fallible<Order> {
        Ok(self.client.wait_returned(id, LIMIT).await?)
    }

    /// Kinds of the notes about an order, once there are as many.
    async fn notes(&self, id: Uuid, many: usize) -> Fallible<BTreeSet<String>> {
        let notes = eventually("the notes", || async {
            let notes = self.client.notifications(id).await?;
            Ok((notes.len() >= many).then_some(notes))
        });
        Ok(notes.await?.into_iter().map(|note| note.kind).collect())
    }
}

fn refusal(refused: Result<Order, ClientError>) -> (Option<u16>, String) {
    let error = refused.expect_err("it is refused");
    (error.status(), error.to_string())
}

#[tokio::test]
async fn a_delivered_order_comes_back_with_its_money_and_its_stock() -> Outcome {
    let world = World::start().await?;
    let (tea, mugs) = (world.client.stock(TEA).await?, world.client.stock(MUG).await?);
    let wallet = world.delivered(&order_of("anna", &[(TEA, 2), (MUG, 1), (TEA, 1)], "wallet")).await?;
    let card = world.delivered(&order("carl", MUG, 3, "pm_card_visa")).await?;
    for id in [wallet, card] {
        let return_id = world.take_back(id).await?;
        let order = world.returned(id).await?;
        let taken_back = order.taken_back.ok_or("its return")?;
        assert_eq!(taken_back.id, return_id);
        assert!(
            taken_back.refunded_at.is_some() && taken_back.restocked_at.is_some() && taken_back.closed_at.is_some()
        );
        assert_eq!(world.client.payment(id).await?.status, "refunded");
        let told = world.notes(id, 4).await?;
        assert_eq!(told, ["confirmed", "delivered", "returned", "shipped"].map(str::to_owned).into());

        let timeline = world.client.timeline(id).await?;
        assert_eq!((timeline.return_id, timeline.silent), (Some(return_id), vec![]));
        let steps: BTreeSet<&str> = timeline.entries.iter().map(|entry| entry.step.as_str()).collect();
        let both =
            ["ship", "deliver", "begin-return", "refund-return", "restock-return", "note-refund", "note-restock"];
        assert!(both.iter().all(|step| steps.contains(step)), "{steps:?}");
    }
    assert_eq!(world.client.wallet("anna").await?.balance_minor, 100_000);
    assert_eq!((world.client.stock(TEA).await?, world.client.stock(MUG).await?), (tea, mugs));
    let filter = OrderFilter { status: Some("returned".to_owned()), ..OrderFilter::default() };
    let listed: BTreeSet<Uuid> = world.client.orders(&filter).await?.orders.into_iter().map(|order| order.id).collect();
    assert_eq!(listed, [wallet, card].into());
    world.assert_consistent().await
}

#[tokio::test]
async fn a_status_is_given_in_its_order_and_the_same_again_says_nothing() -> Outcome {
    let world = World::start().await?;
    let (client, nobodys) = (&world.client, Uuid::now_v7());
    for refused in [client.set_order_status(nobodys, &OrderStatus::Shipped).await, client.return_order(nobodys).await] {
        assert_eq!(refusal(refused).0, Some(404));
    }
    let id = world.closed(&order("anna", MUG, 1, "wallet")).await?;
    assert_eq!(refusal(client.set_order_status(id, &OrderStatus::Confirmed).await).0, Some(422));
    let (status, why) = refusal(client.set_order_status(id, &OrderStatus::Delivered).await);
    assert_eq!(status, Some(409));
    assert!(why.contains("the order is confirmed, so it cannot become delivered: it can become shipped"), "{why}");
    let (status, why) = refusal(client.return_order(id).await);
    assert!(status == Some(409) && why.contains("it can become shipped"), "{why}");

    for status in [OrderStatus::Shipped, OrderStatus::Shipped, OrderStatus::Delivered, OrderStatus::Delivered] {
        assert_eq!(client.set_order_status(id, &status).await?.status, status);
    }
    let (status, why) = refusal(client.set_order_status(id, &OrderStatus::Shipped).await);
    assert!(status == Some(409) && why.contains("the order is delivered, so it cannot become shipped"), "{why}");
    assert_eq!(refusal(client.cancel(id).await).0, Some(409));

    let first = world.take_back(id).await?;
    assert_eq!(world.take_back(id).await?, first, "while it comes back");
    world.returned(id).await?;
    assert_eq!(world.take_back(id).await?, first, "and after");
    let (status, why) = refusal(client.set_order_status(id, &OrderStatus::Delivered).await);
    assert!(status == Some(409) && why.contains("the order is returned"), "{why}");
    world.notes(id, 4).await?;
    world.assert_consistent().await?;
    assert_eq!(client.notifications(id).await?.len(), 4, "one word each, however often it was asked for");

    let cancelled = world.place(&order("anna", crate::world::TEAPOT, 1, "wallet")).await?.id;
    world.ends(cancelled, OrderStatus::Cancelled).await?;
    let (status, why) = refusal(client.set_order_status(cancelled, &OrderStatus::Shipped).await);
    assert!(status == Some(409) && why.contains("the order is cancelled"), "{why}");
    world.assert_consistent().await
}

#[tokio::test]
async fn an_order_is_not_shipped_before_its_stock_has_left_the_shelf() -> Outcome {
    let world = World::with(StackOptions::unique().env_all("FAULTS", "on")).await?;
    let holding = world.client.clone().with_faults(Some("inventory-svc/before-begin@order.confirmed=hold".to_owned()));
    let id = holding.place_order(&order("anna", MUG, 1, "wallet"), None, None).await?.order.id;
    world.ends(id, OrderStatus::Confirmed).await?;
    let (status, why) = refusal(world.client.set_order_status(id, &OrderStatus::Shipped).await);
    assert!(status == Some(409) && why.contains("still being taken from the shelf"), "{why}");
    assert_eq!(world.client.release(Service::Inventory, id).await?, 1);
    world.client.wait_closed(id, LIMIT).await?;
    world.client.set_order_status(id, &OrderStatus::Shipped).await?;
    world.assert_consistent().await
}

#[tokio::test]
async fn of_many_who_ask_at_once_one_ships_and_one_takes_back() -> Outcome {
    let world = World::start().await?;
    let id = world.closed(&order("anna", MUG, 1, "wallet")).await?;
    for status in [OrderStatus::Shipped, OrderStatus::Delivered] {
        for asked in join_all((0..20).map(|_| world.client.set_order_status(id, &status))).await {
            assert_eq!(asked?.status, status);
        }
    }
    let mut returns = BTreeSet::new();
    for asked in join_all((0..20).map(|_| world.client.return_order(id))).await {
        returns.insert(asked?.taken_back.ok_or("it has no return")?.id);
    }
    assert_eq!(returns.len(), 1, "one return, whoever asked");
    world.returned(id).await?;
    assert_eq!(world.client.wallet("anna").await?.balance_minor, 100_000);
    world.notes(id, 4).await?;
    world.assert_consistent().await?;
    assert_eq!(world.client.notifications(id).await?.len(), 4);
    Ok(())
}

#[tokio::test]
async fn a_crash_in_the_middle_of_the_refund_gives_the_money_back_once() -> Outcome {
    let world = World::with(StackOptions::unique().env_all("FAULTS", "on")).await?;
    for point in ["after-lease", "before-refund", "after-refund", "before-settle"] {
        let id = world.delivered(&order("carl", COFFEE, 1, "pm_card_visa")).await?;
        let asking = world.client.clone().with_faults(Some(format!("payment-svc/{point}=crash")));
        asking.return_order(id).await?;
        world.stack.ended(Service::Payment).await?;
        assert_eq!(world.client.order(id).await?.status, OrderStatus::Returning, "{point}");
        world.stack.start(Service::Payment).await?;
        world.returned(id).await?;
        assert_eq!(world.client.payment(id).await?.status, "refunded");
    }
    world.assert_consistent().await
}

#[tokio::test]
async fn a_request_and_answers_that_are_lost_are_asked_for_again() -> Outcome {
    let world = World::start().await?;
    let id = world.delivered(&order("anna", MUG, 1, "wallet")).await?;
    let wire = Wire::connect(world.stack.amqp_url()).await?;
    // payment never gets what was asked of it, and then order-svc never gets its answer.
    assert!(world.stack.terminate(Service::Payment).await?.success());
    world.take_back(id).await?;
    eventually("return.requested", || async { Ok((wire.purge("payment.events").await? > 0).then_some(())) }).await?;
    eventually("the stock", || async {
        let taken_back = world.client.order(id).await?.taken_back;
        Ok(taken_back.and_then(|it| it.restocked_at))
    })
    .await?;
    world.stack.start(Service::Payment).await?;
    world.stack.pause(Service::Payment)?;
    eventually("it is asked again", || async {
        let repeats = "select repeats from saga.announcements where type = 'return.requested.v1' and repeats > 0";
        Ok(world.database(Service::Order).await?.query_opt(repeats, &[]).await?)
    })
    .await?;
    assert!(world.stack.terminate(Service::Order).await?.success());
    world.stack.resume(Service::Payment)?;
    eventually("return.refunded", || async { Ok((wire.purge("order.events").await? > 0).then_some(())) }).await?;
    world.stack.start(Service::Order).await?;
    world.returned(id).await?;
    assert_eq!(world.client.wallet("anna").await?.balance_minor, 100_000);
    world.assert_consistent().await
}
