//! The maps of all participants fit together: nobody waits for what nobody says.

use crate::world::{MUG, Outcome, World, order};
use sagactl::client::{OrderStatus, Service};
use sagactl::stack::eventually;
use std::collections::BTreeSet;

#[tokio::test]
async fn every_event_has_a_sayer_and_a_listener_and_who_undoes_is_waited_for() -> Outcome {
    let world = World::start().await?;
    let (mut says, mut reacts_to, mut refuses, mut undoing) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for service in Service::ALL {
        let map = world.client.choreography(service).await?;
        for step in map.steps {
            says.extend(step.says);
            reacts_to.extend(step.reacts_to);
            refuses.extend(step.refuses);
            if step.undo {
                undoing.insert(map.participant.clone());
            }
        }
    }
    // The engine's own: whoever undoes says it.
    says.insert("saga.compensated.v1".to_owned());
    assert_eq!(says, reacts_to, "what is said and what is reacted to");
    for failure in ["stock.rejected.v1", "payment.declined.v1", "order.cancelling.v1"] {
        assert!(refuses.contains(failure), "{failure} is among {refuses:?}");
    }
    let placed = world.place(&order("anna", MUG, 1, "wallet")).await?;
    undoing.remove("order");
    assert_eq!(placed.answers.required.into_iter().collect::<BTreeSet<_>>(), undoing);
    world.ends(placed.id, OrderStatus::Confirmed).await?;
    // order-svc has compared its setting with the maps itself.
    let metrics = format!("{}/metrics", world.stack.url(Service::Order)?);
    // Metrics are kept from the first: this one is recorded before the service serves, and not again for an hour.
    let text = reqwest::get(&metrics).await?.text().await?;
    assert!(text.contains("saga_partition_days_ahead"), "{text}");
    eventually("the comparison", || async {
        let text = reqwest::get(&metrics).await?.text().await?;
        Ok(text.contains("order_participants_differ 0").then_some(()))
    })
    .await?;
    world.assert_consistent().await
}
