//! Choreographies as data. Nobody coordinates a saga, so no code has all of it; what every participant says of itself
//! ([`Choreography`], `GET /choreography`) has. From these maps: [`findings`] says what does not fit together, [`Story::expected`]
//! what a saga waits for, and [`Graph`] draws them. Pure: no clock, no network, no files.

#![forbid(unsafe_code)]

mod graph;
mod map;
mod next;
mod rules;

pub use graph::{Edge, Graph, Node, NodeKind};
pub use map::{Choreography, StepKind, StepMap, unversioned};
pub use next::{Expectation, ExpectedState, GIVEN_UP_AFTER, Held, LATE_AFTER, Line, Part, Said, Story};
pub use rules::{Finding, findings};

/// The step under which a participant records its answer to a failure. It is in no map: whoever undoes has it.
pub const COMPENSATE: &str = "compensate";

#[cfg(test)]
mod shop;
