//! Makes one story of the parts that the services tell. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::client::{Choreography, Service, Story, StoryStep, WaitingMessage};

/// The step under which a participant records its answer to a failure. Its map does not list it.
const COMPENSATE: &str = "compensate";

/// A saga's story, as far as it could be learnt.
#[derive(Debug, Clone, Serialize)]
pub struct SagaView {
    /// The saga.
    pub saga_id: Uuid,
    /// What happened: causes before effects, otherwise by time.
    pub lines: Vec<Line>,
    /// What should happen next, by the maps of the services that answered.
    pub expected: Vec<Expected>,
    /// Messages that a service has set aside.
    pub waiting: Vec<Waiting>,
    /// Services whose part is missing here.
    pub silent: Vec<Silence>,
}

/// One step of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// When, by that service's database.
    pub at: DateTime<Utc>,
    /// Who.
    pub service: Service,
    /// Which step.
    pub step: String,
    /// What became of it.
    pub verdict: String,
    /// The type of the message it reacted to, where another line said it.
    pub reacted_to: Option<String>,
    /// That message's id.
    pub message_id: Option<Uuid>,
    /// The type of what it said.
    pub said: Option<String>,
    /// That message's id.
    pub said_id: Option<Uuid>,
    /// Why, where the verdict does not tell.
    pub detail: Option<String>,
}

/// A step that should react to what was said, and has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// Who.
    pub service: Service,
    /// Which step.
    pub step: String,
    /// The type of the message.
    pub reacts_to: String,
}

/// A message that a service has set aside.
#[derive(Debug, Clone, Serialize)]
pub struct Waiting {
    /// Who.
    pub service: Service,
    /// Which, and why.
    #[serde(flatten)]
    pub message: WaitingMessage,
}

/// A service that did not answer.
#[derive(Debug, Clone, Serialize)]
pub struct Silence {
    /// Who.
    pub service: Service,
    /// Why, as far as one can tell.
    pub reason: String,
}

/// Puts the parts together. Services that gave a part but no map can do everything but surprise: nothing is expected of them.
#[must_use]
pub fn stitch(
    saga_id: Uuid,
    stories: &[(Service, Story)],
    maps: &[(Service, Choreography)],
    silent: Vec<Silence>,
) -> SagaView {
    let said: BTreeMap<Uuid, &str> = stories
        .iter()
        .flat_map(|(_, story)| &story.steps)
        .filter_map(|step| step.said.as_ref().map(|said| (said.message_id, said.kind.as_str())))
        .collect();
    let lines = stories.iter().flat_map(|(service, story)| story.steps.iter().map(|step| line(*service, step, &said)));
    let waiting = stories.iter().flat_map(|(service, story)| {
        story.waiting.iter().map(|message| Waiting { service: *service, message: message.clone() })
    });
    let (lines, waiting) = (in_causal_order(lines.collect()), waiting.collect::<Vec<_>>());
    let expected = expected(&lines, &waiting, maps);
    SagaView { saga_id, lines, expected, waiting, silent }
}

fn line(service: Service, step: &StoryStep, said: &BTreeMap<Uuid, &str>) -> Line {
    let said_id = step.said.as_ref().map(|said| said.message_id);
    // The step that starts a saga reacts to nothing, and gives the message that it said itself.
    let cause = step.message_id.filter(|id| Some(*id) != said_id);
    Line {
        at: step.at,
        service,
        step: step.step.clone(),
        verdict: step.verdict.clone(),
        reacted_to: cause.and_then(|id| said.get(&id)).map(|kind| (*kind).to_owned()),
        message_id: cause,
        said: step.said.as_ref().map(|said| said.kind.clone()),
        said_id,
        detail: step.detail.clone(),
    }
}

/// The earliest line whose cause has been told comes next, so a clock that is ahead cannot put an effect before its cause.
fn in_causal_order(mut untold: Vec<Line>) -> Vec<Line> {
    untold.sort_by_key(|line| line.at);
    let mut told = Vec::with_capacity(untold.len());
    while !untold.is_empty() {
        let told_later =
            |line: &Line| line.message_id.is_some() && untold.iter().any(|other| other.said_id == line.message_id);
        // Were causes to run in a circle, time alone would decide.
        let next = untold.iter().position(|line| !told_later(line)).unwrap_or(0);
        told.push(untold.remove(next));
    }
    told
}

/// Steps whose event was said but that have no line, no message set aside, and were not fenced off.
fn expected(lines: &[Line], waiting: &[Waiting], maps: &[(Service, Choreography)]) -> Vec<Expected> {
    let mut expected = Vec::new();
    for line in lines {
        let (Some(kind), Some(id)) = (&line.said, line.said_id) else {
            continue;
        };
        for (service, map) in maps {
            let reacted = |step: &str| {
                let here = |line: &&Line| line.service == *service;
                lines.iter().filter(here).any(|line| line.step == step || line.message_id == Some(id))
                    || waiting.iter().any(|waiting| waiting.service == *service && waiting.message.message_id == id)
            };
            let missing = map.steps.iter().filter(|step| step.reacts_to.contains(kind) && !reacted(&step.step));
            expected.extend(missing.map(|step| Expected {
                service: *service,
                step: step.step.clone(),
                reacts_to: kind.clone(),
            }));
        }
    }
    expected.extend(expected_answers(lines, waiting, maps));
    expected
}

/// Once a step anywhere refused or was reversed, every participant with something to undo owes an answer; except the one that
/// starts the saga, which collects them.
fn expected_answers(lines: &[Line], waiting: &[Waiting], maps: &[(Service, Choreography)]) -> Vec<Expected> {
    let failed = |line: &&Line| matches!(line.verdict.as_str(), "rejected" | "undoing" | "undone" | "fenced");
    let Some(failure) = lines.iter().find(failed) else {
        return Vec::new();
    };
    let reason = failure.said.clone().unwrap_or_else(|| "the failure".to_owned());

    let answered: BTreeSet<Service> =
        lines.iter().filter(|line| line.step == COMPENSATE).map(|line| line.service).collect();
    let owes = |(service, map): &&(Service, Choreography)| {
        let starts = map.steps.iter().any(|step| step.reacts_to.is_empty());
        let undoes = map.steps.iter().any(|step| step.undo);
        let set_aside = waiting.iter().any(|waiting| waiting.service == *service && waiting.message.step == COMPENSATE);
        undoes && !starts && !answered.contains(service) && !set_aside
    };
    let expected = |(service, _): &(Service, Choreography)| Expected {
        service: *service,
        step: COMPENSATE.to_owned(),
        reacts_to: reason.clone(),
    };
    maps.iter().filter(owes).map(expected).collect()
}

#[cfg(test)]
mod tests;
