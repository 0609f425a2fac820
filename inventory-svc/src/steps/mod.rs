//! One file for each step: the action, and beside it the undo that reverses it.

pub mod commit_stock;
pub mod reserve_stock;
