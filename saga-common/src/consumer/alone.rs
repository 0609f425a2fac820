//! One event by itself: it may have ended the process before, or its batch has failed. Each attempt counts, but for those that
//! say nothing about the event.

use super::fate::{Redrive, SUSPECT_AGAIN, give_up, park, patience, postpone, waiting_key};
use super::settle::{Failed, Inbound, run, until_settled};
use crate::engine::Engine;
use crate::error::chain;
use crate::faults;
use crate::retry::Decision;
use crate::step::StepError;
use crate::topology::QueueRole;
use crate::waiting::{self, WaitingKey};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Counted before the handler starts: what ends the process has counted. `Err`: the database is gone, so it does not count.
pub(super) async fn attempt<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    role: QueueRole,
    inbound: Inbound,
    stop: &CancellationToken,
) -> Result<(), String> {
    let key = waiting_key(engine, role, &inbound.envelope);
    let attempts = waiting::count_attempt(&engine.db, &key, SUSPECT_AGAIN).await.map_err(|e| chain(&e))?;
    let ended = run_suspect(engine, role, inbound, attempts).await;
    if ended.is_err() {
        take_back(engine, &key, attempts, stop).await;
    }
    ended
}

/// Takes an attempt back that says nothing about the message: a database that goes away again and again must not get it
/// parked. A stop does not wait for the database: it tries once more while there is time to drain. If it is not back by then,
/// or the process is killed during the outage, the attempt stays counted, as one that ended the process: harmless, unless
/// all the attempts that a suspect has end so, before the pivot; then it is parked for a person.
pub(super) async fn take_back<App>(engine: &Engine<App>, key: &WaitingKey, counted: u32, stop: &CancellationToken) {
    let uncount = async || waiting::uncount_attempt(&engine.db, key, counted).await.map_err(|e| chain(&e));
    if until_settled(stop, uncount).await.is_some() {
        return;
    }
    let why = match tokio::time::timeout(engine.settings.drain() / 2, uncount()).await {
        Ok(Ok(_)) => return,
        Ok(Err(why)) => why,
        Err(_) => "the database does not answer".to_owned(),
    };
    tracing::warn!(message.id = %key.0, error = %why, "an attempt that the database has ended stays counted");
}

/// A message that was suspect before: it may have ended the process.
async fn run_suspect<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    role: QueueRole,
    inbound: Inbound,
    attempts: u32,
) -> Result<(), String> {
    faults::AFTER_COUNT.reached().await.map_err(|fault| fault.to_string())?;
    if attempts > engine.retry.fatal_attempts {
        let reason = format!("the service ended {} times while handling this message", engine.retry.fatal_attempts);
        return give_up(engine, role, &inbound, attempts, reason).await;
    }
    run_alone(engine, role, inbound, 1).await
}

/// Runs one event; what passes by itself is tried again in place; what fails otherwise waits or is parked.
/// `attempts` counts this one.
pub(super) async fn run_alone<App: Send + Sync + 'static>(
    engine: &Arc<Engine<App>>,
    role: QueueRole,
    inbound: Inbound,
    attempts: u32,
) -> Result<(), String> {
    let mut in_place = 0;
    let error = loop {
        match run(engine, role, vec![inbound.clone()]).await {
            // A copy has got a row meanwhile, and is taken up from there.
            Ok(()) | Err(Failed::Held(_)) => return Ok(()),
            Err(Failed::Gone(why)) => return Err(why),
            Err(Failed::Passing(why)) => {
                in_place += 1;
                if in_place > engine.retry.in_place {
                    break StepError::Retry(crate::step::Retry::because(why));
                }
            }
            Err(Failed::Own(error)) => break error,
        }
    };
    match error {
        StepError::DeadLetter(reason) => give_up(engine, role, &inbound, attempts, reason).await,
        StepError::Retry(retry) => {
            let patience = patience(engine, role, &inbound.envelope);
            match engine.retry.after(attempts, patience, rand::random()) {
                Decision::Wait(wait) => postpone(engine, role, &inbound, format!("{retry:?}"), wait).await,
                Decision::Park => park(engine, role, &inbound, format!("{retry:?}"), Redrive::Allowed).await,
            }
        }
    }
}
