//! Asks a demo's issuer for tokens.

use std::time::Duration;

use serde::{Deserialize, Serialize};

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A token that is wanted.
#[derive(Clone, Debug, Serialize)]
pub struct TokenRequest {
    /// Whose: for a customer, their id.
    pub subject: String,
    /// What they may do: `customer`, `operator`, `service`.
    pub roles: Vec<String>,
    /// Minutes until it expires; none for the longest that the issuer gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minutes: Option<u32>,
}

/// A token, as OAuth names its parts.
#[derive(Clone, Deserialize, Serialize)]
pub struct Token {
    /// The token itself.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: String,
    /// Seconds until it expires.
    pub expires_in: u64,
}

/// There is no token.
#[derive(Debug, thiserror::Error)]
#[error("the issuer at {url} gives no token: {reason}")]
pub struct NoToken {
    /// Who was asked.
    pub url: String,
    /// What it said, or why nothing came.
    pub reason: String,
}

impl TokenRequest {
    /// A token for somebody who runs the shop, for as long as there is.
    #[must_use]
    pub fn operator() -> Self {
        Self { subject: "operator".to_owned(), roles: vec!["operator".to_owned()], minutes: None }
    }

    /// A token for this customer, for as long as there is.
    #[must_use]
    pub fn customer(id: &str) -> Self {
        Self { subject: id.to_owned(), roles: vec!["customer".to_owned()], minutes: None }
    }

    /// Asks the issuer at this base URL.
    ///
    /// # Errors
    /// When it is not there, or does not give tokens to whoever asks.
    pub async fn ask(&self, issuer_url: &str) -> Result<Token, NoToken> {
        let refused = |reason: String| NoToken { url: issuer_url.to_owned(), reason };
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_WITHIN).build();
        let http = http.map_err(|error| refused(error.to_string()))?;
        let answer = http.post(format!("{issuer_url}/tokens")).json(self).send().await;
        let answer = answer.map_err(|error| refused(error.to_string()))?;
        if !answer.status().is_success() {
            let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
            return Err(refused(format!("{status} {text}").trim_end().to_owned()));
        }
        answer.json().await.map_err(|error| refused(error.to_string()))
    }
}
