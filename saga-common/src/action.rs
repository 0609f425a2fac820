//! From typed async functions to what the consumer can hold in one list: the only place where event types are erased.
//!
//! An action has one of three forms. One event at a time (the default), a whole batch ([`set`]), or a call outside the
//! database, which an action asks for by returning [`Outcome::Defer`] and a
//! [`Worker`](crate::jobs::External) performs.

use crate::envelope::Envelope;
use crate::event::{BadEventType, Event, EventType, Never, Said};
use crate::ids::{MessageId, SagaId};
use crate::step::{Cx, Outcome, Received, Retry, SetResult, StepError, StepResult, Undo, UndoResult};
use crate::topology::Route;
use std::any::{Any, TypeId};
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An event of a type only its action knows.
pub(crate) type AnyEvent = Box<dyn Any + Send + Sync>;

/// An async function from an event to its outcome.
pub trait OneByOne<'a, App, E, S, R: Said>: Send + Sync {
    /// What it returns.
    type Future: Future<Output = StepResult<S, R>> + Send + 'a;
    /// Calls it.
    fn call(&self, cx: &'a mut Cx<App>, event: E) -> Self::Future;
}

impl<'a, F, Fut, App: 'a, E, S, R: Said> OneByOne<'a, App, E, S, R> for F
where
    F: Fn(&'a mut Cx<App>, E) -> Fut + Send + Sync,
    Fut: Future<Output = StepResult<S, R>> + Send + 'a,
{
    type Future = Fut;
    fn call(&self, cx: &'a mut Cx<App>, event: E) -> Fut {
        self(cx, event)
    }
}

/// An async function from a batch of events to as many outcomes.
pub trait SetWise<'a, App, E: 'a, S, R: Said>: Send + Sync {
    /// What it returns.
    type Future: Future<Output = SetResult<S, R>> + Send + 'a;
    /// Calls it.
    fn call(&self, cx: &'a mut Cx<App>, events: &'a [Received<E>]) -> Self::Future;
}

impl<'a, F, Fut, App: 'a, E: 'a, S, R: Said> SetWise<'a, App, E, S, R> for F
where
    F: Fn(&'a mut Cx<App>, &'a [Received<E>]) -> Fut + Send + Sync,
    Fut: Future<Output = SetResult<S, R>> + Send + 'a,
{
    type Future = Fut;
    fn call(&self, cx: &'a mut Cx<App>, events: &'a [Received<E>]) -> Fut {
        self(cx, events)
    }
}

/// An async function that reverses an action. It reads its own rows, never the failure's body.
pub trait Reverse<'a, App, S: Said = Never>: Send + Sync {
    /// What it returns.
    type Future: Future<Output = UndoResult<S>> + Send + 'a;
    /// Calls it.
    fn call(&self, cx: &'a mut Cx<App>) -> Self::Future;
}

impl<'a, F, Fut, App: 'a, S: Said> Reverse<'a, App, S> for F
where
    F: Fn(&'a mut Cx<App>) -> Fut + Send + Sync,
    Fut: Future<Output = UndoResult<S>> + Send + 'a,
{
    type Future = Fut;
    fn call(&self, cx: &'a mut Cx<App>) -> Fut {
        self(cx)
    }
}

/// The types of an action, whatever its form.
pub trait Form: 'static {
    /// What it reacts to.
    type On: Event;
    /// What it says.
    type Says: Said;
    /// What it refuses with.
    type Refuses: Said;
}

/// Names types without owning values of them.
type Types<E, S, R> = fn() -> (E, S, R);

/// The form of an action that takes one event.
pub struct One<E, S, R>(PhantomData<Types<E, S, R>>);
/// The form of an action that takes a batch.
pub struct Set<E, S, R>(PhantomData<Types<E, S, R>>);

impl<E: Event, S: Said, R: Said> Form for One<E, S, R> {
    type On = E;
    type Says = S;
    type Refuses = R;
}

impl<E: Event, S: Said, R: Said> Form for Set<E, S, R> {
    type On = E;
    type Says = S;
    type Refuses = R;
}

/// Marks an async function over `&[Received<E>]` as an action for whole batches: set-based SQL for hot steps. It must
/// give what one-by-one gives, in the order of the events, also when events share rows.
pub fn set<F>(action: F) -> SetBased<F> {
    SetBased(action)
}

/// See [`set`].
pub struct SetBased<F>(F);

/// What the builder takes as an action: an async function, or [`set`] of one.
pub trait IntoAction<App, M: Form> {
    /// Erases the types.
    fn into_action(self) -> ActionRef<App>;
}

/// An action without its types.
pub struct ActionRef<App>(pub(crate) Arc<dyn Action<App>>);

impl<App: Send + Sync + 'static, F, E: Event, S: Said, R: Said> IntoAction<App, One<E, S, R>> for F
where
    F: for<'a> OneByOne<'a, App, E, S, R> + 'static,
{
    fn into_action(self) -> ActionRef<App> {
        ActionRef(Arc::new(Typed { action: self, form: PhantomData::<fn() -> One<E, S, R>> }))
    }
}

impl<App: Send + Sync + 'static, F, E: Event, S: Said, R: Said> IntoAction<App, Set<E, S, R>> for SetBased<F>
where
    F: for<'a> SetWise<'a, App, E, S, R> + 'static,
{
    fn into_action(self) -> ActionRef<App> {
        ActionRef(Arc::new(Typed { action: self.0, form: PhantomData::<fn() -> Set<E, S, R>> }))
    }
}

/// One event for an action.
pub(crate) struct ActionItem {
    pub(crate) saga_id: SagaId,
    pub(crate) message_id: MessageId,
    pub(crate) event: AnyEvent,
}

/// How one event ended, without types.
#[derive(Debug)]
pub(crate) enum Ended {
    Said { route: Route, event_type: EventType, body: Vec<u8> },
    Quiet,
    Superseded(&'static str),
    Deferred(serde_json::Value),
}

pub(crate) trait Action<App>: Send + Sync {
    fn event(&self) -> TypeId;
    /// Reads the body; the text says what is wrong with it.
    fn decode(&self, envelope: &Envelope) -> Result<AnyEvent, String>;
    /// Runs the action over events of its own step, one outcome each, in order.
    fn run<'a>(&'a self, cx: &'a mut Cx<App>, items: Vec<ActionItem>) -> BoxFuture<'a, Result<Vec<Ended>, StepError>>;
}

struct Typed<F, M> {
    action: F,
    form: PhantomData<fn() -> M>,
}

impl<App: Send + Sync + 'static, F, E: Event, S: Said, R: Said> Action<App> for Typed<F, One<E, S, R>>
where
    F: for<'a> OneByOne<'a, App, E, S, R>,
{
    fn event(&self) -> TypeId {
        TypeId::of::<E>()
    }

    fn decode(&self, envelope: &Envelope) -> Result<AnyEvent, String> {
        decode::<E>(envelope)
    }

    fn run<'a>(&'a self, cx: &'a mut Cx<App>, items: Vec<ActionItem>) -> BoxFuture<'a, Result<Vec<Ended>, StepError>> {
        Box::pin(async move {
            let mut ended = Vec::with_capacity(items.len());
            for item in items {
                cx.saga_id = item.saga_id;
                cx.message_id = item.message_id;
                let outcome = self.action.call(cx, typed::<E>(item.event)?).await.map_err(Into::into)?;
                ended.push(Ended::of(outcome)?);
            }
            Ok(ended)
        })
    }
}

impl<App: Send + Sync + 'static, F, E: Event, S: Said, R: Said> Action<App> for Typed<F, Set<E, S, R>>
where
    F: for<'a> SetWise<'a, App, E, S, R>,
{
    fn event(&self) -> TypeId {
        TypeId::of::<E>()
    }

    fn decode(&self, envelope: &Envelope) -> Result<AnyEvent, String> {
        decode::<E>(envelope)
    }

    fn run<'a>(&'a self, cx: &'a mut Cx<App>, items: Vec<ActionItem>) -> BoxFuture<'a, Result<Vec<Ended>, StepError>> {
        Box::pin(async move {
            let mut events = Vec::with_capacity(items.len());
            for item in items {
                events.push(Received {
                    saga_id: item.saga_id,
                    message_id: item.message_id,
                    event: typed::<E>(item.event)?,
                });
            }
            let outcomes = self.action.call(cx, &events).await.map_err(Into::into)?;
            if outcomes.len() != events.len() {
                let counts = format!("a set-based action gave {} outcomes for {} events", outcomes.len(), events.len());
                return Err(Retry::because(counts).into());
            }
            outcomes.into_iter().map(Ended::of).collect()
        })
    }
}

fn decode<E: Event>(envelope: &Envelope) -> Result<AnyEvent, String> {
    let event: E = serde_json::from_slice(&envelope.body).map_err(|e| format!("the body cannot be read: {e}"))?;
    Ok(Box::new(event))
}

fn typed<E: Event>(event: AnyEvent) -> Result<E, StepError> {
    let event = event.downcast::<E>().map_err(|_| Retry::because("an event reached an action of another type"))?;
    Ok(*event)
}

impl Ended {
    pub(crate) fn of<S: Said, R: Said>(outcome: Outcome<S, R>) -> Result<Self, StepError> {
        Ok(match outcome {
            Outcome::Say(event) => Self::said(Route::Direct, &event)?,
            Outcome::Refuse(event) => Self::said(Route::Fanout, &event)?,
            Outcome::Quiet => Self::Quiet,
            Outcome::Superseded(why) => Self::Superseded(why),
            Outcome::Defer(job) => Self::Deferred(job),
        })
    }

    fn said<T: Said>(route: Route, event: &T) -> Result<Self, StepError> {
        let no_type = || BadEventType(std::any::type_name::<T>().to_owned());
        let event_type = T::event_type()?.ok_or_else(no_type)?;
        Ok(Self::Said { route, event_type, body: event.encode()? })
    }
}

/// How an undo ended, without types.
#[derive(Debug)]
pub(crate) enum Reversed {
    Done,
    Said(Ended),
    Deferred(Option<serde_json::Value>),
}

pub(crate) trait UndoAction<App>: Send + Sync {
    fn run<'a>(&'a self, cx: &'a mut Cx<App>) -> BoxFuture<'a, Result<Reversed, StepError>>;
}

pub(crate) struct TypedUndo<F, S> {
    undo: F,
    says: PhantomData<fn() -> S>,
}

impl<F, S> TypedUndo<F, S> {
    pub(crate) fn new(undo: F) -> Self {
        Self { undo, says: PhantomData }
    }
}

impl<App: Send + Sync + 'static, F, S: Said> UndoAction<App> for TypedUndo<F, S>
where
    F: for<'a> Reverse<'a, App, S>,
{
    fn run<'a>(&'a self, cx: &'a mut Cx<App>) -> BoxFuture<'a, Result<Reversed, StepError>> {
        Box::pin(async move {
            Ok(match self.undo.call(cx).await? {
                Undo::Done => Reversed::Done,
                Undo::Say(event) => Reversed::Said(Ended::said(Route::Direct, &event)?),
                Undo::Defer(data) => Reversed::Deferred(data),
            })
        })
    }
}
