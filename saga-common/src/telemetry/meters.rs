//! What the engine records with: handles that are made once, so that recording costs an atomic addition and no look-up.
//!
//! Labels are steps, verdicts and the like, all known from the participant's table: nothing that travels becomes a label.

use super::names as name;
use crate::answer::{COMPENSATE, CompensationOutcome};
use crate::guard::Verdict;
use crate::participant::{Participant, Step};
use crate::topology::QueueRole;
use metrics::{Counter, Histogram, SharedString, counter, histogram};
use std::collections::BTreeMap;

/// The step of messages that nobody reacts to.
const NO_STEP: &str = "-";

/// What a participant records with.
pub(crate) struct Meters {
    steps: BTreeMap<&'static str, StepMeter>,
    no_step: StepMeter,
    /// Steps that call outside.
    calling: Vec<&'static str>,
    pub(crate) commit_to_publish: Histogram,
    pub(crate) published: Counter,
    pub(crate) swept: Counter,
    pub(crate) unroutable: Counter,
    pub(crate) announcements_repeated: Counter,
    pub(crate) batches_split: Counter,
}

/// What one step is recorded with.
pub(crate) struct StepMeter {
    pub(super) duration: Histogram,
    pub(super) hop: Histogram,
    pub(crate) duplicates: Counter,
    pub(super) fenced: Counter,
    pub(crate) waited: Counter,
    pub(crate) parked: Counter,
}

impl Meters {
    pub(crate) fn of<App: Send + Sync + 'static>(participant: &Participant<App>) -> Self {
        let mut steps: BTreeMap<&'static str, StepMeter> = BTreeMap::new();
        for step in &participant.steps {
            expected_verdicts(step).into_iter().for_each(|verdict| drop(verdicts(step.name, verdict)));
            steps.insert(step.name, StepMeter::of(step.name, step.on.is_some(), step.undo.is_some()));
        }
        if participant.compensatable().next().is_some() {
            steps.insert(COMPENSATE, StepMeter::of(COMPENSATE, true, false));
        }
        // Whatever may happen is there from the start, at zero, so that its first time is seen as an increase.
        if !participant.owner && participant.compensatable().next().is_some() {
            use CompensationOutcome::{Fenced, NothingToUndo, Undone};
            for (outcome, verdict) in
                [(Undone, Verdict::Undone), (NothingToUndo, Verdict::NothingToUndo), (Fenced, Verdict::Fenced)]
            {
                drop((compensation(outcome), verdicts(COMPENSATE, verdict)));
            }
        }
        let calling = participant.steps.iter().filter(|step| step.worker.is_some());
        let calling: Vec<&'static str> = calling.map(|step| step.name).collect();
        for step in &calling {
            drop((call_duration(step, CALL), call_retries(step), call_holds(step)));
        }
        ["exported", "dropped", "failed"].into_iter().for_each(|outcome| drop(spans(outcome)));
        for queue in [QueueRole::Events, QueueRole::Failures, QueueRole::Parked] {
            drop((resubscribed(queue), salvaged(queue)));
        }
        let (waited, parked) = (counter!(name::WAITED, "step" => NO_STEP), counter!(name::PARKED, "step" => NO_STEP));
        Self {
            steps,
            no_step: StepMeter { waited, parked, ..StepMeter::none() },
            calling,
            commit_to_publish: histogram!(name::COMMIT_TO_PUBLISH),
            published: counter!(name::PUBLISHED),
            swept: counter!(name::SWEPT),
            unroutable: counter!(name::UNROUTABLE),
            announcements_repeated: counter!(name::REPEATED),
            batches_split: counter!(name::BATCHES_SPLIT),
        }
    }

    /// The meter of a step; of one that this version does not have, that of none.
    pub(crate) fn step(&self, step: &str) -> &StepMeter {
        self.steps.get(step).unwrap_or(&self.no_step)
    }

    /// Steps that call outside.
    pub(super) fn calling(&self) -> &[&'static str] {
        &self.calling
    }
}

impl StepMeter {
    fn none() -> Self {
        let nothing = Counter::noop;
        let (duration, hop) = (Histogram::noop(), Histogram::noop());
        Self { duration, hop, duplicates: nothing(), fenced: nothing(), waited: nothing(), parked: nothing() }
    }

    fn of(step: &'static str, reacts: bool, undone: bool) -> Self {
        let duration = histogram!(name::STEP_DURATION, "step" => step);
        if !reacts {
            return Self { duration, ..Self::none() };
        }
        Self {
            duration,
            hop: histogram!(name::PUBLISH_TO_COMMIT, "step" => step),
            duplicates: counter!(name::DUPLICATES, "step" => step),
            fenced: if undone { counter!(name::FENCED, "step" => step) } else { Counter::noop() },
            waited: counter!(name::WAITED, "step" => step),
            parked: counter!(name::PARKED, "step" => step),
        }
    }
}

/// What becomes of a step now and then; anything else has its series when it has happened.
fn expected_verdicts<App>(step: &Step<App>) -> Vec<Verdict> {
    let reacts = step.on.is_some();
    let verdicts = [
        (true, Verdict::Done),
        (reacts && step.refuses.is_some(), Verdict::Rejected),
        (step.undo.is_some(), Verdict::Undone),
        (step.worker.is_some(), Verdict::Intent),
    ];
    verdicts.into_iter().filter(|(expected, _)| *expected).map(|(_, verdict)| verdict).collect()
}

/// Once for each verdict and step in a unit.
pub(super) fn verdicts(step: impl Into<SharedString>, verdict: Verdict) -> Counter {
    counter!(name::STEPS, "step" => step.into(), "verdict" => verdict.as_str())
}

/// Once a failed saga.
pub(super) fn compensation(outcome: CompensationOutcome) -> Histogram {
    histogram!(name::COMPENSATION_DURATION, "outcome" => outcome.as_str())
}

/// The phases of a job.
pub(crate) const CALL: &str = "call";
pub(crate) const UNDO: &str = "undo";

/// How long calls outside take.
pub(crate) fn call_duration(step: &str, phase: &'static str) -> Histogram {
    histogram!(name::CALL_DURATION, "step" => step.to_owned(), "phase" => phase)
}

/// Calls outside that have failed and are made again.
pub(crate) fn call_retries(step: &str) -> Counter {
    counter!(name::JOB_RETRIES, "step" => step.to_owned())
}

/// Calls outside that were put off.
pub(crate) fn call_holds(step: &str) -> Counter {
    counter!(name::JOB_HOLDS, "step" => step.to_owned())
}

/// Subscriptions that have ended.
pub(crate) fn resubscribed(queue: QueueRole) -> Counter {
    counter!(name::RESUBSCRIBES, "queue" => queue.as_str())
}

/// Messages that the client cannot read.
pub(crate) fn salvaged(queue: QueueRole) -> Counter {
    counter!(name::SALVAGED, "queue" => queue.as_str())
}

/// Spans that were `exported`, `dropped` because too many waited, or `failed` to reach the collector.
pub(crate) fn spans(outcome: &'static str) -> Counter {
    counter!(name::SPANS, "outcome" => outcome)
}

/// Looks that found something gone from the broker, and declared it again.
pub(crate) fn topology_healed() -> Counter {
    counter!(name::TOPOLOGY_HEALED)
}

/// Has the broker something else than was declared?
pub(crate) fn topology_differs(differs: bool) {
    metrics::gauge!(name::TOPOLOGY_DIFFERS).set(f64::from(u8::from(differs)));
}

/// Requests that were turned away.
#[cfg(feature = "http")]
pub(crate) fn shed() -> Counter {
    counter!(name::SHED)
}

/// For how many days there are partitions.
pub(crate) fn partitions_ahead(days: f64) {
    metrics::gauge!(name::PARTITIONS).set(days);
}
