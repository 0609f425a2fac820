//! A unit of work: one transaction with the engine's own rows, written set-wise at its end.
//!
//! Whatever changes business rows and says something goes through here: a batch of actions, undos, the end of a job, a
//! placement, a cancellation. So the order of R5 is written once: what is said, announcements, the verdicts that are
//! others than expected, which must all hit; COMMIT; only then anything leaves the process. Each of these statements of the
//! engine's fails in any other transaction than the one the unit began in, and outside of any. The database is asked as seldom as
//! that allows: what begins a unit is one round trip, and so is what ends it.

mod ends;

pub(crate) use ends::Ends;

use crate::announcer;
use crate::db::{Answer, Db, DbError, Statement, Trouble, Tx, trouble};
use crate::envelope::Envelope;
use crate::error::Error;
use crate::event::{Event, EventType, Said};
use crate::faults;
use crate::guard::{self, Found, NewGuard, Settled, Verdict, Words};
use crate::ids::{MessageId, SagaId};
use crate::jobs;
use crate::outbox::{self, Outbox, Outgoing};
use crate::said::Recorded;
use crate::step::Retry;
use crate::telemetry::trace::{Cause, Origin, Span, Trace, TraceContext, span};
use crate::topology::Route;
use crate::waiting;
use std::iter;
use std::time::SystemTime;
use tokio_postgres::Row;

/// How a step's word goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Saying {
    Once,
    /// As an [`Announcement`].
    UntilWithdrawn,
}

/// Something to be said over and over until everybody has answered (R4): one id, kept over all repeats.
#[derive(Debug, Clone)]
pub struct Announcement {
    pub(crate) message: Outgoing,
}

impl Announcement {
    pub(crate) fn fanout<E: Event>(
        saga_id: SagaId,
        event: &E,
        cause: MessageId,
        origin: Origin,
    ) -> Result<Self, Retry> {
        let event_type = EventType::of::<E>()?;
        let body = event.encode()?;
        let message = Outgoing::new(saga_id, Route::Fanout, event_type.as_str(), Some(cause), origin, body);
        Ok(Self { message })
    }
}

/// An open unit of work. Dropped, nothing of it happens.
pub struct Unit {
    tx: Tx,
    pub(crate) ends: Ends,
}

fn found(answers: &[Answer]) -> Found {
    answers.first().map_or_else(Found::default, |answer| guard::found(&answer.rows))
}

fn taken() -> DbError {
    DbError::Broken("a saga with one of these ids has been started before".to_owned())
}

impl Unit {
    pub(crate) async fn begin(db: &Db) -> Result<Self, DbError> {
        let ends = Ends::default();
        Ok(Self { tx: db.begin_unit(ends.unit).await?, ends })
    }

    /// Begins with the guard rows (R1), in one round trip.
    pub(crate) async fn open(db: &Db, ends: Ends, guards: &[NewGuard]) -> Result<(Self, Found), DbError> {
        let (tx, answers) = db.begin_with(&[guard::insert(ends.unit, guards)]).await?;
        Ok((Self { tx, ends }, found(&answers)))
    }

    /// The same where no copies are likely: the `locks` on shared rows are in the same round trip, and what they return comes
    /// with the unit; of what is locked `besides` nobody is told. If a copy is met after all, nothing has happened, and the unit's
    /// end comes back.
    pub(crate) async fn open_new(
        db: &Db,
        ends: Ends,
        guards: &[NewGuard],
        locks: Vec<Statement<'_>>,
        besides: Option<Statement<'_>>,
    ) -> Result<Result<(Self, Vec<Row>), Ends>, DbError> {
        let told = locks.len();
        let new = guard::insert_new(ends.unit, guards);
        let first: Vec<Statement> = iter::once(new).chain(locks).chain(besides).collect();
        match db.begin_with(&first).await {
            Ok((tx, answers)) => {
                let mut answers = answers.into_iter();
                if answers.next().is_some_and(|inserted| inserted.hit == guards.len() as u64) {
                    let locked = answers.take(told).flat_map(|answer| answer.rows).collect();
                    return Ok(Ok((Self { tx, ends }, locked)));
                }
                tx.rollback().await;
                Ok(Err(ends))
            }
            Err(error) if guard::met_a_copy(&error) => Ok(Err(ends)),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn with(tx: Tx, ends: Ends) -> Self {
        Self { tx, ends }
    }

    pub(crate) fn into_parts(self) -> (Tx, Ends) {
        (self.tx, self.ends)
    }

    /// The open transaction, for the service's own statements.
    #[must_use]
    pub fn tx(&self) -> &Tx {
        &self.tx
    }

    /// Begins with the service's own statements, in one round trip; returns what each of them came to. See
    /// [`Saga::begin_with`](crate::Saga::begin_with).
    pub(crate) async fn begin_with(db: &Db, first: Vec<Statement<'_>>) -> Result<(Self, Vec<Vec<Row>>), DbError> {
        let ends = Ends::default();
        let named = Statement::new("select saga.begin_unit($1)").with(ends.unit.as_uuid());
        let (tx, answers) = db.begin_with(&iter::once(named).chain(first).collect::<Vec<_>>()).await?;
        let rows = answers.into_iter().skip(1).map(|answer| answer.rows).collect();
        Ok((Self { tx, ends }, rows))
    }

    /// A unit that begins with the start of sagas.
    pub(crate) async fn starting<E: Event>(db: &Db, step: &str, sagas: &[(SagaId, E)]) -> Result<Self, Error> {
        let mut ends = Ends::default();
        let guards = ends.start(step, sagas)?;
        let begun = Self::open_new(db, ends, &guards, Vec::new(), None).await?;
        begun.map(|(unit, _)| unit).map_err(|_| taken().into())
    }

    /// A unit that begins with a step that is done on request; none if it has been done.
    pub(crate) async fn once<E: Event>(db: &Db, step: &str, saga_id: SagaId, event: E) -> Result<Option<Self>, Error> {
        let mut ends = Ends::default();
        let guards = ends.start(step, &[(saga_id, event)])?;
        let (unit, found) = Self::open(db, ends, &guards).await?;
        if found.all {
            return Ok(Some(unit));
        }
        unit.rollback().await;
        Ok(None)
    }

    /// What was said so far is repeated until it is withdrawn (R4).
    pub(crate) fn announce(&mut self) {
        let said = self.ends.outgoing.iter().cloned();
        self.ends.announcements.extend(said.map(|message| Announcement { message }));
    }

    /// Starts sagas: writes the guard rows of their first step and what it says. Call it before touching business
    /// rows (R7). The ids must be new.
    ///
    /// # Errors
    /// When a statement fails or an id is already taken.
    pub async fn start<E: Event>(&mut self, step: &str, sagas: &[(SagaId, E)]) -> Result<(), Error> {
        let guards = self.ends.start(step, sagas)?;
        let answers = self.tx.send(&[guard::insert(self.ends.unit, &guards)]).await?;
        if found(&answers).all { Ok(()) } else { Err(taken().into()) }
    }

    /// Starts sagas with the end of the unit, for [`Saga::commit_with`](crate::Saga::commit_with): its round trip writes their guard
    /// rows before its last statement, which is the one that writes business rows (R7). What the unit has locked before is no breach
    /// of that order: nobody else can wait for guard rows of sagas that are new.
    ///
    /// # Errors
    /// When an event cannot be written. An id that is already taken fails the commit.
    pub fn start_last<E: Event>(&mut self, step: &str, sagas: &[(SagaId, E)]) -> Result<(), Error> {
        let guards = self.ends.start(step, sagas)?;
        self.ends.starting.extend(guards);
        Ok(())
    }

    /// Locks the guard rows of the sagas' first step, in key order, before a cancellation or a deadline touches
    /// business rows (R7).
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn lock(&self, step: &str, sagas: &[SagaId]) -> Result<(), Error> {
        let keys = sagas.iter().map(|id| (*id, step.to_owned())).collect();
        guard::lock_of_any_day(&self.tx, &keys).await?;
        Ok(())
    }

    /// Ends a saga from its owner's side (R2): the first step is undone by this very unit, `event` is fanned out now
    /// and announced until it is withdrawn.
    ///
    /// # Errors
    /// When the event cannot be written.
    pub fn fail<E: Event>(&mut self, step: &str, saga_id: SagaId, event: &E) -> Result<(), Error> {
        let message = self.undo_by_owner(step, saga_id, Route::Fanout, event)?;
        self.ends.announcements.push(Announcement { message: message.clone() });
        self.ends.outgoing.push(message);
        Ok(())
    }

    /// What the unit does and says of this saga is a part of this trace: of the request that asked for it.
    pub fn caused_by(&mut self, step: &str, saga_id: SagaId, trace: &Trace) {
        let cause = trace.cause();
        if let Some(reaction) = cause.recorded() {
            let span = span::step(reaction, saga_id, step, SystemTime::now());
            self.ends.tally.spans.push(Span { links: trace.links(), ..span });
        }
        if matches!(cause, Cause::Untraced) {
            return;
        }
        let announced = self.ends.announcements.iter_mut().map(|announcement| &mut announcement.message);
        let its: Vec<&mut Outgoing> =
            self.ends.outgoing.iter_mut().chain(announced).filter(|message| message.saga_id == saga_id).collect();
        let origin = cause.origin();
        for message in its {
            (message.traceparent, message.made_by) = (origin.traceparent.clone(), origin.made_by);
        }
    }

    /// Has this told or done once the unit has committed: for metrics. It is lost with a process that ends before it.
    pub fn after_commit(&mut self, tell: impl FnOnce() + Send + Sync + 'static) {
        self.ends.tally.after_commit.push(Box::new(tell));
    }

    /// Ends the unit without effect, and keeps the connection.
    pub async fn rollback(self) {
        self.tx.rollback().await;
    }

    /// Ends a saga from its owner's side when everybody has answered already: the first step is undone by this very
    /// unit and says `event`.
    ///
    /// # Errors
    /// When the event cannot be written.
    pub fn end<E: Event>(&mut self, step: &str, saga_id: SagaId, event: &E) -> Result<(), Error> {
        let message = self.undo_by_owner(step, saga_id, Route::Direct, event)?;
        self.ends.withdrawn.push(saga_id);
        self.ends.outgoing.push(message);
        Ok(())
    }

    /// What both ends have in common: the first step's verdict, and the message that says so.
    fn undo_by_owner<E: Event>(
        &mut self,
        step: &str,
        saga_id: SagaId,
        route: Route,
        event: &E,
    ) -> Result<Outgoing, Error> {
        let event_type = EventType::of::<E>()?;
        self.ends.tally.verdict(step, Verdict::Undone);
        self.ends.verdicts.push(Settled {
            key: (saga_id, step.to_owned()),
            was: Verdict::Done,
            verdict: Verdict::Undone,
            // What the step said when it took effect.
            words: Words::Kept,
            detail: Some(format!("said {event_type}")),
        });
        Ok(Outgoing::new(saga_id, route, event_type.as_str(), None, Origin::default(), event.encode()?))
    }

    /// Writes the engine's rows, commits, and hands what was said to the relay.
    pub(crate) async fn commit(self, outbox: &Outbox) -> Result<(), DbError> {
        self.commit_with(outbox, None).await.map(drop)
    }

    /// The same behind the service's `last` statement, in one round trip; returns what that came to.
    pub(crate) async fn commit_with(self, outbox: &Outbox, last: Option<Statement<'_>>) -> Result<Vec<Row>, DbError> {
        let Self { tx, ends } = self;
        faults::BEFORE_COMMIT.reached().await?;
        let (unit, recorded) = (ends.unit, ends.outgoing.len());
        let made = if outbox.tracer().is_on() { ends.made() } else { Vec::new() };
        let messages = ends.outgoing.into_iter().chain(ends.repeated).collect();
        // In flight from before the commit on: the sweeper must not take what is about to be published from memory.
        let in_flight = outbox.in_flight_until_known(unit, messages);
        // What the broker has confirmed meanwhile is forgotten by the way: it needs no commit of its own.
        let confirmed = outbox.take_some_confirmed();
        let said = in_flight.row(recorded);
        // Behind the guard rows of sagas that start here.
        let asked = last.is_some().then_some(usize::from(!ends.starting.is_empty()));
        let rows = [
            guard::insert_last(unit, &ends.starting),
            last,
            said.or_else(|| Some(Statement::new("select saga.must_be($1)").with(unit.as_uuid()))),
            announcer::insert(unit, &ends.announcements),
            announcer::withdraw(unit, &ends.withdrawn),
            jobs::insert(unit, &ends.jobs),
            jobs::finish(unit, &ends.finished_jobs),
            waiting::handled(unit, &ends.handled),
            outbox::delete(confirmed.units()),
            guard::settle(unit, &ends.verdicts),
        ];
        let rows: Vec<Statement> = rows.into_iter().flatten().collect();
        let committed = match tx.commit(&rows).await {
            Ok(answers) => faults::AFTER_COMMIT.reached().await.map_err(DbError::from).map(|()| answers),
            error => error,
        };
        drop(rows);
        match committed {
            Ok(answers) => {
                in_flight.publish();
                confirmed.forget();
                ends.tally.record(outbox.meters(), outbox.tracer(), made);
                let answer = asked.and_then(|position| answers.into_iter().nth(position));
                Ok(answer.map(|answer| answer.rows).unwrap_or_default())
            }
            Err(error) => {
                drop(in_flight);
                if trouble(&error) == Trouble::Gone {
                    // If it was committed, the sweeper finds the rows. What a statement refuses is rolled back for sure.
                    tracing::warn!(error = %error, "the outcome of a commit is unknown");
                }
                Err(error)
            }
        }
    }
}

impl Outgoing {
    /// The same message once more: a recorded answer under its recorded id.
    pub(crate) fn repeated(saga_id: SagaId, said: &Recorded, asked: &Envelope) -> Self {
        // Where it was made is not recorded for so long: who asks for it goes on.
        let context = asked.traceparent.as_deref().and_then(|text| text.parse::<TraceContext>().ok());
        let origin = Origin { traceparent: context.map(|context| context.to_string()), made_by: None };
        let cause = Some(asked.message_id);
        let mut message = Self::new(saga_id, Route::Direct, &said.event_type, cause, origin, said.body.clone());
        message.id = said.id;
        message
    }
}
