//! Tells customers how their orders went. It looks on: no saga waits for it, and it can fail none.
//!
//! Open `participant` first: it is all that this service reacts to. A note is a row here, written with its guard row; a
//! task of its own (`mail`) sends it by e-mail, at least once, and holds up nothing.

#![forbid(unsafe_code)]

mod config;
mod domain;
mod http;
mod mail;
mod participant;
mod steps;
mod store;

pub use config::{Config, MailSettings};
pub use mail::PostError;

use mail::Post;
use saga_common::{Choreography, Error, Service};

/// The tables of this service; the engine has its own.
static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// Where it listens unless told otherwise.
const LISTEN: &str = "127.0.0.1:8083";

/// Connections of the task that sends: readers must not keep e-mails waiting, nor e-mails readers.
const MAIL_CONNECTIONS: u32 = 2;

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The engine refused: a setting, the database, the broker or the address to listen on.
    #[error(transparent)]
    Engine(#[from] saga_common::StartError),
    /// The settings of e-mail cannot work.
    #[error(transparent)]
    Mail(#[from] PostError),
}

impl From<Error> for StartError {
    fn from(error: Error) -> Self {
        Self::Engine(error.into())
    }
}

impl From<saga_common::config::SettingError> for StartError {
    fn from(error: saga_common::config::SettingError) -> Self {
        Self::Engine(error.into())
    }
}

/// What this service reacts to, says, refuses and undoes, as data: what `GET /choreography` answers.
///
/// # Errors
/// When its steps do not fit together.
pub fn choreography() -> Result<Choreography, Error> {
    Ok(participant::participant(mail::handover().0)?.map())
}

/// Runs the service until SIGTERM or SIGINT, then drains. Whatever it was doing when it is killed instead is either
/// committed or as if it had never begun.
///
/// # Errors
/// When a setting is missing, the database cannot be reached or is not durable, a migration fails, or an address cannot
/// be used. The mail server is not asked: without it the service runs, and e-mails wait.
pub async fn run(config: Config) -> Result<(), StartError> {
    let post = Post::new(&config.mail)?;
    let pool = saga_common::db::reads(&config.engine.database_url()?, MAIL_CONNECTIONS).map_err(Error::from)?;
    let (handover, arriving) = mail::handover();
    let participant = participant::participant(handover).map_err(Error::from)?;
    let service = Service::prepare(participant, config.engine, &MIGRATOR).await?;
    let routes = http::routes(service.reads());
    service.spawn(|stop| mail::deliver(pool.clone(), post, arriving, stop));
    service.spawn(|stop| mail::observe(pool, stop));
    Ok(service.serve(LISTEN, routes).await?)
}
