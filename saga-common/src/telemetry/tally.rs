//! What a unit of work has done, told to the metrics when it has committed: what was rolled back has not happened. A process
//! that ends between the commit and this has not counted it.

use super::meters::{self, Meters};
use super::trace::span::{self, Kind};
use super::trace::{Span, Tracer};
use crate::answer::CompensationOutcome;
use crate::guard::Verdict;
use crate::ids::{MessageId, now_ms};
use std::time::{Duration, Instant, SystemTime};

/// Something to be told or done once a unit has committed.
pub(crate) type AfterCommit = Box<dyn FnOnce() + Send + Sync>;

pub(crate) struct Tally {
    began: Instant,
    verdicts: Vec<(String, Verdict, u64)>,
    duplicates: Vec<(&'static str, u64)>,
    fenced: Vec<(&'static str, u64)>,
    /// Steps with the time at which their message was published.
    hops: Vec<(&'static str, u64)>,
    /// Answers with the failure they are for.
    answers: Vec<(CompensationOutcome, MessageId)>,
    pub(crate) after_commit: Vec<AfterCommit>,
    /// What is recorded of traces. They end with the commit.
    pub(crate) spans: Vec<Span>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            verdicts: Vec::new(),
            duplicates: Vec::new(),
            fenced: Vec::new(),
            hops: Vec::new(),
            answers: Vec::new(),
            after_commit: Vec::new(),
            spans: Vec::new(),
        }
    }
}

impl Tally {
    /// A step has come to this.
    pub(crate) fn verdict(&mut self, step: &str, verdict: Verdict) {
        match self.verdicts.iter_mut().find(|(name, counted, _)| name == step && *counted == verdict) {
            Some((_, _, times)) => *times += 1,
            None => self.verdicts.push((step.to_owned(), verdict, 1)),
        }
    }

    /// A message had been handled before.
    pub(crate) fn duplicate(&mut self, step: &'static str) {
        add(&mut self.duplicates, step);
    }

    /// An action came after its undo.
    pub(crate) fn fenced(&mut self, step: &'static str) {
        add(&mut self.fenced, step);
    }

    /// A step has reacted to a message that was published at this time, in milliseconds since 1970, if it says when.
    pub(crate) fn hop(&mut self, step: &'static str, published_ms: Option<u64>) {
        self.hops.extend(published_ms.map(|at| (step, at)));
    }

    /// The participant answers this failure.
    pub(crate) fn answer(&mut self, outcome: CompensationOutcome, failure: MessageId) {
        self.answers.push((outcome, failure));
    }

    /// When the batch was taken up, by the clock on the wall.
    pub(crate) fn began(&self) -> SystemTime {
        let now = SystemTime::now();
        now.checked_sub(self.began.elapsed()).unwrap_or(now)
    }

    /// The steps that have been recorded so far were one unit of work over this many events.
    pub(crate) fn batch(&mut self, queue: &str, events: usize) {
        let links: Vec<_> =
            self.spans.iter().filter(|span| span.kind == Kind::Consumer).map(|span| span.context).collect();
        if !links.is_empty() {
            let events = u32::try_from(events).unwrap_or(u32::MAX);
            self.spans.push(span::batch(queue.to_owned(), events, self.began(), links));
        }
    }

    pub(crate) fn record(self, meters: &Meters, tracer: &Tracer, made: Vec<Span>) {
        let ended = SystemTime::now();
        self.spans.into_iter().chain(made).for_each(|span| tracer.record(Span { ended, ..span }));
        let took = self.began.elapsed();
        let now = now_ms();
        let mut timed: Vec<&str> = Vec::new();
        for (step, verdict, times) in &self.verdicts {
            meters::verdicts(step.clone(), *verdict).increment(*times);
            if !timed.contains(&step.as_str()) {
                timed.push(step);
                meters.step(step).duration.record(took);
            }
        }
        for (step, times) in self.duplicates {
            meters.step(step).duplicates.increment(times);
        }
        for (step, times) in self.fenced {
            meters.step(step).fenced.increment(times);
        }
        for (step, at) in self.hops {
            meters.step(step).hop.record(since(at, now));
        }
        for (outcome, failure) in self.answers {
            if let Some(said) = failure.made_at_ms() {
                meters::compensation(outcome).record(since(said, now));
            }
        }
        self.after_commit.into_iter().for_each(|tell| tell());
    }
}

fn add(counts: &mut Vec<(&'static str, u64)>, step: &'static str) {
    match counts.iter_mut().find(|(name, _)| *name == step) {
        Some((_, times)) => *times += 1,
        None => counts.push((step, 1)),
    }
}

/// Nothing, where the other machine's clock is ahead of ours.
pub(crate) fn since(then_ms: u64, now_ms: u64) -> Duration {
    Duration::from_millis(now_ms.saturating_sub(then_ms))
}
