//! The order system's own maps, for tests.

use crate::Choreography;

pub(crate) fn maps() -> Vec<Choreography> {
    serde_json::from_str(include_str!("../../../docs/choreography.json")).expect("maps")
}
