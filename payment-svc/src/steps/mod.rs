//! One file for each step: the action, and beside it the undo that reverses it.

pub(crate) mod charge_payment;
pub(crate) mod refund_return;
