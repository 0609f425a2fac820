//! The pure parts of the engine, by what holds whatever goes in: properties, and almost valid input.

mod bundles;
mod directives;
mod envelopes;
mod fuzz;
mod retry;
mod topology;
