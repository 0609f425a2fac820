//! Runs a check and says what came of it.

use crate::action::Action;
use crate::protocol::Protocol;
use crate::state::State;
use stateright::{Checker, Expectation, HasDiscoveries, Model, Path};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

/// What a check came to.
#[derive(Debug)]
pub struct Report {
    /// States that were generated, counting each way to them.
    pub states: usize,
    /// States that differ.
    pub unique: usize,
    /// The longest of the shortest ways to a state.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// Properties that do not hold, each with the way there.
    pub broken: Vec<(&'static str, Vec<Action>)>,
    /// What should have been possible, and was not.
    pub missing: Vec<&'static str>,
}

impl Report {
    /// Whether everything holds, and everything is possible that should be.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.broken.is_empty() && self.missing.is_empty()
    }

    /// The way to a broken property.
    #[must_use]
    pub fn way_to(&self, property: &str) -> Option<&[Action]> {
        self.broken.iter().find(|(name, _)| *name == property).map(|(_, way)| way.as_slice())
    }
}

/// How far to look.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// Every state there is.
    Everything,
    /// The first state in which anything is broken.
    AnyBroken,
    /// The first state in which this is broken.
    Broken(&'static str),
}

/// Looks at all states of a protocol, nearest first, with so many threads.
pub fn check(protocol: Protocol, until: Until, threads: usize, mut progress: impl FnMut(usize, usize)) -> Report {
    let started = Instant::now();
    let stop = match until {
        Until::Everything => HasDiscoveries::All,
        Until::AnyBroken => HasDiscoveries::AnyFailures,
        Until::Broken(name) => HasDiscoveries::AllOf([name].into()),
    };
    let mut checker = protocol.checker().threads(threads).finish_when(stop).spawn_bfs();
    let handles = checker.handles();
    while handles.iter().any(|handle| !handle.is_finished()) {
        std::thread::sleep(Duration::from_millis(if started.elapsed().as_secs() > 1 { 200 } else { 2 }));
        progress(checker.state_count(), checker.unique_state_count());
    }
    for handle in handles {
        if let Err(panic) = handle.join() {
            std::panic::resume_unwind(panic);
        }
    }
    report(&checker, started.elapsed())
}

fn report(checker: &impl Checker<Protocol>, took: Duration) -> Report {
    let found = checker.discoveries();
    let properties = checker.model().properties();
    let way = |path: Path<State, Action>| path.into_actions();
    let mut broken: Vec<_> = properties
        .iter()
        .filter(|property| property.expectation == Expectation::Always)
        .filter_map(|property| Some((property.name, way(found.get(property.name)?.clone()))))
        .collect();
    broken.sort_by_key(|(_, way)| way.len());
    let witnesses = properties.iter().filter(|property| property.expectation == Expectation::Sometimes);
    let missing =
        witnesses.filter(|property| !found.contains_key(property.name)).map(|property| property.name).collect();
    Report {
        states: checker.state_count(),
        unique: checker.unique_state_count(),
        depth: checker.max_depth(),
        took,
        broken,
        missing,
    }
}

/// As many threads as there are processors.
#[must_use]
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}
