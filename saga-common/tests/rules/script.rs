//! What the steps of a test are told to do: go on, fail, or stand still at a gate.

use saga_common::{Held, Retry};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

use crate::world::{Fallible, LIMIT};

/// The state of the steps; shared by all benches and replicas of a test.
#[derive(Debug, Default)]
pub(crate) struct Script {
    broken: Mutex<BTreeSet<&'static str>>,
    held_back: Mutex<BTreeSet<&'static str>>,
    gates: Mutex<BTreeMap<&'static str, Gate>>,
    reached: Mutex<Vec<String>>,
    connections_to_lose: AtomicUsize,
    transaction_breakers: Mutex<BTreeSet<&'static str>>,
}

/// A point at which steps stand still until it is opened.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    standing: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Script {
    /// From now on the step fails here.
    pub(crate) fn break_down(&self, point: &'static str) {
        lock(&self.broken).insert(point);
    }

    /// From now on the step's call is held back here for 20 seconds.
    pub(crate) fn hold_back(&self, point: &'static str) {
        lock(&self.held_back).insert(point);
    }

    pub(crate) fn mend(&self, point: &'static str) {
        lock(&self.broken).remove(point);
        lock(&self.held_back).remove(point);
        lock(&self.transaction_breakers).remove(point);
    }

    /// The next so many runs of `reserve` lose their connection to the database.
    pub(crate) fn lose_connections(&self, runs: usize) {
        self.connections_to_lose.store(runs, Ordering::SeqCst);
    }

    /// From now on the step ends its transaction behind the engine's back.
    pub(crate) fn break_transaction(&self, step: &'static str) {
        lock(&self.transaction_breakers).insert(step);
    }

    pub(crate) fn breaks_its_transaction(&self, step: &str) -> bool {
        lock(&self.transaction_breakers).contains(step)
    }

    /// Is this run one that loses its connection?
    pub(crate) fn loses_its_connection(&self) -> bool {
        self.connections_to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    /// From now on steps stand still here, until the gate is opened.
    pub(crate) fn gate(&self, point: &'static str) -> Gate {
        let gate = Gate { standing: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) };
        lock(&self.gates).insert(point, gate.clone());
        gate
    }

    /// From now on nobody stands still here; who does goes on doing so until its gate is opened.
    pub(crate) fn remove_gate(&self, point: &'static str) {
        lock(&self.gates).remove(point);
    }

    /// How often a step came here, committed or not.
    pub(crate) fn count(&self, point: &str) -> usize {
        lock(&self.reached).iter().filter(|reached| *reached == point).count()
    }

    /// The step is here.
    pub(crate) async fn reach(&self, point: &'static str) -> Result<(), Retry> {
        lock(&self.reached).push(point.to_owned());
        let gate = lock(&self.gates).get(point).cloned();
        if let Some(gate) = gate {
            gate.standing.add_permits(1);
            // Closed is as good as open.
            let _ = gate.open.acquire().await;
        }
        if lock(&self.held_back).contains(point) {
            return Err(Held { wait: Duration::from_secs(20), why: format!("{point} would be in vain") }.into());
        }
        if lock(&self.broken).contains(point) {
            return Err(Retry::because(format!("{point} is broken down")));
        }
        Ok(())
    }
}

impl Gate {
    /// Waits until (another) step stands here.
    pub(crate) async fn reached(&self) -> Fallible<()> {
        tokio::time::timeout(LIMIT, self.standing.acquire()).await.map_err(|_| "nobody came to the gate")??.forget();
        Ok(())
    }

    /// Lets everybody through.
    pub(crate) fn open(&self) {
        self.open.close();
    }
}
