//! Runs waiting rows that are due, through the normal handlers (R8). Redrive is nothing but setting a row due.

use super::alone::{run_alone, take_back};
use super::fate::{give_up, patience};
use super::settle::{Inbound, subject};
use crate::db::DbError;
use crate::engine::Engine;
use crate::error::chain;
use crate::faults::{self, Lane};
use crate::retry::Patience;
use crate::waiting::{self, Due, WaitingKey};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Rows run before the others of this task's duties have their turn.
const ROWS_A_LOOK: usize = 32;
/// How long a row that was taken is left alone by other replicas: how soon somebody else takes up what a process that has
/// died was at.
const LEASE: Duration = Duration::from_secs(5);
const RENEW_EVERY: Duration = Duration::from_millis(1_500);

/// Looks for due rows until stopped.
pub(crate) async fn run_due<App: Send + Sync + 'static>(engine: Arc<Engine<App>>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = engine.new_due.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => return,
        }
        if let Err(error) = run_what_is_due(&engine, &stop).await {
            tracing::warn!(error = %chain(&error), "waiting messages cannot be looked up");
        }
    }
}

/// Runs the rows that are due, one after another and each once; tells how many it took. Each is taken when its turn comes:
/// what is behind one that takes long is free for other replicas.
pub(crate) async fn run_what_is_due<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    stop: &CancellationToken,
) -> Result<usize, DbError> {
    let (mut taken, mut since) = (0, None);
    while taken < ROWS_A_LOOK && !stop.is_cancelled() {
        let Some((row, now)) = waiting::take_due(&engine.db, since, LEASE).await? else { break };
        taken += 1;
        since.get_or_insert(now);
        let key = row.key.clone();
        let about = subject(&row.envelope).into_iter().collect();
        let ran = tokio::select! {
            ran = engine.faults().scope_in(Some(Lane::Waiting), || about, run(engine, row, stop)) => ran,
            never = renew(engine, &key) => match never {},
        };
        if let Err(why) = ran {
            tracing::warn!(error = %why, "an attempt was cut short; the row falls due again");
            break;
        }
    }
    Ok(taken)
}

/// Keeps other replicas from what is being run, for as long as this process lives.
async fn renew<App>(engine: &Engine<App>, key: &WaitingKey) -> Infallible {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        if let Err(error) = waiting::renew(&engine.db, key, LEASE).await {
            tracing::warn!(error = %chain(&error), "the lease of a waiting message cannot be renewed");
        }
    }
}

/// Once, and once more if a fault has duplicated it.
async fn run<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    row: Due,
    stop: &CancellationToken,
) -> Result<(), String> {
    faults::AFTER_DUE.reached().await.map_err(|fault| fault.to_string())?;
    attempt(engine, row.clone(), stop).await?;
    let of_saga = |row: &Due| row.envelope.saga_id.as_ref().ok().copied();
    for row in engine.faults().take_duplicates(Lane::Waiting, &[row], of_saga) {
        attempt(engine, row, stop).await?;
    }
    Ok(())
}

async fn attempt<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    row: Due,
    stop: &CancellationToken,
) -> Result<(), String> {
    // Counted when its turn comes: those behind a message that ends the process are not counted with it.
    let attempts = waiting::count_attempt(&engine.db, &row.key, LEASE).await.map_err(|e| chain(&e))?;
    let key = row.key.clone();
    let ended = run_counted(engine, row, attempts).await;
    if ended.is_err() {
        take_back(engine, &key, attempts, stop).await;
    }
    ended
}

/// `Err`: the database is gone, so the attempt does not count.
async fn run_counted<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    row: Due,
    attempts: u32,
) -> Result<(), String> {
    faults::AFTER_COUNT.reached().await.map_err(|fault| fault.to_string())?;
    // An attempt that fails says so; one that is only counted has ended the process. Where nothing may be given up, more
    // attempts than that are no sign of it.
    let most = match (row.suspect, patience(engine, row.queue, &row.envelope)) {
        (true, _) => engine.retry.fatal_attempts,
        (false, Patience::Bounded) => engine.retry.attempts,
        (false, Patience::Endless) => u32::MAX,
    };
    // The one before it waited is in no row.
    let inbound = Inbound { attempt: attempts.saturating_add(1), ..Inbound::new(row.envelope, Some(row.key)) };
    if attempts > most {
        let reason = format!("{most} attempts that did not end, or ended the service");
        return give_up(engine, row.queue, &inbound, attempts, reason).await;
    }
    tracing::debug!(message.id = %inbound.envelope.message_id, attempt = attempts, "trying again");
    run_alone(engine, row.queue, inbound, attempts).await
}
