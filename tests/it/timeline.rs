//! What a timeline says comes next: the steps that the choreography expects, why they do not come, and nothing when all is over.

use crate::world::{Fallible, LIMIT, MUG, Outcome, POOR, TEAPOT, World, order};
use sagactl::client::{OrderStatus, Service, Timeline};
use sagactl::stack::{StackOptions, eventually};
use serde_json::{Value, json};
use uuid::Uuid;

/// `service/step (event) state` of everything that is expected.
fn expected(timeline: &Timeline) -> Vec<String> {
    let state =
        |state| serde_json::to_value(state).ok().and_then(|it| Some(it.as_str()?.to_owned())).unwrap_or_default();
    let expected = timeline.expected.iter();
    expected.map(|it| format!("{}/{} ({}) {}", it.service, it.step, it.reacts_to, state(it.state))).collect()
}

impl World {
    /// Waits until the timeline expects exactly this.
    async fn expects(&self, id: Uuid, wanted: &[&str]) -> Fallible<Timeline> {
        eventually(&format!("order {id} to expect {wanted:?}"), || async {
            let timeline = self.client.timeline(id).await?;
            Ok((expected(&timeline) == wanted).then_some(timeline))
        })
        .await
    }

    /// However it went, in the end nothing is expected, and nothing would end it.
    async fn is_over(&self, id: Uuid) -> Fallible<Timeline> {
        let timeline = self.expects(id, &[]).await?;
        assert_eq!((&timeline.terminal, &timeline.silent), (&vec![], &vec![]), "{timeline:?}");
        Ok(timeline)
    }

    /// What `sagactl saga show` prints.
    async fn saga_show(&self, id: Uuid) -> Fallible<String> {
        let shown = self.sagactl()?.args(["saga", "show", &id.to_string()]).output().await?;
        Ok(String::from_utf8(shown.stdout)? + &String::from_utf8(shown.stderr)?)
    }
}

#[tokio::test]
async fn the_next_step_is_expected_then_late_and_nothing_when_it_has_come() -> Outcome {
    let world = World::faulty().await?;
    let hold = "payment-svc/before-begin@stock.reserved=hold";
    let id = world.place_with(&order("anna", MUG, 1, "wallet"), hold).await?;
    let charge = |state: &str| format!("payment-svc/charge-payment (stock.reserved.v1) {state}");
    let timeline = world.expects(id, &[&charge("expected")]).await?;
    assert_eq!(timeline.terminal, ["order.cancelled.v1", "stock.committed.v1"]);
    let reserved = timeline.entries.iter().find(|entry| entry.step == "reserve-stock").ok_or("the reservation")?;
    let reacted_to = reserved.reacted_to.as_ref().and_then(|it| it.kind.as_deref());
    assert_eq!(reacted_to, Some("order.placed.v1"));
    assert_eq!(reserved.said.as_ref().map(|it| it.message_id), timeline.expected.first().map(|it| it.message_id));
    let shown = world.saga_show(id).await?;
    assert!(shown.contains("expects next: payment-svc charge-payment (stock.reserved.v1, said "), "{shown}");
    world.expects(id, &[&charge("late")]).await?;
    assert!(world.saga_show(id).await?.contains("look whether the queue payment.events has a consumer"));
    world.client.release(Service::Payment, id).await?;
    world.ends(id, OrderStatus::Confirmed).await?;
    world.is_over(id).await?;
    world.assert_consistent().await
}

#[tokio::test]
async fn a_message_that_waits_and_a_service_that_is_silent_are_told_apart() -> Outcome {
    let world = World::faulty().await?;
    // In the batch, alone, and each attempt after that: it waits longer each time.
    let id =
        world.place_with(&order("anna", MUG, 1, "wallet"), "payment-svc/after-steps@stock.reserved=error*9").await?;
    let charge = |state: &str| format!("payment-svc/charge-payment (stock.reserved.v1) {state}");
    let timeline = world.expects(id, &[&charge("waiting")]).await?;
    assert_eq!(timeline.waiting.len(), 1);
    let reason = timeline.waiting[0].reason.as_deref().unwrap_or_default();
    assert!(reason.contains("injected"), "{timeline:?}");
    // Whose order it is is told that it waits, not what of.
    let url = format!("{}/orders/{id}/timeline", world.stack.url(Service::Order)?);
    let told = async |token: &str| -> Fallible<Value> {
        Ok(reqwest::Client::new().get(&url).bearer_auth(token).send().await?.json().await?)
    };
    let hers = told(&world.stack.token_of("anna").await?).await?;
    assert_eq!((&hers["waiting"][0]["reason"], &hers["faults"]), (&json!("is tried again"), &json!([])));
    assert_eq!(told(world.stack.token()).await?["faults"].as_array().map(Vec::len), Some(1));
    world.stack.pause(Service::Payment)?;
    let timeline = world.expects(id, &[&charge("unknown")]).await?;
    assert_eq!(timeline.silent, ["payment-svc"]);
    world.stack.resume(Service::Payment)?;
    world.client.cancel(id).await?;
    world.ends(id, OrderStatus::Cancelled).await?;
    world.is_over(id).await?;
    world.assert_consistent().await
}

#[tokio::test]
async fn a_failure_is_expected_to_be_undone_by_everybody_who_can() -> Outcome {
    let world = World::faulty().await?;
    let hold = "inventory-svc/before-begin@order.cancelling=hold,payment-svc/before-begin@stock.reserved=hold";
    let id = world.place_with(&order("anna", MUG, 1, "wallet"), hold).await?;
    world.expects(id, &["payment-svc/charge-payment (stock.reserved.v1) expected"]).await?;
    world.client.cancel(id).await?;
    let undo = "inventory-svc/compensate (order.cancelling.v1) expected";
    let timeline = world.expects(id, &[undo]).await?;
    assert_eq!(timeline.terminal, ["order.cancelled.v1"]);
    for service in [Service::Inventory, Service::Payment] {
        world.client.release(service, id).await?;
    }
    world.ends(id, OrderStatus::Cancelled).await?;
    world.is_over(id).await?;
    world.assert_consistent().await
}

#[tokio::test]
async fn nothing_is_expected_of_a_finished_order_whichever_way_it_went() -> Outcome {
    let world = World::with(StackOptions::unique().env(Service::Order, "DEADLINE_MS", 3_000)).await?;
    let confirmed = world.place(&order("anna", MUG, 1, "wallet")).await?.id;
    let by_card = world.place(&order("anna", MUG, 1, "pm_card_visa")).await?.id;
    let declined = world.place(&order(POOR, MUG, 1, "wallet")).await?.id;
    let out_of_stock = world.place(&order("anna", TEAPOT, 1, "wallet")).await?.id;
    let returned = world.place(&order("carl", MUG, 2, "pm_card_visa")).await?.id;
    for id in [confirmed, by_card, returned] {
        world.ends(id, OrderStatus::Confirmed).await?;
        world.client.wait_closed(id, LIMIT).await?;
    }
    for id in [declined, out_of_stock] {
        world.ends(id, OrderStatus::Cancelled).await?;
    }
    for status in [OrderStatus::Shipped, OrderStatus::Delivered] {
        world.client.set_order_status(returned, &status).await?;
    }
    world.client.return_order(returned).await?;
    world.client.wait_returned(returned, LIMIT).await?;
    // Cancelled while the card is charged; and expired, because payment-svc stands still.
    let cancelled = world.place(&order("anna", MUG, 1, "pm_card_sandboxSlow")).await?.id;
    world.client.cancel(cancelled).await?;
    world.ends(cancelled, OrderStatus::Cancelled).await?;
    world.stack.pause(Service::Payment)?;
    let expired = world.place(&order("anna", MUG, 1, "wallet")).await?.id;
    eventually("the deadline", || async {
        Ok((world.client.order(expired).await?.status == OrderStatus::Cancelling).then_some(()))
    })
    .await?;
    world.stack.resume(Service::Payment)?;
    world.ends(expired, OrderStatus::Cancelled).await?;
    for id in [confirmed, by_card, declined, out_of_stock, returned, cancelled, expired] {
        world.is_over(id).await?;
    }
    world.assert_consistent().await
}
