//! The far side of [`Faults`](super::Faults): what sagas carry, what the process itself is to suffer, and the firing.

use super::directive::{Action, Directive, Directives};
use super::memory::{Carried, Memory};
use super::{Fault, FaultPoint, Lane, Subject, store};
use crate::db::{Db, DbError};
use crate::error::chain;
use crate::event::routing_key;
use crate::ids::SagaId;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

tokio::task_local! {
    /// What the running task handles.
    pub(super) static SCOPE: Scope;
}

#[derive(Clone)]
pub(super) struct Scope {
    pub(super) injector: Arc<Injector>,
    /// `None`: nobody would handle anything again, so nothing is duplicated; and nothing is held, because it would hold
    /// everybody (a group of placements, a loop that serves all sagas) or could not be released.
    pub(super) lane: Option<Lane>,
    pub(super) subjects: Arc<Vec<(Subject, Carried)>>,
}

pub(super) struct Injector {
    service: String,
    db: Db,
    /// Set once the service takes work: holds end when it stops.
    stop: OnceLock<CancellationToken>,
    memory: Mutex<Memory>,
    own: Mutex<Own>,
    duplicated: Mutex<BTreeSet<(Lane, SagaId)>>,
    counts: Mutex<BTreeMap<(&'static str, String), Count>>,
}

/// Directives of the process itself.
struct Own {
    directives: Directives,
    rng: StdRng,
}

/// How often a point was reached, and how often something happened there.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Count {
    pub(crate) reached: u64,
    pub(crate) fired: u64,
}

/// How soon a hold notices that it has been released.
const LOOK_EVERY: Duration = Duration::from_millis(25);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No panic can leave any of these half-changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Injector {
    pub(super) fn new(service: &str, db: Db, directives: Directives, seed: u64) -> Self {
        Self {
            service: service.to_owned(),
            db,
            stop: OnceLock::new(),
            memory: Mutex::default(),
            own: Mutex::new(Own { directives, rng: StdRng::seed_from_u64(seed) }),
            duplicated: Mutex::default(),
            counts: Mutex::default(),
        }
    }

    pub(super) fn knows(&self, saga_id: SagaId) -> bool {
        locked(&self.memory).is_carrying(saga_id)
    }

    /// Writes down what a saga carries. Without its rows nothing could be spent, so an error leaves it unknown.
    pub(super) async fn learn(&self, saga_id: SagaId, directives: Directives) -> Result<(), DbError> {
        if !directives.0.is_empty() {
            store::learn(&self.db, saga_id, &directives).await?;
            locked(&self.memory).learn(saga_id, directives);
        }
        Ok(())
    }

    /// What each of these sagas carries: after a restart, and of what another replica has learnt, the table knows.
    pub(super) async fn carried_by(&self, sagas: &[SagaId]) -> Vec<Carried> {
        let (unknown, at) = locked(&self.memory).unknown(sagas);
        if !unknown.is_empty() {
            match store::known(&self.db, &unknown).await {
                Ok(rows) => {
                    let mut found: HashMap<SagaId, Directives> = HashMap::new();
                    for (saga_id, text) in rows {
                        found.entry(saga_id).or_default().0.extend(text.parse::<Directive>());
                    }
                    locked(&self.memory).found(&unknown, at, found);
                }
                // Nothing is remembered, so they are asked for again next time.
                Err(error) => tracing::warn!(error = %chain(&error), "fault directives cannot be read"),
            }
        }
        let memory = locked(&self.memory);
        sagas.iter().map(|id| memory.of(*id)).collect()
    }

    pub(super) fn take_duplicated(&self, lane: Lane, sagas: &BTreeSet<SagaId>) -> BTreeSet<SagaId> {
        let mut duplicated = locked(&self.duplicated);
        sagas.iter().copied().filter(|id| duplicated.remove(&(lane, *id))).collect()
    }

    pub(super) fn set_own(&self, directives: Directives, seed: u64) {
        *locked(&self.own) = Own { directives, rng: StdRng::seed_from_u64(seed) };
    }

    pub(super) async fn release(&self, saga_id: SagaId) -> Result<u64, DbError> {
        store::release(&self.db, &self.service, saga_id).await
    }

    pub(super) fn end_holds_with(&self, stop: CancellationToken) {
        // Whoever serves says so once.
        let _ = self.stop.set(stop);
    }

    /// Waits until the hold is released, or the service stops. It looks at the row: another replica may have been asked to
    /// release it.
    async fn hold(&self, of: Option<(SagaId, &Directive)>) {
        let released = async {
            // Of the process's own, nobody could say which: only the limit ends it.
            let Some((saga_id, directive)) = of else { return std::future::pending().await };
            while !matches!(store::released(&self.db, saga_id, directive).await, Ok(true)) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let stopped = async {
            match self.stop.get() {
                Some(stop) => stop.cancelled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! { () = released => {}, () = stopped => {} }
    }

    pub(super) fn own(&self) -> Directives {
        locked(&self.own).directives.clone()
    }

    pub(super) fn counts(&self) -> Vec<(&'static str, String, Count)> {
        locked(&self.counts).iter().map(|((point, event), count)| (*point, event.clone(), *count)).collect()
    }

    /// The first of the process's own directives for this point whose roll succeeds.
    fn rolled(&self, point: &str, types: &[&str], works: impl Fn(Action) -> bool) -> Option<Action> {
        let mut own = locked(&self.own);
        let Own { directives, rng } = &mut *own;
        for directive in &mut directives.0 {
            if types.iter().any(|event_type| directive.is_for(&self.service, point, event_type))
                && works(directive.action)
                && directive.times != Some(0)
                && rng.random_bool(directive.probability.unwrap_or(1.0))
            {
                directive.times = directive.times.map(|times| times - 1);
                return Some(directive.action);
            }
        }
        None
    }

    fn tally(&self, point: &'static str, event_type: &str, count: impl FnOnce(&mut Count)) {
        let mut counts = locked(&self.counts);
        count(counts.entry((point, routing_key(event_type).to_owned())).or_default());
    }
}

impl Scope {
    /// Would this action do anything here? What would not is not spent.
    fn works(&self, point: &FaultPoint, action: Action) -> bool {
        match action {
            Action::Duplicate => self.lane.is_some() && point.is_before_a_taker(),
            Action::Hold(_) => self.lane.is_some() && point.can_hold(),
            _ => true,
        }
    }

    pub(super) async fn reach(&self, point: &'static FaultPoint) -> Result<(), Fault> {
        let injector = &self.injector;
        // A point at which no saga's event is handled still belongs to its process.
        let mut types: Vec<&str> = self.subjects.iter().map(|((_, event_type), _)| event_type.as_str()).collect();
        if types.is_empty() {
            types.push("");
        }
        for event_type in &types {
            injector.tally(point.name, event_type, |count| count.reached += 1);
        }
        // All of them, and what ends everything last: a batch that has been acked never comes here again.
        let mut carried: Vec<(SagaId, &str, &Directive)> = Vec::new();
        for ((saga_id, event_type), directives) in self.subjects.iter() {
            let here = directives.0.iter().filter(|d| d.is_for(&injector.service, point.name, event_type));
            carried.extend(here.map(|directive| (*saga_id, event_type.as_str(), directive)));
        }
        carried.sort_by_key(|(_, _, directive)| directive.action.severity());
        let mut ended = Ok(());
        for (saga_id, event_type, directive) in carried {
            if !self.works(point, directive.action) || !directive.probability.is_none_or(|p| rand::rng().random_bool(p))
            {
                continue;
            }
            match store::spend(&injector.db, saga_id, directive).await {
                Ok(Some(action)) => {
                    let fired = self.fire(point, action, event_type, Some((saga_id, directive))).await;
                    if fired.is_err() {
                        ended = fired;
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(saga.id = %saga_id, error = %chain(&error), "a fault that cannot be spent does not fire");
                }
            }
        }
        if let Some(action) = injector.rolled(point.name, &types, |action| self.works(point, action)) {
            self.fire(point, action, types[0], None).await?;
        }
        ended
    }

    /// `of`: the saga whose directive it is, and which; `None` for the process's own.
    async fn fire(
        &self,
        point: &'static FaultPoint,
        action: Action,
        event_type: &str,
        of: Option<(SagaId, &Directive)>,
    ) -> Result<(), Fault> {
        self.injector.tally(point.name, event_type, |count| count.fired += 1);
        let saga = of.map_or_else(|| "any saga".to_owned(), |(id, _)| id.to_string());
        tracing::warn!(point = point.name, %action, saga.id = saga, r#type = event_type, "FAULT");
        match action {
            Action::Crash => std::process::abort(),
            Action::Error => Err(Fault::Failed),
            Action::Drop => Err(Fault::Dropped),
            Action::SkipAck => Err(Fault::SkippedAck),
            Action::Delay(delay) => {
                tokio::time::sleep(delay).await;
                Ok(())
            }
            Action::Hold(limit) => {
                if tokio::time::timeout(limit, self.injector.hold(of)).await.is_err() {
                    tracing::warn!(point = point.name, saga.id = saga, "a hold that nobody released is over");
                }
                Ok(())
            }
            Action::Duplicate => {
                let Some(lane) = self.lane else { return Ok(()) };
                let these = self.subjects.iter().map(|((saga_id, _), _)| *saga_id);
                let these = these.filter(|id| of.is_none_or(|(saga, _)| saga == *id));
                locked(&self.injector.duplicated).extend(these.map(|saga_id| (lane, saga_id)));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_could_not_be_written_or_read_is_not_remembered() {
        let db = Db::new("postgres://nobody@127.0.0.1:1/nowhere", 1).expect("a URL");
        let injector = Injector::new("payment", db, Directives::default(), 1);
        let saga = SagaId::new();
        let directives = "payment-svc/after-commit=crash".parse::<Directives>().expect("directives");
        assert!(injector.learn(saga, directives).await.is_err());
        assert!(!injector.knows(saga));
        assert!(injector.carried_by(&[saga]).await[0].0.is_empty());
        assert!(locked(&injector.memory).unknown(&[saga]).0.contains(&saga), "it is asked for again");
    }
}
