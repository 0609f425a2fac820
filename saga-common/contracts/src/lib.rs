//! The order system's events, ids and money, as they travel. Serde only: the serde name of an event is its wire type.
//!
//! Evolution is additive: readers ignore what they do not know, nothing published changes its meaning, and a new major
//! version is a new type beside the old one. Their JSON Schemas are in `schemas/`, published payloads in `tests/contracts/`, and its
//! tests refuse a change that old readers or old payloads would not survive.

#![forbid(unsafe_code)]

mod events;
mod ids;
mod money;

pub use events::{
    Fulfilment, Line, OrderCancelled, OrderCancelling, OrderConfirmed, OrderPlaced, OrderStatusChanged, PaymentCharged,
    PaymentDeclined, ReturnRefunded, ReturnRequested, ReturnRestocked, Shortage, StockCommitted, StockRejected,
    StockReserved,
};
pub use ids::{CustomerId, OrderId, PaymentMethod, ReturnId, Sku};
pub use money::{Currency, Money, MoneyError};
