//! Charges wallets in its own database and cards at a payment provider, and gives the money back when an order fails.
//!
//! Open `participant` first: it is all that this service reacts to, says, refuses and undoes. The stand-in for a
//! provider is [`sandbox`].

#![forbid(unsafe_code)]

mod config;
mod domain;
mod http;
mod participant;
pub mod provider;
pub mod sandbox;
mod steps;
mod store;

pub use config::Config;

use provider::{ClientError, ProviderClient, ProviderKey, ProviderTimeouts};
use saga_common::db::DbError;
use saga_common::{Choreography, Service};

/// The tables of this service; the engine has its own.
static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// Where it listens unless told otherwise.
const LISTEN: &str = "127.0.0.1:8081";

/// What the steps see.
pub(crate) struct App {
    /// Where cards are charged.
    pub(crate) provider: ProviderClient,
}

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The engine refused: a setting, the database, the broker or the address to listen on.
    #[error(transparent)]
    Engine(#[from] saga_common::StartError),
    /// The payment provider's URL or key cannot work.
    #[error(transparent)]
    Provider(#[from] ClientError),
}

impl From<saga_common::config::SettingError> for StartError {
    fn from(error: saga_common::config::SettingError) -> Self {
        Self::Engine(error.into())
    }
}

impl From<saga_common::Error> for StartError {
    fn from(error: saga_common::Error) -> Self {
        Self::Engine(error.into())
    }
}

impl From<DbError> for StartError {
    fn from(error: DbError) -> Self {
        saga_common::Error::from(error).into()
    }
}

/// What this service reacts to, says, refuses and undoes, as data: what `GET /choreography` answers.
///
/// # Errors
/// When its steps do not fit together.
pub fn choreography() -> Result<Choreography, StartError> {
    // Nobody is asked for a map, least of all the provider.
    let provider = ProviderClient::new("http://localhost", &ProviderKey::new("nobody"), ProviderTimeouts::default())?;
    Ok(participant::participant(App { provider }).map_err(saga_common::Error::from)?.map())
}

/// Runs the service until SIGTERM or SIGINT, then drains. Whatever it was doing when it is killed instead is either
/// committed or as if it had never begun.
///
/// # Errors
/// When a setting is missing, or the database, the broker's URL or the address to listen on cannot be used. The
/// provider is not asked: without it the service runs, and cards wait.
pub async fn run(config: Config) -> Result<(), StartError> {
    let provider = config.provider()?;
    let participant = participant::participant(App { provider: provider.clone() }).map_err(saga_common::Error::from)?;
    let mut service = Service::prepare(participant, config.engine, &MIGRATOR).await?;
    let saga = service.saga();
    let unit = saga.begin().await?;
    store::set_opening_balance(unit.tx(), config.opening_balance_minor).await?;
    saga.commit(unit).await?;
    // Without the provider wallets, undos of what was never charged, and waiting go on: no reason to be taken for unready.
    provider.show();
    service.note(move || provider.trouble());
    let routes = http::routes(http::Desk { saga, reads: service.reads() });
    Ok(service.serve(LISTEN, routes).await?)
}
