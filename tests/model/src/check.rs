//! Runs a check and says what came of it.

use crate::config::Config;
use crate::locks::Locks;
use crate::mutants::Mutant;
use crate::protocol::Protocol;
use stateright::{Checker, Expectation, HasDiscoveries, Model, Path, Property};
use std::fmt::{Debug, Display};
use std::hash::Hash;
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
    pub broken: Vec<(&'static str, Vec<String>)>,
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
    pub fn way_to(&self, property: &str) -> Option<&[String]> {
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

/// What is looked at.
#[derive(Debug, Clone)]
pub enum Subject {
    /// The protocol in a configuration.
    Protocol(Config),
    /// The order of locks (R7).
    Locks,
}

impl Subject {
    /// For people and the command line.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Protocol(config) => &config.name,
            Self::Locks => "locks",
        }
    }
}

/// Looks at all states of a subject, nearest first, with so many threads; tells of its progress as it goes.
pub fn check(
    subject: &Subject,
    mutant: Option<Mutant>,
    until: Until,
    threads: usize,
    progress: impl FnMut(usize, usize),
) -> Report {
    match subject.clone() {
        Subject::Protocol(config) => look(Protocol { config, mutant }, until, threads, progress),
        Subject::Locks => look(Locks { mutant }, until, threads, progress),
    }
}

fn look<M>(model: M, until: Until, threads: usize, mut progress: impl FnMut(usize, usize)) -> Report
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + Display + PartialEq + Send + Sync,
{
    let started = Instant::now();
    let stop = match until {
        Until::Everything => HasDiscoveries::All,
        Until::AnyBroken => HasDiscoveries::AnyFailures,
        Until::Broken(name) => HasDiscoveries::AllOf([name].into()),
    };
    let mut checker = model.checker().threads(threads).finish_when(stop).spawn_bfs();
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
    let found = checker.discoveries();
    let properties = checker.model().properties();
    // The checker keeps the last of the ways it finds at once: what comes after the first broken state is cut off.
    let way = |property: &Property<M>, path: &Path<M::State, M::Action>| {
        let steps = path.clone().into_vec();
        let broken = steps.iter().position(|(state, _)| !(property.condition)(checker.model(), state));
        let before = steps.into_iter().take(broken.unwrap_or(usize::MAX));
        before.filter_map(|(_, action)| action).map(|action| action.to_string()).collect::<Vec<_>>()
    };
    let kind = |expectation| properties.iter().filter(move |property| property.expectation == expectation);
    let always = kind(Expectation::Always);
    let mut broken: Vec<_> =
        always.filter_map(|property| Some((property.name, way(property, found.get(property.name)?)))).collect();
    broken.sort_by_key(|(_, way)| way.len());
    let witnesses = kind(Expectation::Sometimes);
    let missing =
        witnesses.filter(|property| !found.contains_key(property.name)).map(|property| property.name).collect();
    Report {
        states: checker.state_count(),
        unique: checker.unique_state_count(),
        depth: checker.max_depth(),
        took: started.elapsed(),
        broken,
        missing,
    }
}

/// As many threads as there are processors.
#[must_use]
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}
