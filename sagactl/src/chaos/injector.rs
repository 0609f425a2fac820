//! Carries a schedule out: every fault at its time, and what cannot happen together one after the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, RwLock, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::dice::Dice;
use super::kinds::{Call, Claim, Done, NotInjected, Outcome};
use super::rig::Rig;
use super::schedule::Planned;
use crate::stack::Program;

/// A fault takes at most so much longer than it is meant to.
const OVERTIME: Duration = Duration::from_secs(120);
/// A fault that had to wait for others longer than this does not strike any more: on a slow machine they would pile up.
const LATEST: Duration = Duration::from_secs(30);

/// A fault that was injected, or should have been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Injection {
    /// The kind's name.
    pub kind: String,
    /// Who was hit; none for the system as a whole.
    pub target: Option<Program>,
    /// When it was planned, in milliseconds after the start.
    pub planned_ms: u64,
    /// When it struck.
    pub began: DateTime<Utc>,
    /// When it was over.
    pub ended: DateTime<Utc>,
    /// What became of it.
    pub came_to: CameTo,
    /// In a few words.
    pub detail: String,
    /// From when on its recovery counts until the services it hit settled a step again, in milliseconds.
    pub recovered_after_ms: Option<u64>,
}

/// What became of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CameTo {
    /// It struck.
    Struck,
    /// It was ready, and nothing came by.
    Missed,
    /// It could not be injected.
    Failed,
}

/// Who has whom for itself.
#[derive(Debug)]
struct Claims {
    servers: RwLock<()>,
    processes: BTreeMap<Program, Mutex<()>>,
}

/// Injects everything; ends when all of it has ended, early if `stop` becomes true. `tell` hears of every fault.
pub async fn inject_all(
    rig: &Arc<Rig>,
    planned: Vec<Planned>,
    mut stop: watch::Receiver<bool>,
    tell: impl Fn(&Injection) + Send + Sync + 'static,
) -> Vec<Injection> {
    let claims = Claims {
        servers: RwLock::default(),
        processes: Program::ALL.into_iter().map(|program| (program, Mutex::default())).collect(),
    };
    let (claims, tell) = (Arc::new(claims), Arc::new(tell));
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for one in planned {
        tokio::select! {
            () = sleep_until(begun + Duration::from_millis(one.at_ms)) => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
        let (rig, claims, tell) = (Arc::clone(rig), Arc::clone(&claims), Arc::clone(&tell));
        running.spawn(async move {
            let injection = inject(&rig, &claims, &one, begun).await;
            tell(&injection);
            injection
        });
    }
    let mut all = Vec::new();
    while let Some(ended) = running.join_next().await {
        all.extend(ended.ok());
    }
    all.sort_by_key(|it| it.began);
    all
}

async fn inject(rig: &Rig, claims: &Claims, planned: &Planned, begun: Instant) -> Injection {
    let Planned { at_ms, kind, target, lasts_ms, seed } = planned;
    // Held until the end. Nobody holds one kind of claim and waits for another.
    let (mut _all, mut _shared, mut _process) = (None, None, None);
    match kind.claim {
        Claim::Servers => _all = Some(claims.servers.write().await),
        Claim::ServersUp => _shared = Some(claims.servers.read().await),
        Claim::Target => {
            if let Some(process) = target.and_then(|target| claims.processes.get(&target)) {
                _process = Some(process.lock().await);
            }
        }
        Claim::Nothing => {}
    }
    let lasts = Duration::from_millis(*lasts_ms);
    let call = Call { target: *target, lasts, dice: Dice::new(*seed, 2) };
    let began = Utc::now();
    let late = || Err(NotInjected(format!("it has not ended {} s after its time", OVERTIME.as_secs())));
    let outcome: Outcome = if begun.elapsed() > Duration::from_millis(*at_ms) + LATEST {
        Ok(Done::missed("others took so long that its time was over"))
    } else {
        timeout(lasts + OVERTIME, kind.inject(rig, call)).await.unwrap_or_else(|_| late())
    };
    let ended = Utc::now();
    let (came_to, detail, began) = match outcome {
        Ok(done) if done.fired => (CameTo::Struck, done.detail, done.struck_at.unwrap_or(began)),
        Ok(done) => (CameTo::Missed, done.detail, began),
        Err(error) => (CameTo::Failed, error.to_string(), began),
    };
    let (kind, target, planned_ms) = (kind.name.to_owned(), *target, *at_ms);
    Injection { kind, target, planned_ms, began, ended, came_to, detail, recovered_after_ms: None }
}
