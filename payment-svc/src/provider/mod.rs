//! The external payment provider, as payment-svc sees it: a client in Stripe's wire form whose results keep apart what was
//! charged, what was declined and what is not known.
//!
//! How to charge without ever charging twice: [`ProviderClient::create_intent`] (no money moves), store the [`IntentId`], then
//! [`ProviderClient::confirm`]. Whatever [`ProviderError::Unknown`] leaves open is settled by [`ProviderClient::retrieve`] of the
//! stored id, never by repeating a confirm with its old key.

mod answers;
mod client;
mod gate;
mod key;
mod outcome;
mod wire;

pub use client::{ClientError, NewIntent, ProviderClient, ProviderTimeouts};
pub use gate::ProviderLimits;
pub use key::ProviderKey;
pub use outcome::{IntentId, IntentState, InvalidIntentId, ProviderError, Refund, RefundOutcome, RefundState};
