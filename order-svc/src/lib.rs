//! Takes orders over HTTP, owns their sagas, and decides between confirmed and cancelled.
//!
//! Open `participant` first: it is all that this service reacts to, says, refuses and undoes.

#![forbid(unsafe_code)]

mod cancel;
mod catalogue;
mod config;
mod deadline;
mod domain;
mod figures;
mod fulfilment;
mod http;
mod keys;
mod maps;
mod metrics;
mod participant;
mod peers;
mod placement;
#[cfg(test)]
mod properties;
mod reads;
mod status;
mod steps;
mod store;
mod watch;

pub use config::Config;

use saga_common::{Choreography, Error, Service, StartError};

/// The tables of this service; the engine has its own.
static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// Where it listens unless told otherwise.
const LISTEN: &str = "127.0.0.1:8080";

/// Loops that read, each one statement at a time.
const LOOP_READS: u32 = 4;

/// What the steps see.
pub(crate) struct App {
    /// Participants that must answer a cancellation.
    pub(crate) required_answers: Vec<String>,
}

/// What this service reacts to, says, refuses and undoes, as data: what `GET /choreography` answers.
///
/// # Errors
/// When its steps do not fit together.
pub fn choreography() -> Result<Choreography, Error> {
    Ok(participant::participant(App { required_answers: Vec::new() })?.map())
}

/// Runs the service until SIGTERM or SIGINT, then drains. Whatever it was doing when it is killed instead is either
/// committed or as if it had never begun.
///
/// # Errors
/// When a setting is missing, or the database or the address to listen on cannot be used.
pub async fn run(config: Config) -> Result<(), StartError> {
    let app = App { required_answers: config.participants.clone() };
    let participant = participant::participant(app).map_err(Error::from)?;
    let own_map = participant.map();
    // What goes on by itself has connections of its own: a crowd of readers must not keep deadlines waiting.
    let loop_reads = saga_common::db::reads(&config.engine.database_url()?, LOOP_READS).map_err(Error::from)?;
    let service = Service::prepare(participant, config.engine.clone(), &MIGRATOR).await?;
    metrics::begin();
    let watch = watch::Watch::default();
    let (placements, waiting) = placement::queue();
    let saga = service.saga();
    service.spawn(|_| placement::commit_groups(saga, waiting, placement::Terms::of(&config)));
    let saga = service.saga();
    service.spawn(|stop| deadline::cancel_overdue(saga, loop_reads.clone(), stop));
    service.spawn(|stop| deadline::forget_request_keys(loop_reads.clone(), stop));
    service.spawn(|stop| watch::look(watch.clone(), loop_reads.clone(), stop));
    service.spawn(|stop| metrics::look(loop_reads, stop));
    let (maps, required) = (maps::Maps::new(own_map, peers::Peers::new(&config)), config.participants.clone());
    service.spawn(|stop| maps::check(required, maps.clone(), stop));
    let (reads, saga) = (service.reads(), service.saga());
    let shop = http::Shop::new(&config, reads, saga, placements, watch, maps)?;
    service.serve_with_page(LISTEN, http::routes(shop), http::page()).await
}
