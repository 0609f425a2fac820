//! The maps of all participants fit together: nobody waits for what nobody says.

use crate::world::{MUG, Outcome, World, order};
use saga_common::choreography::findings;
use sagactl::client::{OrderStatus, Service, built_in_maps};
use sagactl::stack::eventually;
use std::collections::BTreeSet;

#[tokio::test]
async fn the_running_services_fit_together_and_who_undoes_is_waited_for() -> Outcome {
    let world = World::start().await?;
    let mut maps = Vec::new();
    for service in Service::ALL {
        maps.push(world.client.choreography(service).await?);
    }
    let found: Vec<String> = findings(&maps).iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert_eq!(maps, built_in_maps(), "what `sagactl graph` draws without a stack is what the services say");
    let undoing: BTreeSet<String> =
        maps.iter().filter(|map| map.undoes && !map.owns()).map(|map| map.participant.clone()).collect();
    let placed = world.place(&order("anna", MUG, 1, "wallet")).await?;
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
