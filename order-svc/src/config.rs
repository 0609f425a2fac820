//! Settings of order-svc.

use clap::Parser;
use saga_common::Settings;
use saga_common::config::{SettingError, secret};
use std::path::PathBuf;
use std::str::FromStr;

/// Takes the orders of the order system, and owns their sagas.
#[derive(Clone, Parser)]
#[command(version)]
pub struct Config {
    /// What every participant can be told; it listens on 127.0.0.1:8080 unless told otherwise.
    #[command(flatten)]
    pub engine: Settings,

    /// Milliseconds after which a pending order is cancelled, by the database's clock.
    #[arg(long, env = "DEADLINE_MS", default_value_t = 30_000)]
    pub deadline_ms: u64,

    /// Participants that must answer before a cancellation is complete.
    #[arg(long, env = "PARTICIPANTS", value_delimiter = ',', default_value = "inventory,payment")]
    pub participants: Vec<String>,

    /// inventory-svc, asked for its part of an order's timeline.
    #[arg(long, env = "INVENTORY_URL", default_value = "http://127.0.0.1:8082")]
    pub inventory_url: String,

    /// payment-svc, asked for its part of an order's timeline.
    #[arg(long, env = "PAYMENT_URL", default_value = "http://127.0.0.1:8081")]
    pub payment_url: String,

    /// notification-svc, asked for its part of an order's timeline.
    #[arg(long, env = "NOTIFICATION_URL", default_value = "http://127.0.0.1:8083")]
    pub notification_url: String,

    /// Further participants, `name=URL`, where the name is what `PARTICIPANTS` says: asked for their part of timelines, too.
    #[arg(long, env = "PEERS", default_value = "", hide_default_value = true, value_name = "NAME=URL,..")]
    pub peers: FurtherPeers,

    /// Milliseconds for which an order that was read is answered from memory, to whoever has not seen a newer version; 0 reads the
    /// database each time.
    #[arg(long, env = "READ_CACHE_MS", default_value_t = 1_000)]
    pub read_cache_ms: u64,

    /// Redis or Valkey through which replicas share what they have read, `redis://[user:password@]host:port`; none needed.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<String>,

    /// File that holds this URL instead.
    #[arg(long, env = "REDIS_URL_FILE")]
    pub redis_url_file: Option<PathBuf>,

    /// Milliseconds within which it must answer; else the database is read, and it is left alone for a second.
    #[arg(long, env = "REDIS_TIMEOUT_MS", default_value_t = 50)]
    pub redis_timeout_ms: u64,

    /// Bearer token with the role `service`, shown to the other services when they are asked.
    #[arg(long, env = "PEER_TOKEN", hide_env_values = true)]
    pub peer_token: Option<String>,

    /// File that holds this token instead; read each time, so that it can be renewed.
    #[arg(long, env = "PEER_TOKEN_FILE")]
    pub peer_token_file: Option<PathBuf>,
}

impl Config {
    /// Where replicas share what they have read, if they do. An empty URL is none.
    pub(crate) fn redis_url(&self) -> Result<Option<String>, SettingError> {
        let given = self.redis_url.as_deref().filter(|url| !url.is_empty());
        if given.is_none() && self.redis_url_file.is_none() {
            return Ok(None);
        }
        secret("REDIS_URL", given, self.redis_url_file.as_ref()).map(Some)
    }
}

/// Participants beside those of the shop, and where they are.
#[derive(Debug, Clone, Default)]
pub struct FurtherPeers(pub(crate) Vec<(String, String)>);

impl FromStr for FurtherPeers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut peers: Vec<(String, String)> = Vec::new();
        for item in text.split(',').filter(|item| !item.is_empty()) {
            let (name, url) = item.split_once('=').ok_or_else(|| format!("`{item}` is no name, `=` and URL"))?;
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if name.is_empty() || !name.chars().all(plain) {
                return Err(format!("`{name}` is no name of a participant"));
            }
            if ["order", "inventory", "payment", "notification"].contains(&name) || peers.iter().any(|it| it.0 == name)
            {
                return Err(format!("where `{name}` is has been said already"));
            }
            if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
                return Err(format!("`{url}` is no URL"));
            }
            peers.push((name.to_owned(), url.trim_end_matches('/').to_owned()));
        }
        Ok(Self(peers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_peers_have_names_and_urls_of_their_own() {
        let peers: FurtherPeers = "points=http://10.0.0.7:8084/,tax=https://tax".parse().expect("two");
        let two = [("points", "http://10.0.0.7:8084"), ("tax", "https://tax")];
        assert_eq!(peers.0, two.map(|(name, url)| (name.to_owned(), url.to_owned())));
        assert_eq!("".parse::<FurtherPeers>().expect("none").0, []);
        for wrong in
            ["points", "=http://x", "Points=http://x", "inventory=http://x", "a=http://x,a=http://y", "a=httpx"]
        {
            assert!(wrong.parse::<FurtherPeers>().is_err(), "{wrong}");
        }
    }
}
