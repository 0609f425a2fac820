//! Settings every participant has: flags and environment variables, secrets also from files.

use crate::envelope::BUNDLE_EVENTS;
use crate::faults;
use crate::topology::QueueType;
use clap::Args;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The engine's settings. Flatten them into the service's own clap struct.
#[derive(Clone, Args)]
pub struct Settings {
    /// Address of the HTTP server.
    #[arg(long, env = "LISTEN")]
    pub listen: Option<SocketAddr>,

    /// PostgreSQL URL of the service's role.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,

    /// File that holds the PostgreSQL URL instead.
    #[arg(long, env = "DATABASE_URL_FILE")]
    database_url_file: Option<PathBuf>,

    /// PostgreSQL URL of the database's owner, who runs migrations and makes partitions. Without it the service's own
    /// role does.
    #[arg(long, env = "DATABASE_OWNER_URL", hide_env_values = true)]
    database_owner_url: Option<String>,

    /// File that holds the owner's URL instead.
    #[arg(long, env = "DATABASE_OWNER_URL_FILE")]
    database_owner_url_file: Option<PathBuf>,

    /// RabbitMQ URL, with user and virtual host.
    #[arg(long, env = "AMQP_URL", hide_env_values = true)]
    amqp_url: Option<String>,

    /// File that holds the RabbitMQ URL instead.
    #[arg(long, env = "AMQP_URL_FILE")]
    amqp_url_file: Option<PathBuf>,

    /// How queues are kept. Classic ones are for a single node that never grows; the choice is made once.
    #[arg(long, env = "QUEUE_TYPE", value_enum, default_value = "quorum")]
    pub queue_type: QueueType,

    /// Also bind everything this service says to the queue `saga.tap`, which keeps the last 1,000 messages to look at.
    #[arg(long, env = "TAP", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub tap: bool,

    /// What to log, in the syntax of tracing's EnvFilter.
    #[arg(long, env = "LOG", default_value = "info")]
    pub log: String,

    /// How to log.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,

    /// Where traces are collected, over OTLP (gRPC without TLS), such as http://collector:4317. Without it nothing is recorded, and
    /// contexts that come with requests are passed on.
    #[cfg(feature = "otel")]
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,

    /// Share of traces that is recorded, of those that begin here: 1 is all. What a caller records is recorded here, too.
    #[cfg(feature = "otel")]
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", default_value_t = 0.01, value_parser = share)]
    pub traces_ratio: f64,

    /// Milliseconds a stopping service may take to finish what it holds.
    #[arg(long, env = "DRAIN_MS", default_value_t = 10_000)]
    pub drain_ms: u64,

    /// Most events in one transaction.
    #[arg(long, env = "BATCH_EVENTS", default_value_t = 256)]
    pub batch_events: usize,

    /// Most events of one route in one message; 1 turns bundles off.
    #[arg(long, env = "BUNDLE_EVENTS", default_value_t = 64, value_parser = bundle_events)]
    pub bundle_events: usize,

    /// Messages the broker may hand out ahead of their acks, per queue.
    #[arg(long, env = "PREFETCH", default_value_t = 512)]
    pub prefetch: u16,

    /// Connections to the database for transactions.
    #[arg(long, env = "DATABASE_CONNECTIONS", default_value_t = 8)]
    pub database_connections: usize,

    /// Connections to the database for reads over HTTP. When all are busy for 10 s, whoever asks is told to try again.
    #[arg(long, env = "READ_CONNECTIONS", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    pub read_connections: u32,

    /// Milliseconds after which a batch of steps that has not ended is given up and tried again one by one.
    #[arg(long, env = "STEP_LIMIT_MS", default_value_t = 30_000)]
    pub step_limit_ms: u64,

    /// Milliseconds after which another process may publish what this one has committed but not published.
    #[arg(long, env = "OUTBOX_LEASE_MS", default_value_t = 5_000)]
    pub outbox_lease_ms: u64,

    /// Days for which guard rows are kept; the same for all services. Older sagas' messages are parked as expired.
    #[arg(long, env = "RETENTION_DAYS", default_value_t = 90)]
    pub retention_days: u32,

    /// Failure injection: `off`; `on`, then requests may carry `Saga-Fault`; or directives for the whole process, such as
    /// `*/after-commit=crash%0.01`. Never in production.
    #[arg(long, env = "FAULTS", default_value = "off")]
    pub faults: faults::Setting,

    /// Seed of the process's own fault directives that have a probability.
    #[arg(long, env = "FAULT_SEED", default_value_t = 1)]
    pub fault_seed: u64,

    /// Largest body in bytes; a larger one is parked.
    #[arg(long, env = "BODY_BYTES", default_value_t = 1_048_576)]
    pub body_bytes: usize,

    /// Requests over HTTP that are carried out at once; whoever comes beyond is told to try again. Health and metrics are not counted,
    /// nor are open streams of events.
    #[arg(long, env = "HTTP_REQUESTS", default_value_t = 4_096)]
    pub http_requests: usize,

    /// Whose requests are carried out.
    #[cfg(feature = "http")]
    #[command(flatten)]
    pub auth: crate::http::AuthSettings,
}

/// More than this, a receiver would refuse as malformed.
fn bundle_events(text: &str) -> Result<usize, String> {
    let fits = text.parse().ok().filter(|n| (1..=BUNDLE_EVENTS).contains(n));
    fits.ok_or_else(|| format!("a bundle has 1 to {BUNDLE_EVENTS} events"))
}

#[cfg(feature = "otel")]
fn share(text: &str) -> Result<f64, String> {
    let fits = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    fits.ok_or_else(|| "a share is a number from 0 to 1".to_owned())
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A setting is missing or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// Neither the value nor a file for it was given.
    #[error("{0} is not set (nor {0}_FILE)")]
    Missing(&'static str),
    /// Tokens are to be checked, and nothing says with which keys.
    #[error(
        "JWT_KEYS is not set: the file or URL of the public keys that tokens are signed with (AUTH=off lets everybody in, on a loopback address)"
    )]
    MissingKeys,
    /// What is given is none of what is asked for. It is not repeated: there may be a password in it.
    #[error("{name}: {why}")]
    Invalid {
        /// The setting.
        name: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Everybody would be let in who can reach this address.
    #[error("AUTH=off lets everybody in, so it works on a loopback address only, not on {0}")]
    OpenToAll(SocketAddr),
    /// The file cannot be read.
    #[error("{name}_FILE: {path} cannot be read: {source}")]
    File {
        /// The setting.
        name: &'static str,
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// The value of a secret setting: itself, or the trimmed content of its file.
///
/// # Errors
/// When neither is given or the file cannot be read.
pub fn secret(name: &'static str, value: Option<&str>, file: Option<&PathBuf>) -> Result<String, SettingError> {
    match (value, file) {
        (Some(value), _) => Ok(value.to_owned()),
        (None, Some(path)) => std::fs::read_to_string(path)
            .map(|text| text.trim().to_owned())
            .map_err(|source| SettingError::File { name, path: path.display().to_string(), source }),
        (None, None) => Err(SettingError::Missing(name)),
    }
}

// There are passwords in it.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("listen", &self.listen).finish_non_exhaustive()
    }
}

impl Settings {
    /// The URL of the service's role.
    ///
    /// # Errors
    /// When it is not set or its file cannot be read.
    pub fn database_url(&self) -> Result<String, SettingError> {
        secret("DATABASE_URL", self.database_url.as_deref(), self.database_url_file.as_ref())
    }

    /// The URL of the role that runs migrations: the owner's if given, else the service's.
    ///
    /// # Errors
    /// When neither is set or a file cannot be read.
    pub fn owner_url(&self) -> Result<String, SettingError> {
        let owner =
            secret("DATABASE_OWNER_URL", self.database_owner_url.as_deref(), self.database_owner_url_file.as_ref());
        match owner {
            Err(SettingError::Missing(_)) => self.database_url(),
            owner => owner,
        }
    }

    /// The broker's URL.
    ///
    /// # Errors
    /// When it is not set or its file cannot be read.
    pub fn amqp_url(&self) -> Result<String, SettingError> {
        secret("AMQP_URL", self.amqp_url.as_deref(), self.amqp_url_file.as_ref())
    }

    /// How long a stop may take.
    #[must_use]
    pub fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }

    /// How long a batch of steps may take.
    #[must_use]
    pub fn step_limit(&self) -> Duration {
        Duration::from_millis(self.step_limit_ms)
    }

    /// How long other processes leave our outbox rows alone.
    #[must_use]
    pub fn outbox_lease(&self) -> Duration {
        Duration::from_millis(self.outbox_lease_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Bare {
        #[command(flatten)]
        engine: Settings,
    }

    fn read_connections(arguments: &[&str]) -> Option<u32> {
        let bare = Bare::try_parse_from([&["service"], arguments].concat()).ok()?;
        Some(bare.engine.read_connections)
    }

    #[test]
    fn there_are_connections_for_reads_as_many_as_asked_for_but_never_none() {
        assert_eq!(read_connections(&[]), Some(8));
        assert_eq!(read_connections(&["--read-connections", "3"]), Some(3));
        assert_eq!(read_connections(&["--read-connections", "0"]), None);
    }
}
