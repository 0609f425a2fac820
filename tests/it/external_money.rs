//! R3: cards, with a provider and a service that fail at the worst moments. One charge, or none.

use crate::world::{Fallible, MUG, Outcome, World, order};
use sagactl::client::{OrderStatus, Service};
use sagactl::stack::{Program, StackOptions, eventually};
use serde_json::Value;
use uuid::Uuid;

impl World {
    /// The provider's own word on an order: the states of its intents.
    async fn intents(&self, order: Uuid) -> Fallible<Vec<String>> {
        let url = format!("{}/v1/payment_intents?limit=100", self.stack.url(Program::SandboxProvider)?);
        let list: Value =
            reqwest::Client::new().get(url).bearer_auth(self.stack.provider_key()).send().await?.json().await?;
        let of_order = |intent: &&Value| intent["metadata"]["order_id"] == Value::String(order.to_string());
        let data = list["data"].as_array().cloned().unwrap_or_default();
        Ok(data.iter().filter(of_order).filter_map(|i| Some(i["status"].as_str()?.to_owned())).collect())
    }

    async fn verdict(&self, service: Service, saga: Uuid, step: &str) -> Fallible<Option<String>> {
        let story = self.client.saga(service, saga).await?;
        Ok(story.steps.into_iter().find(|s| s.step == step).map(|s| s.verdict))
    }
}

#[tokio::test]
async fn a_crash_between_intent_and_provider_charges_once_after_the_restart() -> Outcome {
    let world = World::with(StackOptions::unique().env(Service::Order, "DEADLINE_MS", 60_000)).await?;
    world.stack.pause(Program::SandboxProvider)?;
    let id = world.place(&order("anna", MUG, 1, "pm_card_visa")).await?.id;
    eventually("the intent", || async {
        Ok(world.verdict(Service::Payment, id, "charge-payment").await?.filter(|v| v == "intent"))
    })
    .await?;
    world.stack.kill9(Service::Payment).await?;
    world.stack.resume(Program::SandboxProvider)?;
    world.stack.start(Service::Payment).await?;
    world.ends(id, OrderStatus::Confirmed).await?;
    let succeeded = world.intents(id).await?.iter().filter(|s| *s == "succeeded").count();
    assert_eq!(succeeded, 1);
    world.assert_consistent().await
}

#[tokio::test]
async fn a_crash_between_charge_and_settle_settles_by_asking() -> Outcome {
    let world = World::with(StackOptions::unique().env(Service::Order, "DEADLINE_MS", 90_000)).await?;
    // The provider charges and never answers: payment-svc is caught between charge and settle.
    let id = world.place(&order("anna", MUG, 1, "pm_card_sandboxTimeout")).await?.id;
    eventually("the charge", || async { Ok(world.intents(id).await?.iter().any(|s| s == "succeeded").then_some(())) })
        .await?;
    assert_eq!(world.verdict(Service::Payment, id, "charge-payment").await?.as_deref(), Some("intent"));
    world.stack.kill9(Service::Payment).await?;
    world.stack.start(Service::Payment).await?;
    world.ends(id, OrderStatus::Confirmed).await?;
    assert_eq!(world.intents(id).await?, ["succeeded"]);
    world.assert_consistent().await
}

#[tokio::test]
async fn a_provider_that_errs_after_charging_and_one_that_times_out_are_asked_not_believed() -> Outcome {
    let world = World::with(StackOptions::unique().env(Service::Order, "DEADLINE_MS", 90_000)).await?;
    let erring = world.place(&order("anna", MUG, 1, "pm_card_sandboxErrorAfterCharge")).await?.id;
    let silent = world.place(&order("anna", MUG, 1, "pm_card_sandboxTimeout")).await?.id;
    for id in [erring, silent] {
        world.ends(id, OrderStatus::Confirmed).await?;
        assert_eq!(world.intents(id).await?, ["succeeded"]);
    }
    world.assert_consistent().await
}

#[tokio::test]
async fn a_cancellation_while_the_provider_works_leaves_no_charge() -> Outcome {
    let world = World::start().await?;
    let mut ids = Vec::new();
    for method in ["pm_card_sandboxSlow", "pm_card_sandboxTimeout", "pm_card_visa"] {
        let id = world.place(&order("anna", MUG, 1, method)).await?.id;
        eventually("the job", || async { world.verdict(Service::Payment, id, "charge-payment").await }).await?;
        ids.push((id, world.client.cancel(id).await.is_ok()));
    }
    for (id, cancelled) in ids {
        world.ends(id, if cancelled { OrderStatus::Cancelled } else { OrderStatus::Confirmed }).await?;
    }
    world.assert_consistent().await
}

#[tokio::test]
async fn a_deadline_during_an_unclear_charge_refunds_it() -> Outcome {
    let world = World::with(StackOptions::unique().env(Service::Order, "DEADLINE_MS", 1_500)).await?;
    let id = world.place(&order("anna", MUG, 1, "pm_card_sandboxTimeout")).await?.id;
    world.ends(id, OrderStatus::Cancelled).await?;
    world.assert_consistent().await?;
    assert_eq!(world.client.payment(id).await?.status, "refunded");
    Ok(())
}
