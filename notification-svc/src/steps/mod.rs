//! One file for each step.

pub(crate) mod notify;
