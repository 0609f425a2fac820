//! `sagactl chaos`: a stack of its own under load, a seeded schedule of faults, then healing, rest, audit and a report.
//!
//! [`schedule`] and [`mix`] are pure: what happens when, and which orders are placed, follows from the seed. [`kinds`] are the
//! faults, one table per group. [`proxy`] stands between every service and every server. [`load`] writes down what it asked and was
//! told ([`history`]); [`crate::audit`] holds that against the databases, and them against each other. At the end, [`replay`] says
//! everything again.

pub mod dice;
pub mod history;
pub mod injector;
mod judge;
pub mod kinds;
pub mod load;
pub mod mix;
pub mod proxy;
pub mod replay;
pub mod report;
pub mod rest;
pub mod rig;
pub mod run;
pub mod schedule;
pub mod watch;
pub mod wire;
pub mod wiretap;

pub use report::Report;
pub use run::{ChaosError, ENDED_EARLY, Settings, run};
pub use schedule::Pace;
