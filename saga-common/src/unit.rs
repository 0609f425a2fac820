//! A unit of work: one transaction with the engine's own rows, written set-wise at its end.
//!
//! Whatever changes business rows and says something goes through here: a batch of actions, undos, the end of a job, a
//! placement, a cancellation. So the order of R5 is written once: outbox rows, announcements, then the verdicts, which
//! must all hit; COMMIT; only then anything leaves the process. The database is asked as seldom as that allows: what begins
//! a unit is one round trip, and so is what ends it.

use crate::announcer;
use crate::db::{Db, DbError, Statement, Trouble, Tx, trouble};
use crate::error::Error;
use crate::event::{Event, EventType, Said};
use crate::faults;
use crate::guard::{self, Found, NewGuard, Recorded, Settled, Verdict};
use crate::ids::{MessageId, SagaId};
use crate::jobs::{self, NewJob};
use crate::outbox::{self, Outbox, Outgoing};
use crate::step::Retry;
use crate::topology::Route;
use crate::waiting::{self, WaitingKey};

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
    pub(crate) fn fanout<E: Event>(saga_id: SagaId, event: &E, cause: MessageId) -> Result<Self, Retry> {
        let event_type = EventType::of::<E>()?;
        let body = event.encode()?;
        let message = Outgoing::new(saga_id, Route::Fanout, event_type.as_str(), Some(cause), None, body);
        Ok(Self { message })
    }
}

/// An open unit of work. Dropped, nothing of it happens.
pub struct Unit {
    tx: Tx,
    pub(crate) ends: Ends,
}

/// What the end of a unit writes.
#[derive(Default)]
pub(crate) struct Ends {
    pub(crate) outgoing: Vec<Outgoing>,
    pub(crate) verdicts: Vec<Settled>,
    pub(crate) announcements: Vec<Announcement>,
    pub(crate) withdrawn: Vec<SagaId>,
    pub(crate) jobs: Vec<NewJob>,
    pub(crate) finished_jobs: Vec<guard::Key>,
    pub(crate) handled: Vec<WaitingKey>,
}

impl Ends {
    /// What the first step of sagas writes and says, for the end of the unit; returns its guard rows, for the beginning.
    fn start<E: Event>(&mut self, step: &str, sagas: &[(SagaId, E)]) -> Result<Vec<NewGuard>, Error> {
        let event_type = EventType::of::<E>()?;
        let mut guards = Vec::with_capacity(sagas.len());
        for (saga_id, event) in sagas {
            let body = event.encode()?;
            let message = Outgoing::new(*saga_id, Route::Direct, event_type.as_str(), None, None, body);
            guards.push(NewGuard {
                key: (*saga_id, step.to_owned()),
                verdict: Verdict::Open,
                message_id: message.id,
                causation_id: None,
                body_hash: None,
                waits_as: None,
            });
            self.verdicts.push(Settled {
                key: (*saga_id, step.to_owned()),
                was: Verdict::Open,
                verdict: Verdict::Done,
                said: Some(message.recorded()),
                detail: None,
            });
            self.outgoing.push(message);
        }
        Ok(guards)
    }
}

fn all_new(inserted: usize, sagas: usize) -> Result<(), DbError> {
    if inserted == sagas {
        return Ok(());
    }
    Err(DbError::Broken("a saga with one of these ids has been started before".to_owned()))
}

impl Unit {
    pub(crate) async fn begin(db: &Db) -> Result<Self, DbError> {
        Ok(Self { tx: db.begin().await?, ends: Ends::default() })
    }

    /// Begins with the guard rows (R1), in one round trip.
    pub(crate) async fn open(db: &Db, guards: &[NewGuard]) -> Result<(Self, Found), DbError> {
        let (tx, rows) = db.begin_with(&[guard::insert(guards)]).await?;
        let found = rows.first().map_or_else(Found::default, |rows| guard::found(rows));
        Ok((Self { tx, ends: Ends::default() }, found))
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

    /// A unit that begins with the start of sagas.
    pub(crate) async fn starting<E: Event>(db: &Db, step: &str, sagas: &[(SagaId, E)]) -> Result<Self, Error> {
        let mut ends = Ends::default();
        let guards = ends.start(step, sagas)?;
        let (mut unit, Found { inserted, .. }) = Self::open(db, &guards).await?;
        all_new(inserted.len(), sagas.len())?;
        unit.ends = ends;
        Ok(unit)
    }

    /// Starts sagas: writes the guard rows of their first step and what it says. Call it before touching business
    /// rows (R7). The ids must be new.
    ///
    /// # Errors
    /// When a statement fails or an id is already taken.
    pub async fn start<E: Event>(&mut self, step: &str, sagas: &[(SagaId, E)]) -> Result<(), Error> {
        let guards = self.ends.start(step, sagas)?;
        let rows = self.tx.send(&[guard::insert(&guards)]).await?;
        Ok(all_new(rows.iter().map(Vec::len).sum(), sagas.len())?)
    }

    /// Locks the guard rows of the sagas' first step, in key order, before a cancellation or a deadline touches
    /// business rows (R7).
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn lock(&self, step: &str, sagas: &[SagaId]) -> Result<(), Error> {
        let keys = sagas.iter().map(|id| (*id, step.to_owned())).collect();
        guard::lock(&self.tx, &keys).await?;
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
        self.ends.verdicts.push(Settled {
            key: (saga_id, step.to_owned()),
            was: Verdict::Done,
            verdict: Verdict::Undone,
            // The row keeps what the step said when it took effect.
            said: None,
            detail: Some(format!("said {event_type}")),
        });
        Ok(Outgoing::new(saga_id, route, event_type.as_str(), None, None, event.encode()?))
    }

    /// Writes the engine's rows, commits, and hands what was said to the relay.
    pub(crate) async fn commit(self, outbox: &Outbox) -> Result<(), DbError> {
        let Self { tx, ends } = self;
        faults::BEFORE_COMMIT.reached().await?;
        // In flight from before the commit on: the sweeper must not take what is about to be published from memory.
        let in_flight = outbox.in_flight_until_known(ends.outgoing);
        // What the broker has confirmed meanwhile is forgotten by the way: it needs no commit of its own. As late as that, because
        // whoever says the same again waits for the row, and behind it nothing here waits any more (R7).
        let confirmed = outbox.take_confirmed(in_flight.messages());
        let rows = [
            outbox::insert(in_flight.messages(), outbox.instance(), outbox.lease()),
            announcer::insert(&ends.announcements),
            announcer::withdraw(&ends.withdrawn),
            jobs::insert(&ends.jobs),
            jobs::finish(&ends.finished_jobs),
            waiting::handled(&ends.handled),
            (!confirmed.ids().is_empty()).then(|| outbox::delete(confirmed.ids())),
            guard::settle(&ends.verdicts),
        ];
        let rows: Vec<Statement> = rows.into_iter().flatten().collect();
        let committed = match tx.commit(&rows).await {
            Ok(()) => faults::AFTER_COMMIT.reached().await.map_err(DbError::from),
            error => error,
        };
        drop(rows);
        match committed {
            Ok(()) => {
                in_flight.publish();
                confirmed.forget();
            }
            Err(error) => {
                drop(in_flight);
                if trouble(&error) == Trouble::Gone {
                    // If it was committed, the sweeper finds the rows. What a statement refuses is rolled back for sure.
                    tracing::warn!(error = %error, "the outcome of a commit is unknown");
                }
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Outgoing {
    /// The same message once more: a recorded answer under its recorded id.
    pub(crate) fn repeated(saga_id: SagaId, said: &Recorded, cause: MessageId) -> Self {
        let mut message = Self::new(saga_id, Route::Direct, &said.event_type, Some(cause), None, said.body.clone());
        message.id = said.id;
        message
    }

    pub(crate) fn recorded(&self) -> Recorded {
        Recorded { id: self.id, event_type: self.event_type.clone(), body: self.body.clone() }
    }
}
