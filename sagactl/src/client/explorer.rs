//! The page that order-svc serves, and what is told for it.

use reqwest::Method;
use serde::Serialize;
use serde_json::Value;

use super::{Client, ClientError, Service, receive};

/// The address of the Saga Explorer that has this token's rights. What stands behind the `#` is not sent to anybody; the page takes it out of the
/// address.
#[must_use]
pub fn explorer(order_url: &str, token: &str) -> String {
    format!("{order_url}/#token={token}")
}

impl Client {
    /// `PUT /audit`: shows what an audit came to to whoever looks at the Explorer.
    ///
    /// # Errors
    /// Problems; transport errors.
    pub async fn tell_audit<R: Serialize>(&self, report: &R) -> Result<(), ClientError> {
        let request = self.request(Method::PUT, Service::Order, &["audit"])?.json(report);
        receive::<Value>(Service::Order, request).await.map(drop)
    }
}
