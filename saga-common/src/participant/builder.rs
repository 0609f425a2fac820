//! Builds a participant and checks that its steps fit together.

use super::{Participant, Step, StepKind};
use crate::action::{Form, IntoAction, Reverse, TypedUndo, UndoAction};
use crate::event::{BadEventType, Event, EventType, Never, Said};
use crate::faults::FaultPoint;
use crate::jobs::{External, LastingWorker, Reversible, ReversibleWorker, Worker};
use crate::unit::Saying;
use std::any::TypeId;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A choreography that does not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoreographyError {
    /// Two steps share a name, which is their key in the database.
    #[error("two steps are called `{0}`")]
    SameName(String),
    /// Two steps of one service react to the same event.
    #[error("two steps react to `{0}`")]
    SameEvent(String),
    /// A name is taken by the engine or has characters that do not belong in a key.
    #[error("`{0}` cannot name a participant or a step: use lower-case words with dashes (`compensate` is taken)")]
    BadName(String),
    /// A step's event has no wire type.
    #[error("step `{step}`: {why}")]
    BadEvent {
        /// The step.
        step: String,
        /// Why.
        why: String,
    },
    /// `locks`, `keyed_by` or `announced` does not fit the step it follows.
    #[error("{0}")]
    Misplaced(String),
}

/// Builds a [`Participant`].
pub struct Builder<App> {
    pub(super) participant: Participant<App>,
    pub(super) problems: Vec<ChoreographyError>,
}

impl<App: Send + Sync + 'static> Builder<App> {
    /// The step that starts a saga, outside of any event, and says `E`. Its participant owns the saga: it learns of
    /// every failure, runs `undo` (which may say that everybody had answered already), and answers nobody.
    #[must_use]
    pub fn starts<E: Event, S: Said>(
        mut self,
        name: &'static str,
        undo: impl for<'a> Reverse<'a, App, S> + 'static,
    ) -> Self {
        self.participant.owner = true;
        let says = self.wire::<E>(name);
        let undo: Arc<dyn UndoAction<App>> = Arc::new(TypedUndo::<_, S>::new(undo));
        self.push(Step { says, undo: Some(undo), ..Step::named(name, StepKind::Compensatable) })
    }

    /// Of the step before, which starts sagas: its participant may end them by itself with `E`
    /// ([`Unit::fail`](crate::Unit::fail)), until they are past the point of no return.
    #[must_use]
    pub fn ended_by<E: Event>(mut self) -> Self {
        let event = self.wire::<E>("ended_by()");
        match self.participant.steps.last_mut().filter(|step| step.on.is_none() && step.undo.is_some()) {
            Some(step) => step.refuses = event,
            None => self
                .problems
                .push(ChoreographyError::Misplaced("ended_by() follows no step that starts sagas".to_owned())),
        }
        self
    }

    /// A step that is done on request, outside of any event ([`Saga::once`](crate::Saga::once) and
    /// [`Saga::start`](crate::Saga::start)), and says `E`: a point of no return, of a saga it begins or of one that is past
    /// refusal. Nothing undoes it.
    #[must_use]
    pub fn on_request<E: Event>(mut self, name: &'static str) -> Self {
        let says = self.wire::<E>(name);
        self.push(Step { says, ..Step::named(name, StepKind::Pivot) })
    }

    /// A step before the pivot, with the undo that reverses it.
    #[must_use]
    pub fn compensatable<M: Form>(
        self,
        name: &'static str,
        action: impl IntoAction<App, M>,
        undo: impl for<'a> Reverse<'a, App> + 'static,
    ) -> Self {
        self.acting(name, StepKind::Compensatable, action, Some(Arc::new(TypedUndo::<_, Never>::new(undo))))
    }

    /// A step before the pivot whose action or undo may need calls outside (R3), which `worker` makes.
    #[must_use]
    pub fn external<M: Form, W: Reversible<App, Says = M::Says, Refuses = M::Refuses>>(
        self,
        name: &'static str,
        action: impl IntoAction<App, M>,
        undo: impl for<'a> Reverse<'a, App> + 'static,
        worker: W,
    ) -> Self {
        self.compensatable(name, action, undo).calling(Arc::new(ReversibleWorker(worker)))
    }

    /// The point of no return: the last step that may refuse.
    #[must_use]
    pub fn pivot<M: Form>(self, name: &'static str, action: impl IntoAction<App, M>) -> Self {
        self.acting(name, StepKind::Pivot, action, None)
    }

    /// A step after the pivot: it cannot refuse, and is tried until it succeeds.
    #[must_use]
    pub fn retriable<M: Form<Refuses = Never>>(self, name: &'static str, action: impl IntoAction<App, M>) -> Self {
        self.acting(name, StepKind::Retriable, action, None)
    }

    /// A step after the pivot whose action may need calls outside (R3), which `worker` makes. As its action it cannot
    /// refuse: a call is made again until it succeeds.
    #[must_use]
    pub fn retriable_external<M: Form<Refuses = Never>, W: External<App, Says = M::Says, Refuses = Never>>(
        self,
        name: &'static str,
        action: impl IntoAction<App, M>,
        worker: W,
    ) -> Self {
        self.retriable(name, action).calling(Arc::new(LastingWorker(worker)))
    }

    /// Looks on. Several may share a name; each message is handled once per name.
    #[must_use]
    pub fn listener<M: Form<Says = Never, Refuses = Never>>(
        self,
        name: &'static str,
        action: impl IntoAction<App, M>,
    ) -> Self {
        self.acting(name, StepKind::Listener, action, None)
    }

    /// Of the step before: the keys of rows that other sagas touch too, passed to the statements of [`locking`]. They must be
    /// all such rows that its action touches.
    ///
    /// [`locking`]: Builder::locking
    #[must_use]
    pub fn locks<E: Event>(mut self, keys: fn(&E) -> Vec<String>) -> Self {
        if let Some(step) = self.lens_on::<E>("locks") {
            step.locks = Some(Box::new(move |event| event.downcast_ref::<E>().map(keys)));
        }
        self
    }

    /// Of the step before: its guard key is what this gives instead of its name, so that it can run several times in a
    /// saga, once for each key (`answer:<participant>`).
    #[must_use]
    pub fn keyed_by<E: Event>(mut self, key: fn(&E) -> String) -> Self {
        if let Some(step) = self.lens_on::<E>("keyed_by") {
            step.key = Some(Box::new(move |event| event.downcast_ref::<E>().map(key)));
        }
        self
    }

    /// Of the step before: what it says or refuses with is announced until it is withdrawn (R4).
    #[must_use]
    pub fn announced(mut self) -> Self {
        match self.participant.steps.last_mut() {
            Some(step) => step.saying = Saying::UntilWithdrawn,
            None => self.problems.push(ChoreographyError::Misplaced("announced() follows no step".to_owned())),
        }
        self
    }

    /// This event always travels alone, as a plain message: for subscribers that are not built with this library, and so
    /// may not know bundles.
    #[must_use]
    pub fn unbundled<E: Event>(mut self) -> Self {
        match EventType::of::<E>() {
            Ok(event) => drop(Arc::make_mut(&mut self.participant.unbundled).insert(event.to_string())),
            Err(bad) => self.bad_event("unbundled()", &bad),
        }
        self
    }

    /// A statement that locks shared rows in one fixed order, run before any handler of a batch (R7). `$1::text[]` are
    /// the keys that [`locks`](Builder::locks) declared for the batch's events, `$2::uuid[]` the sagas of its other events
    /// and of undos. Several are run in the order given. One that writes must write what may stand by itself: it is sent
    /// together with BEGIN, before it is known whether that succeeds.
    #[must_use]
    pub fn locking(mut self, statement: &'static str) -> Self {
        self.participant.lock_statements.push(statement);
        self
    }

    /// A query of one boolean: are there unfinished sagas with ids from `$1::uuid` up to but without `$2::uuid`? Asked
    /// before their guard rows are dropped (R6).
    #[must_use]
    pub fn unfinished(mut self, query: &'static str) -> Self {
        self.participant.unfinished = Some(query);
        self
    }

    /// The fault points in the participant's own code, so that they are listed with the engine's.
    #[must_use]
    pub fn fault_points(mut self, points: &[&'static FaultPoint]) -> Self {
        self.participant.fault_points.extend_from_slice(points);
        self
    }

    /// Checks that the steps fit together.
    ///
    /// # Errors
    /// The first problem found.
    pub fn build(mut self) -> Result<Participant<App>, ChoreographyError> {
        let mut names = BTreeSet::new();
        self.check_name(&self.participant.name.clone());
        for (index, step) in self.participant.steps.iter().enumerate() {
            if !names.insert(step.name) && step.kind != StepKind::Listener {
                self.problems.push(ChoreographyError::SameName(step.name.to_owned()));
            }
            if let Some(event) = step.on
                && self.participant.by_event.insert(event.as_str(), index).is_some()
            {
                self.problems.push(ChoreographyError::SameEvent(event.to_string()));
            }
        }
        match self.problems.into_iter().next() {
            Some(problem) => Err(problem),
            None => Ok(self.participant),
        }
    }

    fn acting<M: Form>(
        mut self,
        name: &'static str,
        kind: StepKind,
        action: impl IntoAction<App, M>,
        undo: Option<Arc<dyn UndoAction<App>>>,
    ) -> Self {
        let on = self.wire::<M::On>(name);
        let says = self.said::<M::Says>(name);
        let refuses = self.said::<M::Refuses>(name);
        let action = Some(action.into_action().0);
        self.push(Step { on, says, refuses, action, undo, ..Step::named(name, kind) })
    }

    /// Of the step before: who makes its calls outside.
    fn calling(mut self, worker: Arc<dyn Worker<App>>) -> Self {
        if let Some(step) = self.participant.steps.last_mut() {
            step.worker = Some(worker);
        }
        self
    }

    fn push(mut self, step: Step<App>) -> Self {
        self.check_name(step.name);
        self.participant.steps.push(step);
        self
    }

    fn check_name(&mut self, name: &str) {
        let well_formed = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        if !well_formed || name == crate::answer::COMPENSATE {
            self.problems.push(ChoreographyError::BadName(name.to_owned()));
        }
    }

    fn wire<E: Event>(&mut self, step: &str) -> Option<EventType> {
        EventType::of::<E>().map_err(|bad| self.bad_event(step, &bad)).ok()
    }

    fn said<S: Said>(&mut self, step: &str) -> Option<EventType> {
        S::event_type().map_err(|bad| self.bad_event(step, &bad)).ok().flatten()
    }

    fn bad_event(&mut self, step: &str, bad: &BadEventType) {
        self.problems.push(ChoreographyError::BadEvent { step: step.to_owned(), why: bad.to_string() });
    }

    fn lens_on<E: Event>(&mut self, what: &str) -> Option<&mut Step<App>> {
        let step = self.participant.steps.last_mut()?;
        if step.action.as_ref().is_some_and(|action| action.event() == TypeId::of::<E>()) {
            return Some(step);
        }
        let text = format!("{what}() takes another event than the step `{}` before it", step.name);
        self.problems.push(ChoreographyError::Misplaced(text));
        None
    }
}
