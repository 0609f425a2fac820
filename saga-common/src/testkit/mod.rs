//! What an author needs to test a step: a participant on a real PostgreSQL, one message at a time.
//!
//! A [`Bench`] runs messages through the code that a consumer runs, in real transactions, but nothing moves by itself and
//! nothing leaves: no broker is needed, what was said stays in the outbox to be looked at, and waits are over when the
//! test says so. A [`Replica`] is the opposite: the whole participant, on a real broker too, as a process would run it,
//! to be stopped or killed. A [`Wire`] plays everybody else on that broker.
//!
//! Switch the feature `testkit` on under `[dev-dependencies]`. A test is a few lines:
//!
//! ```no_run
//! # use saga_common::{Cx, Never, Participant, SagaId, StepError, StepResult, Undo, UndoResult, Verdict, refuse, say};
//! # use saga_common::testkit::{Bench, Message};
//! # #[derive(serde::Serialize, serde::Deserialize)] #[serde(rename = "order.placed.v1")]
//! # struct OrderPlaced { sku: String, quantity: i64 }
//! # #[derive(serde::Serialize, serde::Deserialize)] #[serde(rename = "stock.reserved.v1")] struct StockReserved {}
//! # #[derive(serde::Serialize, serde::Deserialize)] #[serde(rename = "stock.rejected.v1")] struct StockRejected {}
//! # async fn reserve(_: &mut Cx<()>, _: OrderPlaced) -> StepResult<StockReserved, StockRejected> { say(StockReserved {}) }
//! # async fn release(_: &mut Cx<()>) -> UndoResult { Ok(Undo::Done) }
//! # async fn test(database_url: &str, migrator: &sqlx::migrate::Migrator) -> Result<(), Box<dyn std::error::Error>> {
//! let inventory = Participant::new("inventory", ()).compensatable("reserve-stock", reserve, release).build()?;
//! let bench = Bench::new(inventory, database_url, migrator).await?;
//!
//! let order = SagaId::new();
//! let placed = Message::of(order, &OrderPlaced { sku: "MUG".to_owned(), quantity: 2 })?;
//! let report = bench.deliver(&placed).await?;
//! assert_eq!(report.verdict, Some(Verdict::Done));
//! assert_eq!(report.said.ok_or("nothing was said")?.event_type, "stock.reserved.v1");
//!
//! // Delivered again, it changes nothing; and when the order fails, the undo answers.
//! bench.deliver(&placed).await?;
//! let answer = bench.fail(order).await?;
//! assert_eq!(answer.verdict, Some(Verdict::Undone));
//! let reserved = bench.db().query("select 1 from reservations where order_id = $1", &[&order.as_uuid()]).await?;
//! assert!(reserved.is_empty());
//! # Ok(()) }
//! ```
//!
//! Run the same with [`Bench::fail`] first: the undo comes before the action, and the answer is
//! [`Verdict::Fenced`](crate::Verdict::Fenced).

mod message;
mod observer;
mod publishing;
mod replica;
mod report;
mod seen;
mod wire;

pub use message::Message;
pub use observer::Observer;
pub use publishing::Publishing;
pub use replica::Replica;
pub use report::{Report, Said, Waiting};
pub use seen::Seen;
pub use wire::{Wire, properties};

use crate::answer::COMPENSATE;
use crate::config::Settings;
use crate::db::Db;
use crate::engine::Engine;
use crate::error::Error;
use crate::ids::{MessageId, SagaId, UnitId};
use crate::participant::Participant;
use crate::saga::Saga;
use crate::service::StartError;
use crate::telemetry::trace::Tracer;
use crate::topology::QueueRole;
use crate::{announcer, consumer, faults, jobs, outbox, waiting};
use clap::Parser;
use futures::future::join_all;
use sqlx::migrate::Migrator;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A participant on a database, run by hand. Several on one database are its replicas.
pub struct Bench<App> {
    engine: Arc<Engine<App>>,
}

/// The engine's settings, each at its default (or as the environment has it), for these servers. The broker's may be
/// empty if none is used.
///
/// # Errors
/// When a variable of the environment cannot be read.
pub fn settings(database_url: &str, amqp_url: &str) -> Result<Settings, clap::Error> {
    #[derive(Parser)]
    struct Bare {
        #[command(flatten)]
        engine: Settings,
    }
    let arguments = ["testkit", "--database-url", database_url, "--amqp-url", amqp_url];
    // Nobody is asked who they are.
    #[cfg(feature = "http")]
    let arguments = [&arguments[..], &["--auth", "off"]].concat();
    Bare::try_parse_from(arguments).map(|bare| bare.engine)
}

impl<App: Send + Sync + 'static> Bench<App> {
    /// Prepares the database as a starting service does: the engine's migrations, the participant's, partitions.
    ///
    /// # Errors
    /// When the database cannot be reached in a minute or is not durable, or a migration fails.
    pub async fn new(
        participant: Participant<App>,
        database_url: &str,
        migrations: &Migrator,
    ) -> Result<Self, StartError> {
        let settings = settings(database_url, "")
            .map_err(|error| Error::Io { what: "settings".to_owned(), source: std::io::Error::other(error) })?;
        Self::with_settings(participant, settings, migrations).await
    }

    /// The same with settings of the test's own, such as [`settings`] with a change.
    ///
    /// # Errors
    /// As [`Bench::new`].
    pub async fn with_settings(
        participant: Participant<App>,
        settings: Settings,
        migrations: &Migrator,
    ) -> Result<Self, StartError> {
        // Without its far ends the outbox hands nothing on: what was said stays in the table.
        let (engine, _) = Engine::prepare(participant, settings, migrations, Tracer::default()).await?;
        Ok(Self { engine: Arc::new(engine) })
    }

    /// The state the steps see.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.engine.participant.app
    }

    /// The database, for the test's own look at business rows.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.engine.db
    }

    /// The owner's way into the engine: starts and fails sagas.
    #[must_use]
    pub fn saga(&self) -> Saga {
        Saga::new(&self.engine)
    }

    /// Delivers one message and tells what has become of it. The same message again is a redelivery.
    ///
    /// As in the service, a failing database is waited for, not reported.
    ///
    /// # Errors
    /// When the report cannot be read.
    pub async fn deliver(&self, message: &Message) -> Result<Report, Error> {
        self.deliver_batch(std::slice::from_ref(message)).await?;
        self.report(message).await
    }

    /// Delivers messages in one batch (successes and failures come over different queues, so in one each).
    ///
    /// # Errors
    /// When a report cannot be read.
    pub async fn deliver_batch(&self, messages: &[Message]) -> Result<Vec<Report>, Error> {
        self.settle(messages).await;
        let mut reports = Vec::with_capacity(messages.len());
        for message in messages {
            reports.push(self.report(message).await?);
        }
        Ok(reports)
    }

    /// What [`Bench::deliver_batch`] does, without asking what has become of the messages: all that a consumer does with a
    /// batch between the broker's delivery and its ack.
    pub async fn settle(&self, messages: &[Message]) {
        for role in [QueueRole::Events, QueueRole::Failures] {
            let batch: Vec<_> = messages.iter().filter(|m| m.role == role).map(Message::delivery).collect();
            if !batch.is_empty() {
                consumer::settle(&self.engine, role, batch, &CancellationToken::new()).await;
            }
        }
    }

    /// Delivers a failure of the saga that says nothing but which saga it is, and tells what this participant answers.
    ///
    /// # Errors
    /// When the report cannot be read.
    pub async fn fail(&self, saga_id: SagaId) -> Result<Report, Error> {
        self.deliver(&Message::failure(saga_id)).await
    }

    /// Calls and settles the jobs that are due, side by side, once each; tells how many there were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_jobs_once(&self) -> Result<usize, Error> {
        let jobs = jobs::lease(&self.engine, jobs::CALLS_AT_ONCE).await?;
        let running = jobs.into_iter().map(|job| jobs::run_one(Arc::clone(&self.engine), job));
        Ok(join_all(running).await.len())
    }

    /// Runs the waiting messages that are due, once each; tells how many there were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_waiting_once(&self) -> Result<usize, Error> {
        Ok(consumer::run_what_is_due(&self.engine, &CancellationToken::new()).await?)
    }

    /// Repeats the announcements that are due; tells how many there were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn repeat_announcements_once(&self) -> Result<usize, Error> {
        Ok(announcer::repeat_due(&self.engine.db, &self.engine.outbox).await?)
    }

    /// Makes everything due that waits for its time: messages, jobs (leased ones too), announcements.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn skip_waits(&self) -> Result<(), Error> {
        for statement in [
            "update saga.waiting set due_at = clock_timestamp() where due_at > clock_timestamp()",
            "update saga.jobs set due_at = clock_timestamp(), leased_until = null",
            "update saga.announcements set due_at = clock_timestamp()",
        ] {
            self.db().execute(statement, &[]).await?;
        }
        Ok(())
    }

    /// Forgets what was said so far, as the relay does when the broker has confirmed it: units that somebody else has locked stay.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn confirm_all(&self) -> Result<(), Error> {
        let rows = self.db().query("select unit from saga.outbox", &[]).await?;
        let units: Vec<UnitId> = rows.iter().map(|row| row.get::<_, Uuid>(0).into()).collect();
        if let Some(deletion) = outbox::delete(&units) {
            self.engine.db.run(&deletion).await?;
        }
        Ok(())
    }

    /// What an operator does: sets a parked message due. Tells how many rows that were, `None` if it is unknown.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn redrive(&self, message_id: MessageId) -> Result<Option<u64>, Error> {
        Ok(waiting::redrive(&self.engine.db, message_id, "testkit").await?)
    }

    /// Ends the holds of a saga, as `PUT /faults` of any replica does; tells how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release_holds(&self, saga_id: SagaId) -> Result<u64, Error> {
        Ok(faults::release(self.db(), &self.engine.participant.name, saga_id).await?)
    }

    /// Makes partitions ahead and drops those past retention, as the service does every hour.
    ///
    /// # Errors
    /// When the database fails or a setting is missing.
    pub async fn keep_partitions(&self) -> Result<(), StartError> {
        let owner_url = self.engine.settings.owner_url()?;
        Ok(self.engine.keep_partitions(&owner_url).await.map_err(Error::from)?)
    }

    /// The step part of the guard key that a message is handled under.
    fn step_of(&self, message: &Message) -> Option<String> {
        let participant = &self.engine.participant;
        if message.role == QueueRole::Failures {
            let first = participant.compensatable().next().filter(|_| participant.owner);
            return Some(first.map_or(COMPENSATE, |step| step.name).to_owned());
        }
        let step = participant.reacting_to(&message.envelope.event_type)?;
        let event = step.action.as_ref()?.decode(&message.envelope).ok()?;
        Some(step.guard_step(&event, message.envelope.message_id))
    }
}
