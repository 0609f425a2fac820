//! The other services, asked over HTTP for what they know: never to do their work, and never waited for long.

use crate::Config;
use saga_common::config::secret;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::time::Duration;

const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The other services by name, and what is shown to them.
#[derive(Clone)]
pub(crate) struct Peers {
    client: reqwest::Client,
    services: Vec<(String, String)>,
    token: Option<String>,
    token_file: Option<PathBuf>,
}

/// Nothing came that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Silent {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error(transparent)]
    Token(#[from] saga_common::config::SettingError),
}

impl Peers {
    pub(crate) fn new(config: &Config) -> Self {
        let client = reqwest::Client::builder().timeout(ANSWER_WITHIN).build().unwrap_or_default();
        let own = [
            ("inventory", &config.inventory_url),
            ("payment", &config.payment_url),
            ("notification", &config.notification_url),
        ];
        let further = config.peers.0.iter().map(|(name, url)| (name.as_str(), url));
        let services = own.into_iter().chain(further).map(|(name, url)| (format!("{name}-svc"), url.clone())).collect();
        let (token, token_file) = (config.peer_token.clone(), config.peer_token_file.clone());
        Self { client, services, token, token_file }
    }

    /// Their names, and where they are.
    pub(crate) fn services(&self) -> impl Iterator<Item = (&str, &str)> {
        self.services.iter().map(|(name, url)| (name.as_str(), url.as_str()))
    }

    /// What the service at `url` answers.
    pub(crate) async fn get<T: DeserializeOwned>(&self, url: &str, path: &str) -> Result<T, Silent> {
        let request = self.client.get(format!("{url}{path}"));
        let request = match self.token()? {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    /// A request that shows nothing of ours: whoever passes one on shows what they were shown.
    pub(crate) fn request(&self, method: reqwest::Method, url: &str) -> reqwest::RequestBuilder {
        self.client.request(method, url)
    }

    /// Read each time: whoever writes the file renews it before it expires.
    fn token(&self) -> Result<Option<String>, Silent> {
        if self.token.is_none() && self.token_file.is_none() {
            return Ok(None);
        }
        Ok(Some(secret("PEER_TOKEN", self.token.as_deref(), self.token_file.as_ref())?))
    }
}
