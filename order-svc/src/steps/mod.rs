//! One file for each step: the action, and beside it the undo that reverses it.

pub(crate) mod close_order;
pub(crate) mod collect_answers;
pub(crate) mod confirm_order;
pub(crate) mod place_order;
#[cfg(test)]
mod tests;
