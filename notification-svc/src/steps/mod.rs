//! One file for each step.

pub mod notify;
