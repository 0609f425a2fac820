//! A service's part in the choreography: built once, checked, and readable as data (`GET /choreography`).

use crate::action::{Action, AnyEvent, Form, IntoAction, Reverse, TypedUndo, UndoAction};
use crate::event::{BadEventType, Event, EventType, Never, Said};
use crate::jobs::{External, ExternalWorker, Worker};
use serde::Serialize;
use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a step is to its saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub enum StepKind {
    /// Before the point of no return; has an undo.
    Compensatable,
    /// The point of no return.
    Pivot,
    /// After it: cannot refuse, is tried until it succeeds.
    Retriable,
    /// Looks on: cannot fail a saga, nobody waits for it.
    Listener,
}

/// The steps of one service. See the crate's example for one in full.
///
/// A retriable step cannot refuse. This compiles:
///
/// ```
/// # use saga_common::{Cx, Never, Participant, StepResult, say};
/// # #[derive(serde::Serialize, serde::Deserialize)] #[serde(rename = "order.confirmed.v1")] struct OrderConfirmed {}
/// # #[derive(serde::Serialize, serde::Deserialize)] #[serde(rename = "stock.committed.v1")] struct StockCommitted {}
/// # #[derive(serde::Serialize, serde::Deserialize)] #[serde(rename = "stock.rejected.v1")] struct StockRejected {}
/// async fn commit(_: &mut Cx<()>, _: OrderConfirmed) -> StepResult<StockCommitted, Never> {
///     say(StockCommitted {})
/// }
/// let participant = Participant::new("inventory", ()).retriable("commit-stock", commit).build();
/// # participant.unwrap();
/// ```
///
/// and this does not:
///
/// ```compile_fail
/// # use saga_common::{Cx, Never, Participant, StepResult, say};
/// # #[derive(serde::Serialize, serde::Deserialize)] #[serde(rename = "order.confirmed.v1")] struct OrderConfirmed {}
/// # #[derive(serde::Serialize, serde::Deserialize)] #[serde(rename = "stock.committed.v1")] struct StockCommitted {}
/// # #[derive(serde::Serialize, serde::Deserialize)] #[serde(rename = "stock.rejected.v1")] struct StockRejected {}
/// async fn commit(_: &mut Cx<()>, _: OrderConfirmed) -> StepResult<StockCommitted, StockRejected> {
///     say(StockCommitted {})
/// }
/// let participant = Participant::new("inventory", ()).retriable("commit-stock", commit).build();
/// # participant.unwrap();
/// ```
pub struct Participant<App> {
    pub(crate) name: String,
    pub(crate) app: Arc<App>,
    pub(crate) steps: Vec<Step<App>>,
    pub(crate) owner: bool,
    pub(crate) lock_statements: Vec<&'static str>,
    pub(crate) unfinished: Option<&'static str>,
    by_event: BTreeMap<&'static str, usize>,
}

pub(crate) struct Step<App> {
    pub(crate) name: &'static str,
    pub(crate) kind: StepKind,
    pub(crate) on: Option<EventType>,
    pub(crate) says: Option<EventType>,
    pub(crate) refuses: Option<EventType>,
    pub(crate) action: Option<Arc<dyn Action<App>>>,
    pub(crate) undo: Option<Arc<dyn UndoAction<App>>>,
    pub(crate) worker: Option<Arc<dyn Worker<App>>>,
    pub(crate) announced: bool,
    locks: Option<Lens<Vec<String>>>,
    key: Option<Lens<String>>,
}

/// A function of an event whose type is erased.
type Lens<T> = Box<dyn Fn(&AnyEvent) -> Option<T> + Send + Sync>;

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
    participant: Participant<App>,
    problems: Vec<ChoreographyError>,
}

impl<App: Send + Sync + 'static> Participant<App> {
    /// Begins the participant `name` (the first part of its queues' names), whose steps see `app`.
    #[must_use]
    #[allow(clippy::new_ret_no_self)]
    pub fn new(name: &str, app: App) -> Builder<App> {
        let participant = Self {
            name: name.to_owned(),
            app: Arc::new(app),
            steps: Vec::new(),
            owner: false,
            lock_statements: Vec::new(),
            unfinished: None,
            by_event: BTreeMap::new(),
        };
        Builder { participant, problems: Vec::new() }
    }

    /// The step that reacts to a wire type.
    pub(crate) fn reacting_to(&self, event_type: &str) -> Option<&Step<App>> {
        self.by_event.get(event_type).and_then(|index| self.steps.get(*index))
    }

    /// The step of this name; listeners may share one.
    pub(crate) fn step(&self, name: &str) -> Option<&Step<App>> {
        self.steps.iter().find(|step| step.name == name)
    }

    /// Steps with an undo, in the order of the saga.
    pub(crate) fn compensatable(&self) -> impl DoubleEndedIterator<Item = &Step<App>> {
        self.steps.iter().filter(|step| step.undo.is_some())
    }

    /// Everything this service reacts to, says, refuses and undoes.
    #[must_use]
    pub fn map(&self) -> Choreography {
        let name = |event: &Option<EventType>| event.map(|e| e.as_str().to_owned());
        let steps = self.steps.iter().map(|step| StepMap {
            step: step.name.to_owned(),
            kind: step.kind,
            reacts_to: name(&step.on),
            says: name(&step.says),
            refuses: name(&step.refuses),
            undo: step.undo.is_some(),
        });
        Choreography { participant: self.name.clone(), steps: steps.collect() }
    }

    pub(crate) fn topology(&self, queue_type: crate::topology::QueueType, tap: bool) -> crate::topology::Topology {
        let keys = |pick: &dyn Fn(&Step<App>) -> Option<EventType>| -> BTreeSet<String> {
            self.steps.iter().filter_map(pick).map(|event| event.routing_key().to_owned()).collect()
        };
        let mut says = keys(&|step| step.says);
        let undoes = self.compensatable().next().is_some();
        if undoes && !self.owner {
            says.insert(crate::event::routing_key("saga.compensated.v1").to_owned());
        }
        crate::topology::Topology {
            service: self.name.clone(),
            reacts_to: keys(&|step| step.on),
            says,
            undoes,
            queue_type,
            tap,
        }
    }
}

/// A participant's part as data.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Choreography {
    /// The participant.
    pub participant: String,
    /// Its steps, in the order of the saga.
    pub steps: Vec<StepMap>,
}

/// One step as data.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct StepMap {
    /// The step's name, which is its key in the database.
    pub step: String,
    /// What it is to its saga.
    pub kind: StepKind,
    /// The event it reacts to; none for the step that starts a saga.
    pub reacts_to: Option<String>,
    /// What it says on success.
    pub says: Option<String>,
    /// What it refuses with.
    pub refuses: Option<String>,
    /// Can it be undone?
    pub undo: bool,
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
    pub fn external<M: Form, W: External<App, Says = M::Says, Refuses = M::Refuses>>(
        mut self,
        name: &'static str,
        action: impl IntoAction<App, M>,
        undo: impl for<'a> Reverse<'a, App> + 'static,
        worker: W,
    ) -> Self {
        self = self.compensatable(name, action, undo);
        if let Some(step) = self.participant.steps.last_mut() {
            step.worker = Some(Arc::new(ExternalWorker(worker)));
        }
        self
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

    /// Looks on. Several may share a name; each message is handled once per name.
    #[must_use]
    pub fn listener<M: Form<Says = Never, Refuses = Never>>(
        self,
        name: &'static str,
        action: impl IntoAction<App, M>,
    ) -> Self {
        self.acting(name, StepKind::Listener, action, None)
    }

    /// Of the step before: the keys of rows that other sagas touch too, passed to the statements of [`locking`].
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
            Some(step) => step.announced = true,
            None => self.problems.push(ChoreographyError::Misplaced("announced() follows no step".to_owned())),
        }
        self
    }

    /// A statement that locks shared rows in one fixed order, run before any handler of a batch (R7). `$1::text[]` are
    /// the keys that [`locks`](Builder::locks) declared for the batch's events, `$2::uuid[]` the batch's sagas. Several
    /// are run in the order given.
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

impl<App> Step<App> {
    fn named(name: &'static str, kind: StepKind) -> Self {
        Self {
            name,
            kind,
            on: None,
            says: None,
            refuses: None,
            action: None,
            undo: None,
            worker: None,
            announced: false,
            locks: None,
            key: None,
        }
    }

    /// The keys of shared rows this event will touch.
    pub(crate) fn lock_keys(&self, event: &AnyEvent) -> Vec<String> {
        self.locks.as_ref().and_then(|keys| keys(event)).unwrap_or_default()
    }

    /// The step part of the guard key.
    pub(crate) fn guard_step(&self, event: &AnyEvent, message_id: crate::ids::MessageId) -> String {
        if self.kind == StepKind::Listener {
            return format!("{}:{message_id}", self.name);
        }
        let key = self.key.as_ref().and_then(|key| key(event));
        key.map_or_else(|| self.name.to_owned(), crate::envelope::storable)
    }
}
