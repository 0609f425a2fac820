//! One file for each step: the action, and beside it the undo that reverses it.

pub(crate) mod commit_stock;
pub(crate) mod reserve_stock;
#[cfg(test)]
mod tests;
