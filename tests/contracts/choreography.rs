//! The choreography of the order system: its rules hold, and the files that show it are what the services' code says.

use crate::files::{is_current, pretty};
use saga_common::choreography::{Choreography, Graph, findings};

/// What each service says of itself, in the order in which a saga meets them.
pub(crate) fn maps() -> Vec<Choreography> {
    vec![
        order_svc::choreography().expect("order-svc's steps fit together"),
        inventory_svc::choreography().expect("inventory-svc's steps fit together"),
        payment_svc::choreography().expect("payment-svc's steps fit together"),
        notification_svc::choreography().expect("notification-svc's steps fit together"),
    ]
}

#[test]
fn the_choreography_keeps_its_rules() {
    let found: Vec<String> = findings(&maps()).iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_committed_maps_and_the_picture_of_the_readme_are_current() {
    let maps = maps();
    is_current("docs/choreography.json", &pretty(&maps));
    is_current("docs/choreography.svg", &Graph::of(&maps).svg());
}
