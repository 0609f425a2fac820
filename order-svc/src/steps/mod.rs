//! One file for each step: the action, and beside it the undo that reverses it.

pub(crate) mod close_order;
pub(crate) mod collect_answers;
pub(crate) mod collect_return;
pub(crate) mod confirm_order;
pub(crate) mod place_order;
#[cfg(test)]
mod tests;

/// Steps that are done on request (`fulfilment`, `returns`), by their names: keys in the database.
pub(crate) const SHIP: &str = "ship";
pub(crate) const DELIVER: &str = "deliver";
pub(crate) const BEGIN_RETURN: &str = "begin-return";
