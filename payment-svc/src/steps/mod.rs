//! The steps, one module each: action and undo side by side.

pub(crate) mod charge_payment;
