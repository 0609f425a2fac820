//! Placing, reading and cancelling orders.

use std::fmt;

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Client, ClientError, Service, Timeline, receive};

/// The body of `POST /orders`. Prices are not in it: order-svc has the price list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewOrder {
    /// Who buys.
    pub customer_id: String,
    /// ISO 4217 code, such as `EUR`.
    pub currency: String,
    /// 1 to 200 lines.
    pub items: Vec<Item>,
    /// `wallet`, or a card token such as `pm_card_visa`.
    pub payment_method: String,
}

/// What is wanted, and how many of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Article number.
    pub sku: String,
    /// How many, at least 1.
    pub quantity: u32,
}

/// An order as order-svc shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Also the saga id.
    pub id: Uuid,
    /// Who buys.
    pub customer_id: String,
    /// Where the order is in its life.
    pub status: OrderStatus,
    /// The first reason against it, while it is being cancelled and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// ISO 4217 code.
    pub currency: String,
    /// What the whole order costs, in minor units.
    pub amount_minor: i64,
    /// What was ordered, at the prices of that moment.
    pub items: Vec<Line>,
    /// How it is paid.
    pub payment_method: String,
    /// When it was placed, by the order database's clock.
    pub created_at: DateTime<Utc>,
    /// When order-svc gives up on it, if it is still pending then.
    pub deadline_at: DateTime<Utc>,
    /// When the stock of a confirmed order was committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<DateTime<Utc>>,
    /// Who must answer a failure, and who has.
    #[serde(default)]
    pub answers: Answers,
    /// Its return, if it has come back or is about to.
    #[serde(default, rename = "return", skip_serializing_if = "Option::is_none")]
    pub taken_back: Option<Return>,
}

/// The return of an order, which is a saga of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Return {
    /// Also the saga id.
    pub id: Uuid,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When the customer had the money back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refunded_at: Option<DateTime<Utc>>,
    /// When the stock was on the shelf again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restocked_at: Option<DateTime<Utc>>,
    /// When both were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<DateTime<Utc>>,
}

/// One line of a placed order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Article number.
    pub sku: String,
    /// How many.
    pub quantity: i64,
    /// What one of them costs, in minor units.
    pub unit_price_minor: i64,
}

/// Which participants have answered an order's failure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// Those that must.
    pub required: Vec<String>,
    /// Those that have.
    pub given: Vec<String>,
}

/// Where an order is in its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderStatus {
    /// Nothing is decided yet.
    Pending,
    /// Paid, and past the point of no return.
    Confirmed,
    /// On its way.
    Shipped,
    /// With the customer.
    Delivered,
    /// Something failed; participants are undoing their parts.
    Cancelling,
    /// Everybody has undone their part.
    Cancelled,
    /// On its way back: the money is to be refunded and the stock restocked.
    Returning,
    /// It came back.
    Returned,
    /// A status that this client does not know.
    #[serde(untagged)]
    Other(String),
}

impl OrderStatus {
    /// The saga is decided and will never be undecided: confirmed (or further), or cancelled.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        use OrderStatus::{Cancelled, Confirmed, Delivered, Returned, Returning, Shipped};
        matches!(self, Confirmed | Shipped | Delivered | Cancelled | Returning | Returned)
    }
}

impl fmt::Display for OrderStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
            Self::Returning => "returning",
            Self::Returned => "returned",
            Self::Other(other) => other,
        })
    }
}

/// The answer to [`Client::place_order`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// 202: accepted; 200: it became terminal while we waited.
    pub status: u16,
    /// The `Location` header.
    pub location: Option<String>,
    /// The order.
    pub order: Order,
}

/// Which orders [`Client::orders`] returns; the default is the first page of all.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OrderFilter {
    /// Only those in this status.
    pub status: Option<String>,
    /// At most this many on a page.
    pub limit: Option<u32>,
    /// [`OrderPage::next_cursor`] of the page before.
    pub cursor: Option<String>,
}

/// A page of orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderPage {
    /// The orders.
    pub orders: Vec<Order>,
    /// Where the next page starts; `None` on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl Client {
    /// `POST /orders`. With a key the call can be repeated safely after any error: the same key and body give the same order.
    /// `prefer_wait_seconds` asks order-svc to answer only when the order is terminal, at most that long; the request's own
    /// deadline grows by as much.
    ///
    /// # Errors
    /// A problem 409 while another request with this key is running, 422 if it was used for another body, 400 or 422 for a bad
    /// order; transport errors, after which it is unknown whether the order exists.
    pub async fn place_order(
        &self,
        order: &NewOrder,
        idempotency_key: Option<&str>,
        prefer_wait_seconds: Option<u32>,
    ) -> Result<Placed, ClientError> {
        let mut request = self.request(Method::POST, Service::Order, &["orders"])?.json(order);
        if let Some(key) = idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(directives) = &self.faults {
            request = request.header("Saga-Fault", directives);
        }
        if let Some(seconds) = prefer_wait_seconds {
            let patience = self.timeout + std::time::Duration::from_secs(seconds.into());
            request = request.header("Prefer", format!("wait={seconds}")).timeout(patience);
        }
        let answer = receive(Service::Order, request).await?;
        Ok(Placed { status: answer.status, location: answer.location, order: answer.body })
    }

    /// `GET /orders/{id}`.
    ///
    /// # Errors
    /// A problem 404 if there is no such order; transport errors.
    pub async fn order(&self, id: Uuid) -> Result<Order, ClientError> {
        self.get(Service::Order, &["orders", &id.to_string()]).await
    }

    /// `GET /orders`: one page, newest first as the service orders them.
    ///
    /// # Errors
    /// A problem 400 for an unknown status or cursor; transport errors.
    pub async fn orders(&self, filter: &OrderFilter) -> Result<OrderPage, ClientError> {
        let request = self.request(Method::GET, Service::Order, &["orders"])?.query(filter);
        Ok(receive(Service::Order, request).await?.body)
    }

    /// `POST /orders/{id}/cancel`: asks for it; the order is cancelled once everybody has undone their part. May be repeated.
    ///
    /// # Errors
    /// A problem 409 once the order is confirmed, 404 if there is none; transport errors.
    pub async fn cancel(&self, id: Uuid) -> Result<Order, ClientError> {
        let request = self.request(Method::POST, Service::Order, &["orders", &id.to_string(), "cancel"])?;
        Ok(receive(Service::Order, request).await?.body)
    }

    /// `POST /orders/{id}/status`: a closed order becomes [`OrderStatus::Shipped`], a shipped one [`OrderStatus::Delivered`]. May be
    /// repeated.
    ///
    /// # Errors
    /// A problem 409 for any other change, 404 if there is no such order, 422 for another status; transport errors.
    pub async fn set_order_status(&self, id: Uuid, status: &OrderStatus) -> Result<Order, ClientError> {
        let request = self.request(Method::POST, Service::Order, &["orders", &id.to_string(), "status"])?;
        let body = serde_json::json!({ "status": status });
        Ok(receive(Service::Order, request.json(&body)).await?.body)
    }

    /// `POST /orders/{id}/return`: a delivered order comes back, as a saga of its own. May be repeated.
    ///
    /// # Errors
    /// A problem 409 unless the order is delivered or on its way back, 404 if there is none; transport errors.
    pub async fn return_order(&self, id: Uuid) -> Result<Order, ClientError> {
        let mut request = self.request(Method::POST, Service::Order, &["orders", &id.to_string(), "return"])?;
        if let Some(directives) = &self.faults {
            request = request.header("Saga-Fault", directives);
        }
        Ok(receive(Service::Order, request).await?.body)
    }

    /// `GET /orders/{id}/timeline`: the order's story as order-svc stitches it together from all services.
    ///
    /// # Errors
    /// A problem 404 if there is no such order; transport errors.
    pub async fn timeline(&self, id: Uuid) -> Result<Timeline, ClientError> {
        self.get(Service::Order, &["orders", &id.to_string(), "timeline"]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_survives_a_round_trip_even_an_unknown_one() {
        for text in [
            "pending",
            "confirmed",
            "shipped",
            "delivered",
            "cancelling",
            "cancelled",
            "returning",
            "returned",
            "mislaid",
        ] {
            let json = format!("\"{text}\"");
            let status: OrderStatus = serde_json::from_str(&json).expect("a string is a status");
            assert_eq!(status.to_string(), text);
            assert_eq!(serde_json::to_string(&status).expect("a status is a string"), json);
        }
    }
}
