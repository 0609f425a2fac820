//! A service's part in the choreography: built once, checked, and readable as data (`GET /choreography`).

mod builder;

pub use builder::{Builder, ChoreographyError};
pub use saga_choreography::{Choreography, StepKind, StepMap};

use crate::action::{Action, AnyEvent, UndoAction};
use crate::answer::ANSWER;
use crate::event::EventType;
use crate::faults::FaultPoint;
use crate::guard::{Expected, Verdict};
use crate::ids::MessageId;
use crate::jobs::Worker;
use crate::topology::{QueueType, Topology};
use crate::unit::Saying;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

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
    pub(crate) fault_points: Vec<&'static FaultPoint>,
    pub(crate) unbundled: Arc<BTreeSet<String>>,
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
    pub(crate) saying: Saying,
    locks: Option<Lens<Vec<String>>>,
    key: Option<Lens<String>>,
}

/// A function of an event whose type is erased.
type Lens<T> = Box<dyn Fn(&AnyEvent) -> Option<T> + Send + Sync>;

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
            fault_points: Vec::new(),
            unbundled: Arc::default(),
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
        Choreography {
            participant: self.name.clone(),
            steps: steps.collect(),
            undoes: self.undoes(),
            answers: self.answers().then(|| ANSWER.to_owned()),
        }
    }

    /// Does it have anything to undo when a saga fails?
    fn undoes(&self) -> bool {
        self.compensatable().next().is_some()
    }

    /// The owner collects answers; it gives none.
    fn answers(&self) -> bool {
        self.undoes() && !self.owner
    }

    pub(crate) fn topology(&self, queue_type: QueueType, tap: bool) -> Topology {
        Topology::of(&self.map(), queue_type, tap)
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
            saying: Saying::Once,
            locks: None,
            key: None,
        }
    }

    /// The keys of shared rows this event will touch.
    pub(crate) fn lock_keys(&self, event: &AnyEvent) -> Vec<String> {
        self.locks.as_ref().and_then(|keys| keys(event)).unwrap_or_default()
    }

    /// Does it say which shared rows it touches?
    pub(crate) fn declares_locks(&self) -> bool {
        self.locks.is_some()
    }

    /// What nearly always becomes of it: success. (What calls outside can do with one more row.)
    pub(crate) fn expected(&self) -> Expected {
        Expected { verdict: Verdict::Done, says: self.says.map(|event_type| (MessageId::new(), event_type)) }
    }

    /// Has it a guard row of its own for each key of its events?
    pub(crate) fn is_keyed(&self) -> bool {
        self.key.is_some()
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
