//! What must hold of all maps together. A builder checks one participant; nobody but these rules sees all of them.

use crate::map::{Choreography, StepKind, StepMap};
use std::collections::BTreeSet;
use std::fmt;

/// Something that does not fit together. Shown, it is a sentence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// An event is said, and nobody reacts to it.
    NobodyReacts {
        /// The event.
        event: String,
        /// Who says it.
        said_by: String,
    },
    /// An event is waited for, and nobody says it.
    NobodySays {
        /// The event.
        event: String,
        /// Who waits for it.
        awaited_by: String,
    },
    /// A step before the point of no return has no undo.
    NoUndo {
        /// The step.
        step: String,
        /// What may still fail when it is done.
        failure: String,
        /// Who may fail with that.
        refused_by: String,
    },
    /// A step with an undo would not hear of a failure.
    Deaf {
        /// The step.
        step: String,
        /// The failure.
        failure: String,
        /// Who may fail with that.
        refused_by: String,
    },
    /// Sagas can fail, but nobody starts them and collects the answers.
    NoOwner {
        /// A failure.
        failure: String,
    },
    /// Two services are called the same.
    SameName {
        /// So.
        participant: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyReacts { event, said_by } => {
                write!(f, "{said_by} says `{event}`, and nobody reacts to it")
            }
            Self::NobodySays { event, awaited_by } => {
                write!(f, "{awaited_by} reacts to `{event}`, and nobody says it")
            }
            Self::NoUndo { step, failure, refused_by } => write!(
                f,
                "{step} may be done when {refused_by} fails the saga with `{failure}`, and it has no undo: give it one, or let it \
                 come after the point of no return"
            ),
            Self::Deaf { step, failure, refused_by } => write!(
                f,
                "{step} may be done when {refused_by} fails the saga with `{failure}`, and its participant does not listen to failures"
            ),
            Self::NoOwner { failure } => {
                write!(f, "a saga can fail with `{failure}`, and nobody starts it and collects the answers")
            }
            Self::SameName { participant } => write!(f, "two participants are called `{participant}`"),
        }
    }
}

/// All that does not fit together, each thing once; nothing if all is well.
#[must_use]
pub fn findings(maps: &[Choreography]) -> Vec<Finding> {
    let mut found = BTreeSet::new();
    events(maps, &mut found);
    undoing(maps, &mut found);
    let mut names = BTreeSet::new();
    for map in maps.iter().filter(|map| !names.insert(map.participant.as_str())) {
        found.insert(Finding::SameName { participant: map.participant.clone() });
    }
    found.into_iter().collect()
}

/// Success travels from somebody to somebody.
fn events(maps: &[Choreography], found: &mut BTreeSet<Finding>) {
    let steps = || steps(maps).map(|it| (it.name(), it.step));
    let answers = maps.iter().filter_map(|map| Some((map.participant.clone(), map.answers.as_ref()?)));
    let said: Vec<(String, &String)> =
        steps().filter_map(|(name, step)| Some((name, step.says.as_ref()?))).chain(answers).collect();
    let awaited: Vec<(String, &String)> =
        steps().filter_map(|(name, step)| Some((name, step.reacts_to.as_ref()?))).collect();
    let among = |event: &String, others: &[(String, &String)]| others.iter().any(|(_, other)| *other == event);
    for (said_by, event) in said.iter().filter(|(_, event)| !among(event, &awaited)) {
        found.insert(Finding::NobodyReacts { event: (*event).clone(), said_by: said_by.clone() });
    }
    for (awaited_by, event) in awaited.iter().filter(|(_, event)| !among(event, &said)) {
        found.insert(Finding::NobodySays { event: (*event).clone(), awaited_by: awaited_by.clone() });
    }
}

/// Whatever may be done when a saga fails can be undone, and hears of it.
fn undoing(maps: &[Choreography], found: &mut BTreeSet<Finding>) {
    for refusing in steps(maps) {
        let Some(failure) = &refusing.step.refuses else { continue };
        if !maps.iter().any(Choreography::owns) {
            found.insert(Finding::NoOwner { failure: failure.clone() });
        }
        for done in may_be_done(maps, &refusing) {
            let (step, failure, refused_by) = (done.name(), failure.clone(), refusing.name());
            if !done.step.undo {
                found.insert(Finding::NoUndo { step, failure, refused_by });
            } else if !done.map.undoes {
                found.insert(Finding::Deaf { step, failure, refused_by });
            }
        }
    }
    // Whatever may fail after it: a step before the point of no return says of itself that it can be undone.
    for it in steps(maps).filter(|it| it.step.kind == StepKind::Compensatable && !it.step.undo) {
        let (step, failure) = (it.name(), "any failure".to_owned());
        found.insert(Finding::NoUndo { refused_by: "somebody".to_owned(), step, failure });
    }
}

#[derive(Clone, Copy)]
struct At<'a> {
    map: &'a Choreography,
    step: &'a StepMap,
}

impl At<'_> {
    fn name(&self) -> String {
        format!("{}/{}", self.map.participant, self.step.step)
    }

    fn is(&self, other: &At<'_>) -> bool {
        std::ptr::eq(self.step, other.step)
    }
}

fn steps(maps: &[Choreography]) -> impl Iterator<Item = At<'_>> {
    maps.iter().flat_map(|map| map.steps.iter().map(move |step| At { map, step }))
}

/// The steps that may have been done in a saga when `refusing` fails it: all but those that only its own success leads to.
/// The owner may end a saga at any time before the point of no return.
fn may_be_done<'a>(maps: &'a [Choreography], refusing: &At<'a>) -> Vec<At<'a>> {
    let any_time = refusing.step.reacts_to.is_none();
    let mut done: Vec<At<'a>> = Vec::new();
    for start in steps(maps).filter(|it| it.step.reacts_to.is_none()) {
        let reached = reach(maps, start, |at| at.is(refusing) && !any_time);
        if !reached.iter().any(|at| at.is(refusing)) {
            continue;
        }
        let reached = if any_time { reach(maps, start, |at| at.step.kind == StepKind::Pivot) } else { reached };
        let stays = |at: &At<'a>| match any_time {
            true => at.step.kind != StepKind::Pivot,
            false => !at.is(refusing),
        };
        let acts = |at: &At<'a>| at.step.kind != StepKind::Listener && stays(at);
        done.extend(reached.into_iter().filter(acts));
    }
    done
}

/// The steps that success leads to from `start`, itself included; not further than those that `end`.
fn reach<'a>(maps: &'a [Choreography], start: At<'a>, end: impl Fn(&At<'a>) -> bool) -> Vec<At<'a>> {
    let mut reached = vec![start];
    let mut next = 0;
    while let Some(at) = reached.get(next).copied() {
        next += 1;
        let Some(event) = at.step.says.as_ref().filter(|_| !end(&at)) else { continue };
        for reacting in steps(maps).filter(|it| it.step.reacts_to.as_ref() == Some(event)) {
            if !reached.iter().any(|at| at.is(&reacting)) {
                reached.push(reacting);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests;
