//! Money and notifications.

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Client, ClientError, Service, receive};

/// A customer's wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wallet {
    /// What is in it, in minor units.
    pub balance_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
}

/// What payment-svc knows about one order's money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// The order.
    pub order_id: Uuid,
    /// `charging`, `charged`, `declined`, `refunding`, `refunded` or `voided`.
    pub status: String,
    /// In minor units.
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// The provider's id of it; none for wallets.
    #[serde(default)]
    pub provider_reference: Option<String>,
}

/// A note to a customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// The event that caused it.
    pub message_id: Uuid,
    /// The order it is about.
    pub order_id: Uuid,
    /// What happened, such as `confirmed`.
    pub kind: String,
    /// The note.
    pub text: String,
    /// When it was written.
    pub created_at: DateTime<Utc>,
}

impl Client {
    /// `GET /wallets/{customer_id}`; a customer never seen before has the opening balance.
    ///
    /// # Errors
    /// Transport errors.
    pub async fn wallet(&self, customer_id: &str) -> Result<Wallet, ClientError> {
        self.get(Service::Payment, &["wallets", customer_id]).await
    }

    /// `PUT /wallets/{customer_id}`: sets the balance, which payment-svc books as an adjustment.
    ///
    /// # Errors
    /// A problem 400 or 422 for a negative balance; transport errors.
    pub async fn put_wallet(&self, customer_id: &str, wallet: &Wallet) -> Result<Wallet, ClientError> {
        let request = self.request(Method::PUT, Service::Payment, &["wallets", customer_id])?.json(wallet);
        Ok(receive(Service::Payment, request).await?.body)
    }

    /// `GET /payments/{order_id}`.
    ///
    /// # Errors
    /// A problem 404 if payment-svc has not been asked to pay for it; transport errors.
    pub async fn payment(&self, order_id: Uuid) -> Result<Payment, ClientError> {
        self.get(Service::Payment, &["payments", &order_id.to_string()]).await
    }

    /// `GET /notifications?order_id=`: the notes about one order, none if nothing was worth one yet.
    ///
    /// # Errors
    /// Transport errors.
    pub async fn notifications(&self, order_id: Uuid) -> Result<Vec<Notification>, ClientError> {
        #[derive(Deserialize)]
        struct Body {
            notifications: Vec<Notification>,
        }
        let request = self.request(Method::GET, Service::Notification, &["notifications"])?;
        let answer = receive::<Body>(Service::Notification, request.query(&[("order_id", order_id)])).await?;
        Ok(answer.body.notifications)
    }
}
