//! Settings of order-svc.

use clap::Parser;
use saga_common::Settings;
use saga_common::config::{SettingError, secret};
use std::path::PathBuf;

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
    #[arg(long, env = "PEERS", value_delimiter = ',', value_parser = peer, value_name = "NAME=URL")]
    pub peers: Vec<(String, String)>,

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

fn peer(text: &str) -> Result<(String, String), String> {
    let (name, url) = text.split_once('=').ok_or("it takes a name, `=`, and a URL")?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(plain) || !url.starts_with("http") {
        return Err(format!("`{name}` is no name of a participant, or `{url}` no URL"));
    }
    Ok((name.to_owned(), url.trim_end_matches('/').to_owned()))
}
