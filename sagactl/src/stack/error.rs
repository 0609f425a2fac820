//! What can go wrong while starting or handling a stack.

use std::io;
use std::path::{Path, PathBuf};

/// Why a stack, or a part of it, could not be started, found or handled.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A server program is not on this machine; the text says how to get it.
    #[error("{0}")]
    Missing(String),
    /// A setting makes no sense.
    #[error("{0}")]
    Setting(String),
    /// Another process uses the data folder.
    #[error("the data folder {} is in use by another running stack", .0.display())]
    Locked(PathBuf),
    /// No running stack was found where it was looked for.
    #[error("no running stack in {}: start one with `cargo demo` or `sagactl up`, or point --data at its folder", .0.display())]
    NotRunning(PathBuf),
    /// Every block of ports is taken.
    #[error("no free ports between 20000 and 32000 on 127.0.0.1")]
    NoPorts,
    /// A file or process operation failed.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried, to be read after "cannot".
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A process ended while it was being started.
    #[error("{name} ended while starting ({status}); the end of its log:\n{tail}")]
    Died {
        /// Which process.
        name: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The last lines it wrote.
        tail: String,
    },
    /// A process runs but did not become ready in time.
    #[error("{name} was not ready after {seconds} s; the end of its log:\n{tail}")]
    NotReady {
        /// Which process.
        name: String,
        /// How long was waited, in seconds.
        seconds: u64,
        /// The last lines it wrote.
        tail: String,
    },
    /// PostgreSQL refused something.
    #[error("PostgreSQL: cannot {doing}: {}", database_says(.source))]
    Postgres {
        /// What was tried, to be read after "cannot".
        doing: String,
        /// Why it failed.
        source: tokio_postgres::Error,
    },
    /// RabbitMQ's management API was not reached.
    #[error("RabbitMQ management: cannot {doing}: {source}")]
    Management {
        /// What was tried, to be read after "cannot".
        doing: String,
        /// Why it failed.
        source: reqwest::Error,
    },
    /// The issuer gives no token.
    #[error(transparent)]
    NoToken(#[from] crate::client::NoToken),
    /// The server was given by URL, so it cannot be stopped or started from here.
    #[error("cannot {0}: that server was given by URL and is not ours to handle")]
    NotOurs(&'static str),
    /// There is no such service or replica in this stack.
    #[error("{0} is not running in this stack")]
    NoSuchService(String),
    /// A service's program has not been built.
    #[error("{} does not exist: run `cargo build --workspace` first", .0.display())]
    NotBuilt(PathBuf),
    /// A service's program is older than what it is made from.
    #[error("{} is older than {}: run `cargo build --workspace` first", binary.display(), source_file.display())]
    Stale {
        /// The program.
        binary: PathBuf,
        /// A newer source file.
        source_file: PathBuf,
    },
    /// `cargo build` failed; it has said why.
    #[error("cargo build failed ({0})")]
    Build(std::process::ExitStatus),
}

/// tokio-postgres hides the server's words in the source.
pub(crate) fn database_says(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => said.to_string(),
        None => error.to_string(),
    }
}

/// Adds what was tried to an I/O error.
pub(super) trait Doing<T> {
    fn doing(self, what: &str) -> Result<T, StackError>;
    fn doing_with(self, what: &str, path: &Path) -> Result<T, StackError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: &str) -> Result<T, StackError> {
        self.map_err(|source| StackError::Io { doing: what.into(), source })
    }

    fn doing_with(self, what: &str, path: &Path) -> Result<T, StackError> {
        self.map_err(|source| StackError::Io { doing: format!("{what} {}", path.display()), source })
    }
}
