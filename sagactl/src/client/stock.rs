//! The stock.

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::{Client, ClientError, Imported, Page, Service, receive};

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

/// A page of the stock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockPage {
    /// By article number.
    pub stock: Vec<Stock>,
    /// Where the next page starts; `None` on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A change of an article's stock that no order made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    /// Its number; later ones of the same article have higher ones.
    pub id: i64,
    /// How many more are available, or fewer.
    pub change: i64,
    /// `opening`, `set`, `adjusted` or `imported`.
    pub kind: String,
    /// Why it was adjusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// All that was then available, reserved or sold.
    pub total: i64,
    /// When.
    pub at: DateTime<Utc>,
}

/// A page of an article's movements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovementPage {
    /// The latest first.
    pub movements: Vec<Movement>,
    /// Where the next page starts; `None` on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// An adjustment and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdjustedStock {
    /// Its line in the article's log.
    pub movement: Movement,
    /// What there is now.
    pub stock: Stock,
}

/// An article and how many of it are available.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CountedArticle<'a> {
    /// Article number.
    pub sku: &'a str,
    /// How many.
    pub available: i64,
}

impl Client {
    /// `GET /stock`: a page of it.
    ///
    /// # Errors
    /// A problem 400 for a limit or cursor that is none; transport errors.
    pub async fn stock_page(&self, page: &Page) -> Result<StockPage, ClientError> {
        let request = self.request(Method::GET, Service::Inventory, &["stock"])?.query(page);
        Ok(receive(Service::Inventory, request).await?.body)
    }

    /// `GET /stock`: all of it, page by page.
    ///
    /// # Errors
    /// Transport errors.
    pub async fn all_stock(&self) -> Result<Vec<Stock>, ClientError> {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.stock_page(&Page::long(cursor)).await?;
            all.extend(page.stock);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }

    /// `GET /stock/{sku}`.
    ///
    /// # Errors
    /// A problem 404 for an unknown article; transport errors.
    pub async fn stock(&self, sku: &str) -> Result<Stock, ClientError> {
        self.get(Service::Inventory, &["stock", sku]).await
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

    /// `POST /stock/{sku}/adjustments`: makes `change` more available, or fewer if it is below zero. With a key the call can be
    /// repeated safely after any error: it is the same movement.
    ///
    /// # Errors
    /// A problem 404 for an unknown article, 409 if there are not so many, 422 for a change or reason that is none and for a key
    /// that was used otherwise; transport errors, after which it is unknown whether it was carried out.
    pub async fn adjust_stock(
        &self,
        sku: &str,
        change: i64,
        reason: &str,
        idempotency_key: Option<&str>,
    ) -> Result<AdjustedStock, ClientError> {
        let body = serde_json::json!({ "change": change, "reason": reason });
        let mut request = self.request(Method::POST, Service::Inventory, &["stock", sku, "adjustments"])?.json(&body);
        if let Some(key) = idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        Ok(receive(Service::Inventory, request).await?.body)
    }

    /// `GET /stock/{sku}/movements`: a page of an article's log.
    ///
    /// # Errors
    /// A problem 404 for an unknown article, 400 for a limit or cursor that is none; transport errors.
    pub async fn movements(&self, sku: &str, page: &Page) -> Result<MovementPage, ClientError> {
        let request = self.request(Method::GET, Service::Inventory, &["stock", sku, "movements"])?.query(page);
        Ok(receive(Service::Inventory, request).await?.body)
    }

    /// `POST /stock/import`: sets how many are available of up to 1,000 articles, all or none. May be repeated.
    ///
    /// # Errors
    /// A problem 422 that says which of them cannot be, by their place in the list (`[3].sku: ..`); transport errors.
    pub async fn import_stock(&self, articles: &[CountedArticle<'_>]) -> Result<Imported, ClientError> {
        let request = self.request(Method::POST, Service::Inventory, &["stock", "import"])?.json(articles);
        Ok(receive(Service::Inventory, request).await?.body)
    }
}
