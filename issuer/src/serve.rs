//! Runs the issuer.

use crate::config::{Command, Config};
use crate::http::{Desk, routes};
use crate::keys::{KeyError, KeyRing};
use crate::token::{Grant, Role};
use std::fs::{self, OpenOptions};
use std::future::Future;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

const LOOK_AFTER_KEYS: Duration = Duration::from_secs(60);
/// Tokens in files live for an hour and are renewed each minute: nobody finds one that is about to expire.
const FILE_MINUTES: u32 = 60;
/// The group may read them: the programs that use them need not be the issuer's user.
const OWNER_AND_GROUP: u32 = 0o640;
const ALL: u32 = 0o644;

/// Why the issuer does not run.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// Its keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// Tokens would outlive two keys.
    #[error("TOKEN_HOURS must not be more than ROTATE_HOURS")]
    Hours,
    /// The network, signals or a file that others read.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
}

/// Prints a token, or publishes keys until SIGTERM or SIGINT.
///
/// # Errors
/// When keys cannot be read or made, or the address or a file that others read cannot be used.
pub async fn run(config: Config) -> Result<(), IssuerError> {
    // Else there would be tokens of a third key, which a gateway that knows two refuses.
    if config.token_hours > config.rotate_hours {
        return Err(IssuerError::Hours);
    }
    let keys = KeyRing::open(&config.keys_dir)?;
    if let Some(Command::Token { subject, roles, minutes }) = config.command.clone() {
        let token = Grant { subject, roles, minutes }.token(&config, &keys)?;
        println!("{token}");
        return Ok(());
    }
    let stop = stopped()?;
    let failed = |what: String| move |source| IssuerError::Io { what, source };
    let listener = TcpListener::bind(config.listen).await.map_err(failed(format!("listening on {}", config.listen)))?;
    let desk = Desk { config: Arc::new(config), keys: Arc::new(Mutex::new(keys)) };
    publish(&desk)?;
    tracing::info!(address = %desk.config.listen, demo_tokens = desk.config.demo_tokens, "listening");
    let looking_after = tokio::spawn(look_after_keys(desk.clone()));
    axum::serve(listener, routes(desk).into_make_service())
        .with_graceful_shutdown(stop)
        .await
        .map_err(failed("serving HTTP".to_owned()))?;
    looking_after.abort();
    Ok(())
}

fn stopped() -> Result<impl Future<Output = ()> + Send + 'static, IssuerError> {
    let failed = |source| IssuerError::Io { what: "listening for signals".to_owned(), source };
    let mut term = signal(SignalKind::terminate()).map_err(failed)?;
    let mut int = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    })
}

async fn look_after_keys(desk: Desk) {
    let hours = |hours: u32| Duration::from_secs(3_600 * u64::from(hours));
    loop {
        tokio::time::sleep(LOOK_AFTER_KEYS).await;
        let (rotate_after, life) = (hours(desk.config.rotate_hours), hours(desk.config.token_hours));
        if let Err(error) = desk.with_keys(|keys| keys.keep(rotate_after, life, SystemTime::now())) {
            tracing::error!(%error, "keys cannot be looked after; tried again in a minute");
        }
        if let Err(error) = publish(&desk) {
            tracing::error!(%error, "what others read cannot be written; tried again in a minute");
        }
    }
}

/// Writes what others read from files: new tokens, and the newest public keys.
pub(crate) fn publish(desk: &Desk) -> Result<(), IssuerError> {
    let files = [
        (&desk.config.service_token_file, "services", Role::Service),
        (&desk.config.operator_token_file, "auditor", Role::Operator),
    ];
    for (path, subject, role) in files {
        let Some(path) = path else { continue };
        let grant = Grant { subject: subject.to_owned(), roles: vec![role], minutes: Some(FILE_MINUTES) };
        let token = desk.with_keys(|keys| grant.token(&desk.config, keys))?;
        replace(path, &token, OWNER_AND_GROUP)?;
    }
    if let Some(folder) = &desk.config.public_keys_dir {
        let [current, previous] = desk.with_keys(|keys| keys.newest_pems());
        fs::create_dir_all(folder)
            .map_err(|source| IssuerError::Io { what: format!("making {}", folder.display()), source })?;
        // The older one first: whoever reads between the two knows at least what they knew before.
        replace(&folder.join("previous.pem"), &previous, ALL)?;
        replace(&folder.join("current.pem"), &current, ALL)?;
    }
    Ok(())
}

/// Whoever reads the file finds the old content or the new one, never half of it.
fn replace(path: &Path, text: &str, mode: u32) -> Result<(), IssuerError> {
    let beside = path.with_extension("new");
    let written = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&beside, path)
    };
    written().map_err(|source| IssuerError::Io { what: format!("writing {}", path.display()), source })
}
