//! What steps leave for the end of their unit.

use super::Announcement;
use crate::error::Error;
use crate::event::{Event, EventType, Said};
use crate::guard::{self, Expected, NewGuard, Settled, Verdict};
use crate::ids::{SagaId, UnitId};
use crate::jobs::NewJob;
use crate::outbox::Outgoing;
use crate::step::Cx;
use crate::telemetry::Tally;
use crate::telemetry::trace::{Origin, Span, span};
use crate::topology::Route;
use crate::waiting::WaitingKey;
use std::time::SystemTime;

/// What the end of a unit writes.
#[derive(Default)]
pub(crate) struct Ends {
    pub(crate) unit: UnitId,
    /// Of sagas that start with the end of the unit.
    pub(crate) starting: Vec<NewGuard>,
    pub(crate) outgoing: Vec<Outgoing>,
    /// Recorded answers that are said again.
    pub(crate) repeated: Vec<Outgoing>,
    pub(crate) verdicts: Vec<Settled>,
    pub(crate) announcements: Vec<Announcement>,
    pub(crate) withdrawn: Vec<SagaId>,
    pub(crate) jobs: Vec<NewJob>,
    pub(crate) finished_jobs: Vec<guard::Key>,
    pub(crate) handled: Vec<WaitingKey>,
    /// For the metrics.
    pub(crate) tally: Tally,
}

impl Ends {
    /// A span for each message that is made by something recorded, also of those that are said later.
    pub(super) fn made(&self) -> Vec<Span> {
        let later = self.announcements.iter().map(|announcement| &announcement.message);
        let later = later.filter(|message| self.outgoing.iter().all(|said| said.id != message.id));
        let made = self.outgoing.iter().chain(later).filter_map(|message| {
            let context = message.traceparent.as_deref()?.parse().ok()?;
            Some(span::create(message, context, message.made_by?, SystemTime::now()))
        });
        made.collect()
    }

    /// Takes what handlers have left in their context.
    pub(crate) fn take<App>(&mut self, cx: &mut Cx<App>) {
        self.announcements.append(&mut cx.announcements);
        self.withdrawn.append(&mut cx.withdrawn);
        self.tally.after_commit.append(&mut cx.after_commit);
    }

    /// What the first step of sagas says; returns its guard rows, for the beginning of the unit or its end.
    pub(super) fn start<E: Event>(&mut self, step: &str, sagas: &[(SagaId, E)]) -> Result<Vec<NewGuard>, Error> {
        let event_type = EventType::of::<E>()?;
        let mut guards = Vec::with_capacity(sagas.len());
        for (saga_id, event) in sagas {
            let body = event.encode()?;
            let message = Outgoing::new(*saga_id, Route::Direct, event_type.as_str(), None, Origin::default(), body);
            guards.push(NewGuard {
                key: (*saga_id, step.to_owned()),
                expected: Expected { verdict: Verdict::Done, says: Some((message.id, event_type)) },
                message_id: message.id,
                causation_id: None,
                body_hash: None,
                waits_as: None,
            });
            self.tally.verdict(step, Verdict::Done);
            self.outgoing.push(message);
        }
        Ok(guards)
    }
}
