//! One file for each step: the action, and beside it the undo that reverses it.

pub(crate) mod commit_stock;
pub(crate) mod reserve_stock;
pub(crate) mod restock_return;
#[cfg(test)]
mod tests;
