//! A payment provider to develop and test against: Stripe's wire form over HTTP, a durable ledger of its own, and payment methods
//! that misbehave on request.
//!
//! | payment method | what a confirm does |
//! |---|---|
//! | `pm_card_visa` | succeeds |
//! | `pm_card_chargeDeclined` | 402, `generic_decline` |
//! | `pm_card_chargeDeclinedInsufficientFunds` | 402, `insufficient_funds` |
//! | `pm_card_authenticationRequired` | 200, `requires_action` |
//! | `pm_card_sandboxTimeout` | charges, then keeps the client waiting for 60 s and answers 504 |
//! | `pm_card_sandboxErrorAfterCharge` | charges, then answers 500, and again 500 for the same key |
//! | `pm_card_sandboxSlow` | charges after `--slow-ms`; a cancel meanwhile wins, and the confirm answers 400 |
//!
//! **Crash guarantee:** what was answered is on disk. After `kill -9` at any moment a restart on the same ledger knows every
//! intent, charge, refund and key that a client has heard of, and a request that was not answered has happened entirely or not
//! at all. It holds all of it in memory, so it is as large as its history.

mod answer;
mod books;
mod desk;
#[cfg(test)]
mod fuzz;
mod http;
mod idempotency;
mod intents;
mod journal;
mod ledger;
mod refusal;
mod request;

use std::{
    future::Future,
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use self::desk::Desk;
pub use self::ledger::LedgerError;
use crate::provider::ProviderKey;

/// The payment methods that the sandbox knows, and what each does.
pub(crate) fn methods() -> impl Iterator<Item = (String, &'static str)> {
    intents::Method::ALL.into_iter().map(|method| (method.name(), method.means()))
}

/// The settings of the sandbox; each is a flag and an environment variable.
#[derive(Debug, Clone, clap::Parser)]
#[command(
    name = "sandbox-provider",
    version,
    about = "A sandbox payment provider in Stripe's wire form, with a durable ledger."
)]
pub struct Settings {
    /// Address to serve on; port 0 takes a free one.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8090")]
    pub listen: SocketAddr,
    /// File of the durable ledger; made when it is missing, with its folder.
    #[arg(long, env = "LEDGER")]
    pub ledger: PathBuf,
    /// The bearer key that clients must send.
    #[arg(long, env = "PROVIDER_KEY", hide_env_values = true, required_unless_present = "key_file")]
    pub key: Option<ProviderKey>,
    /// File that holds the bearer key, instead of --key.
    #[arg(long, env = "PROVIDER_KEY_FILE", conflicts_with = "key")]
    pub key_file: Option<PathBuf>,
    /// Milliseconds that a confirm of pm_card_sandboxSlow takes.
    #[arg(long, env = "SLOW_MS", default_value_t = 3_000)]
    pub slow_ms: u64,
    /// Milliseconds that requests under way get to finish when the process is told to stop.
    #[arg(long, env = "DRAIN_MS", default_value_t = 10_000)]
    pub drain_ms: u64,
    /// Log filter, such as `info` or `payment_svc=debug`.
    #[arg(long, env = "LOG", default_value = "info")]
    pub log: String,
}

/// Why the sandbox does not run.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The ledger cannot be opened.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The ledger cannot be written any more. The process must end: what it knows is no longer what it would know after a restart.
    #[error("the ledger cannot be written any more")]
    LedgerLost,
    /// The key file cannot be read.
    #[error("cannot read the key file {path:?}")]
    KeyFile {
        /// As configured.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// An empty key would let everybody in.
    #[error("the provider key is empty")]
    EmptyKey,
    /// The address cannot be served on.
    #[error("cannot listen on {listen}")]
    Listen {
        /// As configured.
        listen: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Signals or accepting connections failed.
    #[error("cannot serve")]
    Serve(#[from] io::Error),
}

/// Serves until SIGTERM or SIGINT, then finishes what is under way. Once connections are accepted, the first line on stdout is
/// the URL, so that whoever asked for port 0 learns which one it got.
///
/// # Errors
/// [`SandboxError`] when it cannot start, or when the ledger can no longer be written.
pub async fn run(settings: Settings) -> Result<(), SandboxError> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let key = read_key(&settings)?;
    let drain = Duration::from_millis(settings.drain_ms);
    let stopping = CancellationToken::new();
    let desk = Arc::new(Desk::open(&settings.ledger, Duration::from_millis(settings.slow_ms), stopping.clone())?);
    let refused = |source| SandboxError::Listen { listen: settings.listen, source };
    let listener = TcpListener::bind(settings.listen).await.map_err(refused)?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "serving");
    // Nobody may be reading, which is no reason to stop.
    writeln!(io::stdout(), "http://{address}").ok();
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    serve(listener, desk, &key, stop, stopping, drain).await
}

async fn serve(
    listener: TcpListener,
    desk: Arc<Desk>,
    key: &ProviderKey,
    stop: impl Future<Output = ()>,
    stopping: CancellationToken,
    drain: Duration,
) -> Result<(), SandboxError> {
    let server = axum::serve(listener, http::router(desk.clone(), key).into_make_service());
    let server = server.with_graceful_shutdown(stopping.clone().cancelled_owned()).into_future();
    tokio::pin!(server);
    tokio::select! {
        ended = &mut server => return Ok(ended?),
        _ = desk.lost() => return Err(SandboxError::LedgerLost),
        () = stop => tracing::info!("stopping"),
    }
    stopping.cancel();
    let finished = async {
        server.await?;
        desk.finished().await;
        io::Result::Ok(())
    };
    match timeout(drain, finished).await {
        Ok(finished) => finished?,
        Err(_) => tracing::warn!("stopped with requests still under way"),
    }
    Ok(())
}

fn read_key(settings: &Settings) -> Result<ProviderKey, SandboxError> {
    let key = match (&settings.key, &settings.key_file) {
        (Some(key), _) => key.clone(),
        (None, Some(path)) => {
            let unreadable = |source| SandboxError::KeyFile { path: path.clone(), source };
            ProviderKey::new(&std::fs::read_to_string(path).map_err(unreadable)?)
        }
        (None, None) => return Err(SandboxError::EmptyKey),
    };
    if key.is_empty() { Err(SandboxError::EmptyKey) } else { Ok(key) }
}
