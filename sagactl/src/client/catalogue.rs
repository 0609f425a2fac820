//! The price list.

use reqwest::Method;
use serde::{Deserialize, Serialize};

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

/// Which page of a list; the default is the first.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Page {
    /// At most this many rows, 100 at most.
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl Page {
    /// The longest one after this cursor, or from the beginning.
    #[must_use]
    pub fn long(cursor: Option<String>) -> Self {
        Self { limit: Some(100), cursor }
    }
}

/// A page of the price list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductPage {
    /// By article number.
    pub products: Vec<Product>,
    /// Where the next page starts; `None` on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// What an import came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Articles that were not there.
    pub added: u64,
    /// Articles that were there, and were not the same.
    pub changed: u64,
    /// The others.
    pub unchanged: u64,
}

impl std::ops::AddAssign for Imported {
    fn add_assign(&mut self, other: Self) {
        self.added += other.added;
        self.changed += other.changed;
        self.unchanged += other.unchanged;
    }
}

impl Client {
    /// `GET /products`: a page of the price list.
    ///
    /// # Errors
    /// A problem 400 for a limit or cursor that is none; transport errors.
    pub async fn products(&self, page: &Page) -> Result<ProductPage, ClientError> {
        let request = self.request(Method::GET, Service::Order, &["products"])?.query(page);
        Ok(receive(Service::Order, request).await?.body)
    }

    /// `GET /products/{sku}`.
    ///
    /// # Errors
    /// A problem 404 if there is none; transport errors.
    pub async fn product(&self, sku: &str) -> Result<Product, ClientError> {
        self.get(Service::Order, &["products", sku]).await
    }

    /// `POST /products`: puts a product on the list that is not there.
    ///
    /// # Errors
    /// A problem 409 if it is, 422 for one that cannot be; transport errors.
    pub async fn add_product(&self, product: &Product) -> Result<Product, ClientError> {
        let request = self.request(Method::POST, Service::Order, &["products"])?.json(product);
        Ok(receive(Service::Order, request).await?.body)
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

    /// `POST /products/import`: sets up to 1,000 products, all or none. May be repeated.
    ///
    /// # Errors
    /// A problem 422 that says which of them cannot be, by their place in the list (`[3].name: ..`); transport errors.
    pub async fn import_products(&self, products: &[&Product]) -> Result<Imported, ClientError> {
        let request = self.request(Method::POST, Service::Order, &["products", "import"])?.json(products);
        Ok(receive(Service::Order, request).await?.body)
    }
}
