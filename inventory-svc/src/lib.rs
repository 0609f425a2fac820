//! Keeps the stock: reserves it when an order is placed, sells it when the order is confirmed, and gives it back when
//! the order fails.
//!
//! Open `participant` first: it is all that this service reacts to, says, refuses and undoes.

#![forbid(unsafe_code)]

mod config;
mod domain;
mod http;
mod participant;
mod steps;
mod store;
#[cfg(test)]
mod upgrades;

pub use config::Config;

use saga_common::{Choreography, Error, Service, StartError};

/// The tables of this service; the engine has its own.
static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// Where it listens unless told otherwise.
const LISTEN: &str = "127.0.0.1:8082";

/// What this service reacts to, says, refuses and undoes, as data: what `GET /choreography` answers.
///
/// # Errors
/// When its steps do not fit together.
pub fn choreography() -> Result<Choreography, Error> {
    Ok(participant::participant()?.map())
}

/// Runs the service until SIGTERM or SIGINT, then drains. Whatever it was doing when it is killed instead is either
/// committed or as if it had never begun.
///
/// # Errors
/// When a setting is missing, the database cannot be reached or is not durable, a migration fails, or an address cannot
/// be used.
pub async fn run(config: Config) -> Result<(), StartError> {
    let participant = participant::participant().map_err(Error::from)?;
    let service = Service::prepare(participant, config.engine, &MIGRATOR).await?;
    let routes = http::routes(http::Warehouse { saga: service.saga(), reads: service.reads() });
    service.serve(LISTEN, routes).await
}
