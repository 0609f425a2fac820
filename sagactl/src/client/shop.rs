//! Prices, stock, money and notifications.

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Client, ClientError, Service, receive};

/// An article and its price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Article number.
    pub sku: String,
    /// What it is.
    pub name: String,
    /// What one costs, in minor units.
    pub unit_price_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
}

/// What a warehouse has of an article.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    /// Article number.
    pub sku: String,
    /// How many can still be promised.
    pub available: i64,
    /// How many are promised to orders that are not closed.
    pub reserved: i64,
    /// How many have left for good.
    pub sold: i64,
}

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
    /// `GET /products`: the price list.
    ///
    /// # Errors
    /// Transport errors.
    pub async fn products(&self) -> Result<Vec<Product>, ClientError> {
        #[derive(Deserialize)]
        struct Body {
            products: Vec<Product>,
        }
        Ok(self.get::<Body>(Service::Order, &["products"]).await?.products)
    }

    /// `PUT /products/{sku}`: sets name and price; new orders use it from now on.
    ///
    /// # Errors
    /// A problem 400 or 422 for a bad price; transport errors.
    pub async fn put_product(&self, product: &Product) -> Result<Product, ClientError> {
        #[derive(Serialize)]
        struct Body<'a> {
            name: &'a str,
            unit_price_minor: i64,
            currency: &'a str,
        }
        let Product { sku, name, unit_price_minor, currency } = product;
        let body = Body { name, unit_price_minor: *unit_price_minor, currency };
        let request = self.request(Method::PUT, Service::Order, &["products", sku])?.json(&body);
        Ok(receive(Service::Order, request).await?.body)
    }

    /// `GET /stock/{sku}`.
    ///
    /// # Errors
    /// A problem 404 for an unknown article; transport errors.
    pub async fn stock(&self, sku: &str) -> Result<Stock, ClientError> {
        self.get(Service::Inventory, &["stock", sku]).await
    }

    /// `GET /stock`: all of it.
    ///
    /// # Errors
    /// Transport errors.
    pub async fn all_stock(&self) -> Result<Vec<Stock>, ClientError> {
        #[derive(Deserialize)]
        struct Body {
            stock: Vec<Stock>,
        }
        Ok(self.get::<Body>(Service::Inventory, &["stock"]).await?.stock)
    }

    /// `PUT /stock/{sku}`: sets how many are available; what is reserved or sold stays so.
    ///
    /// # Errors
    /// A problem 400 or 422 for a negative number; transport errors.
    pub async fn put_stock(&self, sku: &str, available: i64) -> Result<Stock, ClientError> {
        let body = serde_json::json!({ "available": available });
        let request = self.request(Method::PUT, Service::Inventory, &["stock", sku])?.json(&body);
        Ok(receive(Service::Inventory, request).await?.body)
    }

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
