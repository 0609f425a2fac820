//! Makes one story of the parts that the services tell. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use saga_choreography::{self as choreography, Expectation, Held, Part, Said};
use serde::Serialize;
use uuid::Uuid;

use crate::client::{Choreography, Service, Story, StoryStep, WaitingMessage};

/// A saga's story, as far as it could be learnt.
#[derive(Debug, Clone, Serialize)]
pub struct SagaView {
    /// The saga.
    pub saga_id: Uuid,
    /// What happened: causes before effects, otherwise by time.
    pub lines: Vec<Line>,
    /// What comes next, by the maps of all services.
    pub expected: Vec<Expectation>,
    /// The events of which one would end the saga; none if it has ended.
    pub terminal: Vec<String>,
    /// Messages that a service has set aside.
    pub waiting: Vec<Waiting>,
    /// Services whose part is missing here.
    pub silent: Vec<Silence>,
}

/// One step of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// When it was first written, by that service's database.
    pub begun_at: DateTime<Utc>,
    /// When it became what it is now: a step that is undone was done before.
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

/// Puts the parts together.
#[must_use]
pub fn stitch(
    saga_id: Uuid,
    stories: &[(Service, Story)],
    maps: &[(Service, Choreography)],
    silent: Vec<Silence>,
    now: DateTime<Utc>,
) -> SagaView {
    let names = Service::ALL.map(|service| (service, service.to_string())).into();
    let told = told(&names, stories, maps, &silent);
    let lines = stories.iter().flat_map(|(service, story)| story.steps.iter().map(|step| line(*service, step, &told)));
    let waiting = stories.iter().flat_map(|(service, story)| {
        story.waiting.iter().map(|message| Waiting { service: *service, message: message.clone() })
    });
    let (lines, waiting) = (in_causal_order(lines.collect()), waiting.collect());
    let (expected, terminal) = (told.expected(now), told.terminal());
    SagaView { saga_id, lines, expected, terminal, waiting, silent }
}

fn line(service: Service, step: &StoryStep, told: &choreography::Story<'_>) -> Line {
    let said_id = step.said.as_ref().map(|said| said.message_id);
    Line {
        begun_at: step.begun_at.unwrap_or(step.at),
        at: step.at,
        service,
        step: step.step.clone(),
        verdict: step.verdict.clone(),
        reacted_to: told.reacted_to(&line_of(step)).map(str::to_owned),
        // The step that starts a saga reacts to nothing, and gives the message that it said itself.
        message_id: step.message_id.filter(|id| Some(*id) != said_id),
        said: step.said.as_ref().map(|said| said.kind.clone()),
        said_id,
        detail: step.detail.clone(),
    }
}

/// The earliest line whose cause has been told comes next, so a clock that is ahead cannot put an effect before its cause.
fn in_causal_order(mut untold: Vec<Line>) -> Vec<Line> {
    untold.sort_by_key(|line| line.begun_at);
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

/// The same parts as the choreography sees them. A service whose map is not known is left out: nothing is expected of it.
fn told<'a>(
    names: &'a BTreeMap<Service, String>,
    stories: &'a [(Service, Story)],
    maps: &'a [(Service, Choreography)],
    silent: &[Silence],
) -> choreography::Story<'a> {
    let is_silent = |service: Service| silent.iter().any(|it| it.service == service);
    let part = |(service, map): &'a (Service, Choreography)| {
        let name = names.get(service)?.as_str();
        let story = stories.iter().find(|(it, _)| it == service).map(|(_, story)| story);
        match story {
            Some(story) => Some(part(name, story, map)),
            None => is_silent(*service).then(|| Part::silent(name, map)),
        }
    };
    let maps_are_missing = stories.iter().any(|(service, _)| !maps.iter().any(|(it, _)| it == service));
    choreography::Story { parts: maps.iter().filter_map(part).collect(), maps_are_missing }
}

fn part<'a>(service: &'a str, story: &'a Story, map: &'a Choreography) -> Part<'a> {
    Part {
        service,
        map,
        silent: false,
        lines: story.steps.iter().map(line_of).collect(),
        held: story.waiting.iter().map(|it| Held { message_id: it.message_id, parked: it.state == "parked" }).collect(),
        announced: story.announced.iter().map(|it| Said::new(&it.kind, it.message_id, it.due_at)).collect(),
    }
}

fn line_of(step: &StoryStep) -> choreography::Line<'_> {
    choreography::Line {
        step: &step.step,
        verdict: &step.verdict,
        message_id: step.message_id,
        said: step.said.as_ref().map(|said| Said::new(&said.kind, said.message_id, step.at)),
        detail: step.detail.as_deref(),
    }
}

#[cfg(test)]
mod tests;
