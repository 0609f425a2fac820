//! Looks once a second at what piles up and at memory, while the load runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval};
use tokio_postgres::Client;

use super::processes::{self, Part};
use super::run::TAP;
use crate::stack::{StackRecord, session};

const EVERY: Duration = Duration::from_secs(1);

const OUTBOX: &str = "select coalesce(sum(cardinality(coalesce(unsent, ids))), 0)::int8,
           coalesce((extract(epoch from clock_timestamp() - min(created_at)) * 1000)::int8, 0) from saga.outbox";

/// One look.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds since the beginning of the load.
    pub second: f64,
    /// Messages in all queues, by the broker's own count, which may be some seconds old; `None` if it did not say.
    pub queued: Option<u64>,
    /// Messages in all outboxes: unpublished, or published and not yet deleted.
    pub outbox_rows: u64,
    /// Age of the oldest of them, in milliseconds.
    pub outbox_age_ms: u64,
    /// Resident memory of each program, in KiB; of several processes of one program the largest.
    pub resident_kib: BTreeMap<String, u64>,
}

/// Looks until it is stopped.
pub(super) struct Sampling {
    task: tokio::task::JoinHandle<()>,
    samples: Arc<Mutex<Vec<Sample>>>,
}

impl Sampling {
    /// Begins.
    pub(super) fn start(stack: StackRecord, parts: Vec<Part>, begun: Instant) -> Self {
        let samples = Arc::<Mutex<Vec<Sample>>>::default();
        let shared = Arc::clone(&samples);
        let task = tokio::spawn(async move {
            let databases = connect(&stack).await;
            let mut ticks = interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                ticks.tick().await;
                let sample = sample(&stack, &parts, &databases, begun).await;
                shared.lock().await.push(sample);
            }
        });
        Self { task, samples }
    }

    /// Ends, and returns all looks.
    pub(super) async fn end(self) -> Vec<Sample> {
        self.task.abort();
        std::mem::take(&mut *self.samples.lock().await)
    }
}

async fn connect(stack: &StackRecord) -> Vec<Client> {
    let urls: std::collections::BTreeSet<&String> =
        stack.processes.iter().filter_map(|process| process.database_url.as_ref()).collect();
    let mut databases = Vec::new();
    for url in urls {
        databases.extend(session(url).await.ok());
    }
    databases
}

async fn sample(stack: &StackRecord, parts: &[Part], databases: &[Client], begun: Instant) -> Sample {
    let mut sample = Sample {
        second: begun.elapsed().as_secs_f64(),
        resident_kib: processes::resident_kib(parts),
        ..Sample::default()
    };
    for database in databases {
        if let Ok(row) = database.query_one(OUTBOX, &[]).await {
            let (rows, age_ms): (i64, i64) = (row.get(0), row.get(1));
            sample.outbox_rows += rows.unsigned_abs();
            sample.outbox_age_ms = sample.outbox_age_ms.max(u64::try_from(age_ms).unwrap_or_default());
        }
    }
    // The tap keeps what has passed; nobody consumes it.
    if let Ok(queues) = stack.management.queues(&stack.vhost).await {
        sample.queued = Some(queues.iter().filter(|queue| queue.name != TAP).map(|queue| queue.messages).sum());
    }
    sample
}
