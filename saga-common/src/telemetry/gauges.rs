//! Gauges: what the engine's tables, the pools and the broker look like, every few seconds. Those of tables are the same at
//! every replica of a service, so a sum of them means nothing.

use super::meters::{CALL, Meters, UNDO};
use super::names as name;
use super::tally::since;
use crate::db::{Db, DbError};
use crate::health::Health;
use crate::ids::now_ms;
use crate::outbox::Outbox;
use crate::{announcer, jobs, outbox, waiting};
use metrics::gauge;
use sqlx::PgPool;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Looks at once, and again and again until stopped.
pub(crate) async fn keep_up(health: Arc<Health>, reads: PgPool, outbox: Outbox, stop: CancellationToken) {
    loop {
        look_at_links(&health);
        look_at_pools(&health.db, &reads);
        // It is bounded by itself; a limit around it would give a connection back to which an answer is still owed.
        let looked = look_at_tables(&health.db, outbox.meters()).await;
        set(name::DATABASE_UP, f64::from(u8::from(looked.is_ok())));
        tokio::select! { () = tokio::time::sleep(LOOK_EVERY) => {}, () = stop.cancelled() => return }
    }
}

fn set(gauge: &'static str, value: f64) {
    gauge!(gauge).set(value);
}

#[allow(clippy::cast_precision_loss)]
fn number(n: i64) -> f64 {
    n as f64
}

#[allow(clippy::cast_precision_loss)]
fn count(n: usize) -> f64 {
    n as f64
}

fn look_at_links(health: &Health) {
    for (link, name) in [(&health.consuming, "consumer"), (&health.publishing, "publisher")] {
        gauge!(name::BROKER_CONNECTED, "link" => name).set(f64::from(u8::from(link.is_connected())));
    }
    set(name::BROKER_BLOCKED, f64::from(u8::from(health.publishing.is_blocked())));
    set(name::CONSUMERS, count(health.subscribed.load(Ordering::Relaxed)));
    set(name::CONSUMERS_WANTED, count(health.consumers));
}

fn look_at_pools(db: &Db, reads: &PgPool) {
    let of = |pool: &'static str, idle: usize, all: usize, most: usize| {
        gauge!(name::CONNECTIONS, "pool" => pool, "state" => "idle").set(count(idle));
        gauge!(name::CONNECTIONS, "pool" => pool, "state" => "busy").set(count(all.saturating_sub(idle)));
        gauge!(name::CONNECTIONS_MAX, "pool" => pool).set(count(most));
    };
    let transactions = db.status();
    of("transactions", transactions.available, transactions.size, transactions.max_size);
    of("reads", reads.num_idle(), reads.size() as usize, reads.options().get_max_connections() as usize);
    set(name::CONNECTIONS_WAITERS, count(transactions.waiting));
}

async fn look_at_tables(db: &Db, meters: &Meters) -> Result<(), DbError> {
    let (messages, oldest) = outbox::backlog(db).await?;
    set(name::OUTBOX, number(messages));
    set(name::OUTBOX_OLDEST, oldest);
    let [waiting, parked] = waiting::backlog(db).await?;
    set(name::WAITING, number(waiting.messages));
    set(name::WAITING_OLDEST, waiting.oldest_seconds);
    set(name::PARKED_NOW, number(parked.messages));
    set(name::PARKED_OLDEST, parked.oldest_seconds);
    let (open, oldest) = announcer::open(db).await?;
    set(name::ANNOUNCEMENTS, number(open));
    let begun = oldest.and_then(|saga| saga.made_at_ms());
    set(name::ANNOUNCEMENTS_OLDEST, begun.map_or(0.0, |at| since(at, now_ms()).as_secs_f64()));
    if meters.calling().is_empty() {
        return Ok(());
    }
    let open = jobs::open(db).await?;
    for step in meters.calling() {
        for phase in [CALL, UNDO] {
            let its = open.iter().find(|jobs| jobs.step == *step && jobs.phase == phase);
            let of = |gauge: &'static str, value: f64| gauge!(gauge, "step" => *step, "phase" => phase).set(value);
            of(name::JOBS, its.map_or(0.0, |jobs| number(jobs.jobs)));
            of(name::JOBS_UNKNOWN, its.map_or(0.0, |jobs| number(jobs.unknown)));
            of(name::JOBS_OLDEST, its.map_or(0.0, |jobs| jobs.oldest_seconds));
        }
    }
    Ok(())
}
