//! What a saga waits for: from what each participant tells of it, and from all maps. Pure.

use crate::COMPENSATE;
use crate::map::{Choreography, StepKind, StepMap};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use uuid::Uuid;

/// A step is late this long after its event was said. What goes the usual way is handled within milliseconds; after five seconds
/// the engine itself stops trusting that way: an outbox row of somebody else is taken over, and an announcement is made again.
pub const LATE_AFTER: TimeDelta = TimeDelta::seconds(5);

/// In a saga that has ended, what was not heard by now will not be: nobody says it again. (What a listener's queue has lost, or a
/// step that was added since.)
pub const GIVEN_UP_AFTER: TimeDelta = TimeDelta::hours(1);

/// What is known of one saga.
#[derive(Debug, Clone, Default)]
pub struct Story<'a> {
    /// One for each participant whose map is known.
    pub parts: Vec<Part<'a>>,
    /// There are participants whose maps are not known: what would end the saga cannot be told then.
    pub maps_are_missing: bool,
}

/// One participant's part of it.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// The service, as it is to be called.
    pub service: &'a str,
    /// Its map.
    pub map: &'a Choreography,
    /// It does not answer: what it did is not known.
    pub silent: bool,
    /// What it did.
    pub lines: Vec<Line<'a>>,
    /// Messages it has set aside.
    pub held: Vec<Held>,
    /// What it says again and again until it is answered.
    pub announced: Vec<Said<'a>>,
}

/// What became of one step.
#[derive(Debug, Clone)]
pub struct Line<'a> {
    /// The step, or the key it goes by (`notify:<message id>`).
    pub step: &'a str,
    /// What became of it.
    pub verdict: &'a str,
    /// The message it reacted to; of a step on request, the one that it said itself.
    pub message_id: Option<Uuid>,
    /// What it said.
    pub said: Option<Said<'a>>,
    /// Why, where the verdict does not tell.
    pub detail: Option<&'a str>,
}

/// An event that was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said<'a> {
    /// Its type.
    pub event: &'a str,
    /// Its message.
    pub message_id: Uuid,
    /// When.
    pub at: DateTime<Utc>,
}

impl<'a> Said<'a> {
    /// When it was said is told by its id, if that is one of the engine's; else by the line of the step that said it, which has the
    /// time of a later undo.
    #[must_use]
    pub fn new(event: &'a str, message_id: Uuid, line_at: DateTime<Utc>) -> Self {
        let minted = message_id.get_timestamp().filter(|_| message_id.get_version_num() == 7);
        let at = minted.and_then(|time| {
            let (seconds, nanoseconds) = time.to_unix();
            DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
        });
        Self { event, message_id, at: at.unwrap_or(line_at) }
    }
}

/// A message that is set aside.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// The message.
    pub message_id: Uuid,
    /// Does it wait for a person? Else for its time.
    pub parked: bool,
}

/// A step that reacts to what was said in the saga, and has not yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Expectation {
    /// Whose step.
    pub service: String,
    /// Which; `compensate` for a participant's undo of all that it did.
    pub step: String,
    /// The type of the event.
    pub reacts_to: String,
    /// Its message.
    pub message_id: Uuid,
    /// When it was said.
    pub said_at: DateTime<Utc>,
    /// How long it has been expected, or why it does not come.
    pub state: ExpectedState,
}

/// What is known of an expected step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ExpectedState {
    /// Any moment now.
    Expected,
    /// It should have happened seconds ago.
    Late,
    /// It was tried; the message waits for another attempt.
    Waiting,
    /// The message waits for a person.
    Parked,
    /// The service does not answer.
    Unknown,
}

impl<'a> Story<'a> {
    /// The steps that react to what was said and have no line yet, in the order in which it was said.
    ///
    /// Once a saga has failed, its steps before the point of no return are not waited for: whoever has them undoes, or fences
    /// them off. Then each participant owes its undo, and the owner that of its first step.
    #[must_use]
    pub fn expected(&self, now: DateTime<Utc>) -> Vec<Expectation> {
        let failure = self.failures().into_iter().min_by_key(|said| (said.at, said.message_id));
        let (failed, ended) = (self.has_failed(), self.has_ended());
        let mut expected: Vec<Expectation> = Vec::new();
        for part in &self.parts {
            for said in self.said() {
                for step in part.reacting_to(said.event) {
                    let given_up = failed && matches!(step.kind, StepKind::Compensatable | StepKind::Pivot);
                    let done = part.reacted(step, &said) || (part.silent && self.was_heard(step));
                    if !given_up && !done {
                        expected.push(part.expects(&step.step, &said, now));
                    }
                }
            }
            if let Some(failure) = &failure
                && !ended
                && let Some(step) = part.owes_undo()
            {
                expected.push(part.expects(step, failure, now));
            }
        }
        expected.retain(|it| !ended || now - it.said_at < GIVEN_UP_AFTER);
        expected.sort_by(|a, b| (a.said_at, &a.service, &a.step).cmp(&(b.said_at, &b.service, &b.step)));
        expected
    }

    /// The events of which one would end the saga, from where it is; none if it has ended.
    #[must_use]
    pub fn terminal(&self) -> Vec<String> {
        if self.maps_are_missing || self.has_ended() {
            return Vec::new();
        }
        let decided = self.lines().any(|(part, line)| line.verdict == "done" && part.is_pivot(line.step));
        let answers = || self.maps().filter_map(|map| map.answers.as_deref());
        let mut reached: BTreeSet<&str> = BTreeSet::new();
        if self.has_failed() {
            reached.extend(answers());
        } else {
            reached.extend(self.said().map(|said| said.event));
            // Until it is decided, it may still fail.
            reached.extend(answers().filter(|_| !decided && self.can_fail()));
        }
        loop {
            let further = self.maps().flat_map(|map| &map.steps);
            let further = further.filter(|step| step.reacts_to.as_deref().is_some_and(|event| reached.contains(event)));
            let before = reached.len();
            reached.extend(further.filter_map(|step| step.says.as_deref()).collect::<Vec<_>>());
            if reached.len() == before {
                break;
            }
        }
        reached.into_iter().filter(|event| self.is_end(event)).map(str::to_owned).collect()
    }

    /// The type of a message, if somebody in this saga tells that they said it.
    #[must_use]
    pub fn type_of(&self, message_id: Uuid) -> Option<&'a str> {
        self.said().find(|said| said.message_id == message_id).map(|said| said.event)
    }

    /// The type of what a line reacted to, as far as it can be told.
    #[must_use]
    pub fn reacted_to(&self, line: &Line<'_>) -> Option<&'a str> {
        let message_id = line.message_id?;
        if line.said.as_ref().is_some_and(|said| said.message_id == message_id) {
            return None;
        }
        // What an owner ends a saga with is in nobody's line; the line of its first step has the type.
        let by_owner = || self.lines().find_map(|(_, line)| said_by_undo(line).filter(|event| self.is_failure(event)));
        let undo = line.step == COMPENSATE || line.verdict == "fenced";
        self.type_of(message_id).or_else(|| by_owner().filter(|_| undo))
    }

    fn lines(&self) -> impl Iterator<Item = (&Part<'a>, &Line<'a>)> {
        self.parts.iter().flat_map(|part| part.lines.iter().map(move |line| (part, line)))
    }

    fn maps(&self) -> impl Iterator<Item = &'a Choreography> {
        self.parts.iter().map(|part| part.map)
    }

    /// All that is known to have been said.
    fn said(&self) -> impl Iterator<Item = Said<'a>> {
        let steps = self.lines().filter_map(|(_, line)| line.said);
        let announced = self.parts.iter().flat_map(|part| part.announced.iter().copied());
        let mut known = BTreeSet::new();
        steps.chain(announced).filter(move |said| known.insert(said.message_id))
    }

    fn is_failure(&self, event: &str) -> bool {
        self.maps().flat_map(|map| &map.steps).any(|step| step.refuses.as_deref() == Some(event))
    }

    fn failures(&self) -> Vec<Said<'a>> {
        self.said().filter(|said| self.is_failure(said.event)).collect()
    }

    /// Has somebody refused, or undone?
    fn has_failed(&self) -> bool {
        let undone = |line: &Line<'_>| {
            line.step == COMPENSATE || matches!(line.verdict, "rejected" | "undoing" | "undone" | "fenced")
        };
        !self.failures().is_empty() || self.lines().any(|(_, line)| undone(line))
    }

    /// Did it begin with a step that can be undone? (A return has no way back.)
    fn can_fail(&self) -> bool {
        self.lines().any(|(part, line)| part.map.steps.iter().any(|step| step.step == line.step && step.starts()))
    }

    /// Is this a success from which nothing follows?
    fn is_end(&self, event: &str) -> bool {
        let mut reacting = self.maps().flat_map(|map| &map.steps).filter(|s| s.reacts_to.as_deref() == Some(event));
        reacting.all(|step| step.says.is_none()) && !self.is_failure(event)
    }

    /// Was an event said from which nothing follows, and has everybody reacted to it who matters?
    fn has_ended(&self) -> bool {
        if self.maps_are_missing {
            return false;
        }
        let mut by_undo = self.lines().filter_map(|(_, line)| said_by_undo(line));
        if by_undo.any(|event| self.is_end(event)) {
            return true;
        }
        self.said().filter(|said| self.is_end(said.event)).any(|said| {
            let mut last = self.parts.iter().flat_map(|part| part.reacting_to(said.event).map(move |it| (part, it)));
            last.all(|(part, step)| step.kind == StepKind::Listener || part.reacted(step, &said))
        })
    }

    /// Is what this step says known to have been heard? Then it was done, even if nobody can tell.
    fn was_heard(&self, step: &StepMap) -> bool {
        let Some(says) = &step.says else { return false };
        self.lines().any(|(part, line)| {
            line.verdict != "fenced" && part.reacting_to(says).any(|heard_by| heard_by.step == line.step)
        })
    }
}

impl<'a> Part<'a> {
    /// That of a service that does not answer.
    #[must_use]
    pub fn silent(service: &'a str, map: &'a Choreography) -> Self {
        let (lines, held, announced) = (Vec::new(), Vec::new(), Vec::new());
        Self { service, map, silent: true, lines, held, announced }
    }

    fn reacting_to(&self, event: &str) -> impl Iterator<Item = &'a StepMap> {
        self.map.steps.iter().filter(move |step| step.reacts_to.as_deref() == Some(event))
    }

    fn is_pivot(&self, step: &str) -> bool {
        self.map.steps.iter().any(|it| it.step == step && it.kind == StepKind::Pivot)
    }

    /// Has it a line? One that goes by a key of its own (a listener, an answer) is known by its message.
    fn reacted(&self, step: &StepMap, said: &Said<'_>) -> bool {
        let said_it = |line: &Line<'_>| line.said.is_some_and(|it| it.message_id == said.message_id);
        let mut lines = self.lines.iter();
        lines.any(|line| line.step == step.step || (line.message_id == Some(said.message_id) && !said_it(line)))
    }

    /// What it has to undo and has not begun to: everything, or (the owner) its first step.
    fn owes_undo(&self) -> Option<&'a str> {
        if self.map.answers.is_some() {
            return (!self.lines.iter().any(|line| line.step == COMPENSATE)).then_some(COMPENSATE);
        }
        let mut steps = self.map.steps.iter().filter(|step| step.undo);
        let is_done = |step: &&StepMap| {
            self.lines.iter().any(|line| line.step == step.step && matches!(line.verdict, "done" | "intent"))
        };
        steps.find(is_done).map(|step| step.step.as_str())
    }

    fn expects(&self, step: &str, said: &Said<'_>, now: DateTime<Utc>) -> Expectation {
        let held = self.held.iter().filter(|held| held.message_id == said.message_id).map(|held| held.parked).max();
        let state = match held {
            _ if self.silent => ExpectedState::Unknown,
            Some(true) => ExpectedState::Parked,
            Some(false) => ExpectedState::Waiting,
            None if now - said.at >= LATE_AFTER => ExpectedState::Late,
            None => ExpectedState::Expected,
        };
        Expectation {
            service: self.service.to_owned(),
            step: step.to_owned(),
            reacts_to: said.event.to_owned(),
            message_id: said.message_id,
            said_at: said.at,
            state,
        }
    }
}

/// What an undo said beside what its step had said: the engine notes its type at the end of the line's detail.
fn said_by_undo<'a>(line: &Line<'a>) -> Option<&'a str> {
    let detail = line.detail.filter(|_| line.verdict == "undone")?;
    detail.rsplit_once("said ").map(|(_, event)| event)
}

#[cfg(test)]
mod tests;
