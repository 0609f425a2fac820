//! The HTTP side of the provider: one method per request, each answered within its timeout.

use std::time::Duration;

use reqwest::{
    Client, RequestBuilder, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use uuid::Uuid;

use super::{
    answers,
    gate::{Gate, ProviderLimits},
    key::ProviderKey,
    outcome::{IntentId, IntentState, ProviderError, Refund, RefundOutcome},
};

/// The version of Stripe's API whose shapes `answers` reads; an account's own default may be any.
pub(super) const API_VERSION: &str = "2026-09-30.endive";

const API_VERSION_HEADER: HeaderName = HeaderName::from_static("stripe-version");

/// How long the client waits for the provider. Embed it in a service's settings with `#[command(flatten)]`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct ProviderTimeouts {
    /// Milliseconds to wait for a connection to the payment provider.
    #[arg(long, env = "PROVIDER_CONNECT_TIMEOUT_MS", default_value_t = 1_000)]
    pub provider_connect_timeout_ms: u64,
    /// Milliseconds to wait for the payment provider's whole answer, connecting included; after that the outcome is unknown.
    #[arg(long, env = "PROVIDER_TIMEOUT_MS", default_value_t = 10_000)]
    pub provider_timeout_ms: u64,
}

impl Default for ProviderTimeouts {
    fn default() -> Self {
        Self { provider_connect_timeout_ms: 1_000, provider_timeout_ms: 10_000 }
    }
}

/// The client could not be made from its settings.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not a URL to which `/v1/..` can be appended.
    #[error("the provider URL is not an http or https URL")]
    Url,
    /// `https` without TLS in this build.
    #[error("the provider URL is https, but this build has no TLS: build payment-svc with the feature `tls`")]
    NoTls,
    /// The key is empty or holds characters that no header can carry.
    #[error("the provider key is empty or not printable ASCII")]
    Key,
    /// The limits cannot work.
    #[error("the limits of calls to the provider cannot work: {0}")]
    Limits(String),
    /// The HTTP client refused its own set-up.
    #[error("the HTTP client could not be built")]
    Build(#[source] reqwest::Error),
}

/// What to charge.
#[derive(Debug, Clone, Copy)]
pub struct NewIntent<'a> {
    /// Kept in the intent's metadata, so that the provider's books can be reconciled with ours.
    pub order_id: Uuid,
    /// In minor units of `currency`.
    pub amount_minor: i64,
    /// ISO 4217, in either case.
    pub currency: &'a str,
    /// The provider's name of the payment method, such as `pm_card_visa`.
    pub payment_method: &'a str,
}

/// A client of a payment provider in Stripe's wire form. Cheap to clone; connections and the gate are shared.
///
/// It never retries: whether a request may be repeated is the caller's knowledge. A provider that does not answer is not
/// asked for a while: [`ProviderError::NotAsked`].
#[derive(Debug, Clone)]
pub struct ProviderClient {
    http: Client,
    base: String,
    gate: Gate,
}

impl ProviderClient {
    /// A client for the API below `url` (`http://127.0.0.1:8090`, `https://api.stripe.com`). Connects on first use.
    ///
    /// # Errors
    /// [`ClientError`] when URL or key cannot work.
    pub fn new(url: &str, key: &ProviderKey, timeouts: ProviderTimeouts) -> Result<Self, ClientError> {
        Self::with_limits(url, key, timeouts, &ProviderLimits::default())
    }

    /// As [`new`](Self::new), with limits of its own.
    ///
    /// # Errors
    /// [`ClientError`] when URL, key or limits cannot work.
    pub fn with_limits(
        url: &str,
        key: &ProviderKey,
        timeouts: ProviderTimeouts,
        limits: &ProviderLimits,
    ) -> Result<Self, ClientError> {
        let parsed = Url::parse(url).map_err(|_| ClientError::Url)?;
        let is_here = matches!(parsed.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        match parsed.scheme() {
            "http" => {}
            "https" if cfg!(feature = "tls") => {}
            "https" => return Err(ClientError::NoTls),
            _ => return Err(ClientError::Url),
        }
        if key.is_empty() {
            return Err(ClientError::Key);
        }
        let mut bearer = HeaderValue::try_from(key.bearer()).map_err(|_| ClientError::Key)?;
        bearer.set_sensitive(true);
        let version = HeaderValue::from_static(API_VERSION);
        let builder = Client::builder();
        // The environment's proxy is for the world outside, not for a sandbox on this machine.
        let builder = if is_here { builder.no_proxy() } else { builder };
        let http = builder
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, bearer), (API_VERSION_HEADER, version)]))
            .connect_timeout(Duration::from_millis(timeouts.provider_connect_timeout_ms))
            .timeout(Duration::from_millis(timeouts.provider_timeout_ms))
            // A redirected POST would go to somebody we do not know.
            .redirect(Policy::none())
            .build()
            .map_err(ClientError::Build)?;
        let gate = Gate::new(limits).map_err(ClientError::Limits)?;
        Ok(Self { http, base: url.trim_end_matches('/').to_owned(), gate })
    }

    /// Shows in the metrics whether the provider is asked.
    pub(crate) fn show(&self) {
        self.gate.show();
    }

    /// What there is to know about the provider, if it is not asked at present.
    pub fn trouble(&self) -> Option<String> {
        self.gate.trouble()
    }

    /// Creates an unconfirmed payment intent: no money moves. With the same key and values again it is the same intent.
    ///
    /// # Errors
    /// [`ProviderError`]; `Refused` with code `resource_missing` for an unknown payment method.
    pub async fn create_intent(&self, new: NewIntent<'_>, idempotency_key: &str) -> Result<IntentId, ProviderError> {
        let form = [
            ("amount", new.amount_minor.to_string()),
            ("currency", new.currency.to_ascii_lowercase()),
            ("payment_method", new.payment_method.to_owned()),
            // Without it Stripe offers every enabled method, and some of those need a browser to return to.
            ("payment_method_types[]", "card".to_owned()),
            ("metadata[order_id]", new.order_id.to_string()),
        ];
        let (status, body) = self.send(self.post("payment_intents", idempotency_key).form(&form)).await?;
        answers::created_intent(status, &body)
    }

    /// Confirms an intent: this moves the money, at most once however often it is asked.
    ///
    /// # Errors
    /// [`ProviderError`]; after `Unknown` only [`retrieve`](Self::retrieve) tells, because a repeated key may replay an error.
    pub async fn confirm(&self, id: &IntentId, idempotency_key: &str) -> Result<IntentState, ProviderError> {
        let path = format!("payment_intents/{}/confirm", id.as_str());
        let (status, body) = self.send(self.post(&path, idempotency_key)).await?;
        answers::intent_state(status, &body)
    }

    /// Where the intent stands now.
    ///
    /// # Errors
    /// [`ProviderError`]; `Refused` with code `resource_missing` when the provider has no such intent.
    pub async fn retrieve(&self, id: &IntentId) -> Result<IntentState, ProviderError> {
        let (status, body) = self.send(self.get(&format!("payment_intents/{}", id.as_str()))).await?;
        answers::intent_state(status, &body)
    }

    /// Cancels an intent, so that a confirm still under way fails. The answer is where the intent stands afterwards:
    /// `Canceled`, also when it already was, or `Succeeded` when the money was faster and must be refunded.
    ///
    /// # Errors
    /// [`ProviderError`]; repeating a cancel is always safe, so it carries no idempotency key.
    pub async fn cancel(&self, id: &IntentId) -> Result<IntentState, ProviderError> {
        let url = self.url(&format!("payment_intents/{}/cancel", id.as_str()));
        let (status, body) = self.send(self.http.post(url)).await?;
        answers::intent_state(status, &body)
    }

    /// Refunds all that is left of a succeeded intent.
    ///
    /// # Errors
    /// [`ProviderError`]; after `Unknown` ask [`list_refunds`](Self::list_refunds) before asking for another.
    pub async fn refund(&self, id: &IntentId, idempotency_key: &str) -> Result<RefundOutcome, ProviderError> {
        let form = [("payment_intent", id.as_str())];
        let (status, body) = self.send(self.post("refunds", idempotency_key).form(&form)).await?;
        answers::refund_outcome(status, &body)
    }

    /// The refunds of an intent, newest first; the 100 newest, which is plenty for refunds of the whole amount.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn list_refunds(&self, id: &IntentId) -> Result<Vec<Refund>, ProviderError> {
        let query = [("payment_intent", id.as_str()), ("limit", "100")];
        let (status, body) = self.send(self.get("refunds").query(&query)).await?;
        answers::refund_list(status, &body)
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.base)
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(self.url(path))
    }

    fn post(&self, path: &str, idempotency_key: &str) -> RequestBuilder {
        self.http.post(self.url(path)).header("Idempotency-Key", idempotency_key)
    }

    async fn send(&self, request: RequestBuilder) -> Result<(u16, Vec<u8>), ProviderError> {
        self.gate.pass(request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(url: &str, key: &str) -> Result<ProviderClient, ClientError> {
        ProviderClient::new(url, &ProviderKey::new(key), ProviderTimeouts::default())
    }

    #[test]
    fn the_key_is_in_no_debug_output() {
        let key = ProviderKey::new("sk_canary\n");
        let client = ProviderClient::new("http://localhost:1", &key, ProviderTimeouts::default());
        let shown = format!("{key:?} {client:?} {:?}", client.as_ref().map(|client| client.post("refunds", "k")));
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[tokio::test]
    async fn an_answer_without_end_is_unknown() -> Result<(), Box<dyn std::error::Error>> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let client = client(&format!("http://{}", listener.local_addr()?), "k")?;
        let endless = async {
            let (mut stream, _) = listener.accept().await?;
            // The request fits into one segment.
            let _ = stream.read(&mut [0; 4_096]).await?;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n").await?;
            while stream.write_all(&[b' '; 65_536]).await.is_ok() {}
            std::io::Result::Ok(())
        };
        let id = IntentId::new("pi_1")?;
        let (answer, _) = tokio::join!(client.retrieve(&id), endless);
        assert!(matches!(&answer, Err(ProviderError::Unknown { why }) if why.contains("more than")), "{answer:?}");
        Ok(())
    }

    #[test]
    fn unusable_settings_are_refused_at_the_start() {
        assert!(matches!(client("localhost:8090", "k"), Err(ClientError::Url)));
        assert!(matches!(client("not a url", "k"), Err(ClientError::Url)));
        assert!(matches!(client("http://localhost:8090", " "), Err(ClientError::Key)));
        assert!(matches!(client("http://localhost:8090", "a\nb"), Err(ClientError::Key)));
        assert_eq!(client("https://api.example.com", "k").is_ok(), cfg!(feature = "tls"));
    }
}
