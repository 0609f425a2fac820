//! The events, in the order of their sagas. `order_id` is the id of an order's saga, `return_id` that of a return's.

use crate::{Currency, CustomerId, Money, OrderId, PaymentMethod, ReturnId, Sku};
use serde::{Deserialize, Serialize};

/// One line of an order, as far as other services need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
pub struct Line {
    /// The article.
    pub sku: Sku,
    /// How many.
    pub quantity: i64,
}

/// An order was placed: stock is to be reserved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
#[serde(rename = "order.placed.v1")]
pub struct OrderPlaced {
    /// The order.
    pub order_id: OrderId,
    /// Who placed it.
    pub customer_id: CustomerId,
    /// What was ordered; each article once.
    pub lines: Vec<Line>,
    /// The total in minor units.
    pub amount_minor: Money,
    /// Its currency.
    pub currency: Currency,
    /// How it will be paid.
    pub payment_method: PaymentMethod,
}

/// All lines of an order are reserved: it is to be paid. Amount, currency and method are those of [`OrderPlaced`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
#[serde(rename = "stock.reserved.v1")]
pub struct StockReserved {
    /// The order.
    pub order_id: OrderId,
    /// Who pays.
    pub customer_id: CustomerId,
    /// The total in minor units.
    pub amount_minor: Money,
    /// Its currency.
    pub currency: Currency,
    /// How it will be paid.
    pub payment_method: PaymentMethod,
}

/// Nothing was reserved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
#[serde(rename = "stock.rejected.v1")]
pub struct StockRejected {
    /// The order.
    pub order_id: OrderId,
    /// Why, in a few words.
    pub reason: String,
    /// What was missing.
    pub shortages: Vec<Shortage>,
}

/// An article of which there was not enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
pub struct Shortage {
    /// The article.
    pub sku: Sku,
    /// How many were asked for.
    pub requested: i64,
    /// How many there were.
    pub available: i64,
}

/// The order is paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
#[serde(rename = "payment.charged.v1")]
pub struct PaymentCharged {
    /// The order.
    pub order_id: OrderId,
    /// What was charged, in minor units.
    pub amount_minor: Money,
    /// Its currency.
    pub currency: Currency,
    /// The provider's name for the charge; none for a wallet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_reference: Option<String>,
}

/// Nothing was charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
#[serde(rename = "payment.declined.v1")]
pub struct PaymentDeclined {
    /// The order.
    pub order_id: OrderId,
    /// Why, in a few words.
    pub reason: String,
}

/// The order stands: stock leaves the shelf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
#[serde(rename = "order.confirmed.v1")]
pub struct OrderConfirmed {
    /// The order.
    pub order_id: OrderId,
    /// Who placed it.
    pub customer_id: CustomerId,
}

/// The reserved stock has left the shelf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
#[serde(rename = "stock.committed.v1")]
pub struct StockCommitted {
    /// The order.
    pub order_id: OrderId,
}

/// The order is being cancelled by its owner: everybody is to undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
#[serde(rename = "order.cancelling.v1")]
pub struct OrderCancelling {
    /// The order.
    pub order_id: OrderId,
    /// Why: `cancelled by the customer`, `deadline passed`, or the first failure.
    pub reason: String,
}

/// Everybody has undone the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
#[serde(rename = "order.cancelled.v1")]
pub struct OrderCancelled {
    /// The order.
    pub order_id: OrderId,
    /// Who placed it.
    pub customer_id: CustomerId,
    /// The first reason.
    pub reason: String,
}

/// Where an order is after it was confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Fulfilment {
    /// It has left the warehouse.
    Shipped,
    /// The customer has it.
    Delivered,
    /// It came back: refunded and restocked.
    Returned,
}

/// A confirmed order has moved on. Its own message each time; `order_id` is the order, also when a return's saga says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
#[serde(rename = "order.status-changed.v1")]
pub struct OrderStatusChanged {
    /// The order.
    pub order_id: OrderId,
    /// Who placed it.
    pub customer_id: CustomerId,
    /// Where it is now.
    pub status: Fulfilment,
}

/// A delivered order comes back: its money goes back to the customer, and its stock to the shelf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
#[serde(rename = "return.requested.v1")]
pub struct ReturnRequested {
    /// The return.
    pub return_id: ReturnId,
    /// The order that comes back.
    pub order_id: OrderId,
    /// Who placed it.
    pub customer_id: CustomerId,
    /// What was ordered; each article once.
    pub lines: Vec<Line>,
    /// How it was paid.
    pub payment_method: PaymentMethod,
}

/// The customer has the money back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
#[serde(rename = "return.refunded.v1")]
pub struct ReturnRefunded {
    /// The return.
    pub return_id: ReturnId,
    /// The order that comes back.
    pub order_id: OrderId,
    /// What was given back, in minor units: all that was charged.
    pub amount_minor: Money,
    /// Its currency.
    pub currency: Currency,
}

/// The stock is on the shelf again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
#[serde(rename = "return.restocked.v1")]
pub struct ReturnRestocked {
    /// The return.
    pub return_id: ReturnId,
    /// The order that comes back.
    pub order_id: OrderId,
}
