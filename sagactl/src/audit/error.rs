//! Why an audit could not be made.

use std::error::Error as _;
use std::io;

use tokio_postgres::Config;
use tokio_postgres::config::Host;
use tokio_postgres::error::SqlState;

use super::Database;

/// Something could not be read. Each prints as one sentence, without the URL's password.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The connection to a database was refused.
    #[error("nothing listens on {address}, where the {database} database should be")]
    NobodyListens {
        /// Which.
        database: Database,
        /// Host and port.
        address: String,
    },

    /// No connection to a database, or it broke.
    #[error("the {database} database cannot be reached: {reason}")]
    Unreachable {
        /// Which.
        database: Database,
        /// What the driver says.
        reason: String,
    },

    /// A table or column is not there.
    #[error(
        "the {database} database lacks what the audit reads ({reason}): has {database}'s service been started on it?"
    )]
    MissingTable {
        /// Which.
        database: Database,
        /// What PostgreSQL says, such as `relation "stock" does not exist`.
        reason: String,
    },

    /// A query failed for another reason, such as a missing permission.
    #[error("the {database} database refused to tell {purpose}: {reason}")]
    Query {
        /// Which.
        database: Database,
        /// What was asked for.
        purpose: String,
        /// What PostgreSQL says.
        reason: String,
    },

    /// The load client's history could not be read.
    #[error("the history {file} cannot be read: {reason}")]
    History {
        /// Its path.
        file: String,
        /// What went wrong, and in which line.
        reason: String,
    },

    /// The broker could not be asked for its queues.
    #[error("the broker cannot be asked for its queues: {reason}")]
    Broker {
        /// What went wrong.
        reason: String,
    },

    /// The payment provider's ledger could not be listed.
    #[error("the payment provider at {url} cannot be asked for its ledger: {reason}")]
    Provider {
        /// Its base URL.
        url: String,
        /// What went wrong.
        reason: String,
    },
}

impl AuditError {
    /// No connection could be made to the server that `config` describes.
    pub(super) fn unconnected(database: Database, config: &Config, error: &tokio_postgres::Error) -> Self {
        let io = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
        match (io.map(io::Error::kind), config.get_hosts()) {
            (Some(io::ErrorKind::ConnectionRefused), [Host::Tcp(host), ..]) => {
                let port = config.get_ports().first().copied().unwrap_or(5432);
                Self::NobodyListens { database, address: format!("{host}:{port}") }
            }
            _ => Self::unreachable(database, error),
        }
    }

    pub(super) fn unreachable(database: Database, error: &tokio_postgres::Error) -> Self {
        Self::Unreachable { database, reason: sentence(error) }
    }

    pub(super) fn query(database: Database, purpose: &str, error: &tokio_postgres::Error) -> Self {
        let reason = sentence(error);
        match error.code() {
            Some(&SqlState::UNDEFINED_TABLE | &SqlState::UNDEFINED_COLUMN | &SqlState::INVALID_SCHEMA_NAME) => {
                Self::MissingTable { database, reason }
            }
            Some(_) => Self::Query { database, purpose: purpose.to_owned(), reason },
            None => Self::Unreachable { database, reason },
        }
    }

    /// The system may only be restarting, so that asking again makes sense.
    pub(super) fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::NobodyListens { .. } | Self::Unreachable { .. } | Self::Provider { .. } | Self::Broker { .. }
        )
    }
}

/// The driver's own text says only "db error"; the server's says what.
fn sentence(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(server), _) => server.message().to_owned(),
        (None, Some(cause)) => cause.to_string(),
        (None, None) => error.to_string(),
    }
}
