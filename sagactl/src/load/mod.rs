//! `sagactl load`: how fast the system is, and what that costs.
//!
//! `placing` places orders over HTTP, `watching` sees them end, each on a thread of its own; [`tally`] makes figures of what they saw.
//! `processes` and [`sampling`] say what it cost meanwhile. A run ends with the audit; figures without a clean audit are not given.

pub mod beside;
mod finals;
pub mod mix;
pub mod percentiles;
mod placing;
mod processes;
pub mod report;
mod rhythm;
pub mod run;
pub mod sampling;
mod shelf;
pub mod tally;
mod watching;
mod wire;

pub use mix::Mix;
pub use placing::Pace;
pub use report::Report;
pub use run::{LoadError, Settings, run, stamp};
