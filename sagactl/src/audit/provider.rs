//! The payment provider's own account of what it has charged and given back, in Stripe's wire form.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::AuditError;

/// Pages are as large as the wire form allows.
const PAGE: u32 = 100;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// An account at the payment provider.
#[derive(Clone)]
pub struct ProviderAccount {
    /// Base URL, such as `http://127.0.0.1:8090`.
    pub url: String,
    /// Secret key, sent as a bearer token.
    pub key: String,
}

/// The key is a secret.
impl fmt::Debug for ProviderAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderAccount").field("url", &self.url).finish_non_exhaustive()
    }
}

/// One payment intent, with what became of its money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Intent {
    pub(super) id: String,
    /// `succeeded`, `canceled`, `requires_confirmation`, ..
    pub(super) status: String,
    /// ISO code, lower case as providers write it.
    pub(super) currency: String,
    pub(super) amount_minor: i64,
    /// Given back or about to be.
    pub(super) refunded_minor: i64,
    /// In how many parts.
    pub(super) refunds: usize,
}

impl Intent {
    pub(super) fn succeeded(&self) -> bool {
        self.status == "succeeded"
    }

    /// What the provider has taken and kept.
    pub(super) fn kept_minor(&self) -> i64 {
        let taken = if self.succeeded() { self.amount_minor } else { 0 };
        taken - self.refunded_minor
    }
}

/// Intents by the order in their metadata. Those without one are not this system's.
pub(super) type Ledger = HashMap<Uuid, Vec<Intent>>;

#[derive(Deserialize)]
struct Page<T> {
    data: Vec<T>,
    has_more: bool,
}

#[derive(Deserialize)]
struct IntentObject {
    id: String,
    amount: i64,
    currency: String,
    status: String,
    #[serde(default)]
    metadata: HashMap<String, String>,
}

#[derive(Deserialize)]
struct RefundObject {
    id: String,
    amount: i64,
    status: String,
    payment_intent: Option<String>,
}

trait Listed: DeserializeOwned {
    const PATH: &'static str;
    fn id(&self) -> &str;
}

impl Listed for IntentObject {
    const PATH: &'static str = "/v1/payment_intents";
    fn id(&self) -> &str {
        &self.id
    }
}

impl Listed for RefundObject {
    const PATH: &'static str = "/v1/refunds";
    fn id(&self) -> &str {
        &self.id
    }
}

impl ProviderAccount {
    /// Everything the provider has on record for orders.
    pub(super) async fn ledger(&self) -> Result<Ledger, AuditError> {
        // Intents before refunds: a refund that is listed then belongs to an intent that is.
        let intents = self.list::<IntentObject>().await?;
        let refunds = self.list::<RefundObject>().await?;
        Ok(ledger(intents, refunds))
    }

    async fn list<T: Listed>(&self) -> Result<Vec<T>, AuditError> {
        let failed = |error: reqwest::Error| AuditError::Provider { url: self.url.clone(), reason: error.to_string() };
        let http = reqwest::Client::builder().no_proxy().timeout(REQUEST_TIMEOUT).build().map_err(failed)?;
        let url = format!("{}{}", self.url.trim_end_matches('/'), T::PATH);

        let mut all: Vec<T> = Vec::new();
        loop {
            let mut request = http.get(&url).bearer_auth(&self.key).query(&[("limit", PAGE)]);
            if let Some(last) = all.last() {
                request = request.query(&[("starting_after", last.id())]);
            }
            let response = request.send().await.map_err(failed)?.error_for_status().map_err(failed)?;
            let page: Page<T> = response.json().await.map_err(failed)?;
            let stuck = page.data.is_empty();
            all.extend(page.data);
            if !page.has_more || stuck {
                return Ok(all);
            }
        }
    }
}

fn ledger(intents: Vec<IntentObject>, refunds: Vec<RefundObject>) -> Ledger {
    let mut refunded: HashMap<String, (i64, usize)> = HashMap::new();
    for refund in refunds {
        let given_back = !matches!(refund.status.as_str(), "failed" | "canceled");
        if let (true, Some(intent)) = (given_back, refund.payment_intent) {
            let (sum, count) = refunded.entry(intent).or_default();
            *sum += refund.amount;
            *count += 1;
        }
    }

    let mut ledger = Ledger::new();
    for IntentObject { id, amount: amount_minor, currency, status, metadata } in intents {
        let Some(order_id) = metadata.get("order_id").and_then(|id| Uuid::parse_str(id).ok()) else {
            continue;
        };
        let (refunded_minor, refunds) = refunded.remove(&id).unwrap_or_default();
        let intent = Intent { id, status, currency, amount_minor, refunded_minor, refunds };
        ledger.entry(order_id).or_default().push(intent);
    }
    ledger
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refunds_are_taken_off_their_intent_unless_they_failed() {
        let order = Uuid::now_v7();
        let intents = format!(
            r#"[{{"id":"pi_1","amount":500,"currency":"eur","status":"succeeded","metadata":{{"order_id":"{order}"}}}},
                {{"id":"pi_2","amount":900,"currency":"eur","status":"succeeded"}}]"#
        );
        let refunds = r#"[{"id":"re_1","amount":200,"status":"succeeded","payment_intent":"pi_1"},
                          {"id":"re_2","amount":100,"status":"failed","payment_intent":"pi_1"}]"#;
        let intents = serde_json::from_str(&intents).expect("intents in the provider's form");
        let refunds = serde_json::from_str(refunds).expect("refunds in the provider's form");

        let ledger = ledger(intents, refunds);
        assert_eq!(ledger.len(), 1, "an intent without an order is somebody else's");
        assert_eq!((ledger[&order][0].kept_minor(), ledger[&order][0].refunds), (300, 1));
    }
}
