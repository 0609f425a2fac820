//! One file a step.

pub(crate) mod close_order;
pub(crate) mod collect_answers;
pub(crate) mod confirm_order;
pub(crate) mod place_order;
