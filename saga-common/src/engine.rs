//! What all tasks of a running participant share.

use crate::action::Ended;
use crate::bundle::Bundling;
use crate::config::Settings;
use crate::db::{self, Db, DbError, Statement, Tx};
use crate::error::{Error, chain};
use crate::event::EventType;
use crate::faults::Faults;
use crate::guard::{Copies, Expected, Key, Settled, Verdict, Words};
use crate::ids::{MessageId, SagaId};
use crate::jobs::NewJob;
use crate::outbox::{self, Outbox, Outgoing};
use crate::participant::Participant;
use crate::partitions::{self, Window};
use crate::retry::RetryPolicy;
use crate::service::StartError;
use crate::step::StepError;
use crate::telemetry::Meters;
use crate::telemetry::trace::{Cause, Tracer};
use crate::topology::Route;
use crate::unit::{Announcement, Ends, Saying};
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio_postgres::Row;
use uuid::Uuid;

const START_LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Engine<App> {
    pub(crate) participant: Participant<App>,
    pub(crate) db: Db,
    /// For single statements behind HTTP, so that readers and steps do not wait for each other's connections.
    pub(crate) reads: PgPool,
    pub(crate) outbox: Outbox,
    pub(crate) settings: Settings,
    pub(crate) retry: RetryPolicy,
    pub(crate) window: Arc<Window>,
    pub(crate) copies: Wary,
    /// A job was committed by this process.
    pub(crate) new_jobs: Notify,
    /// A row was set due by this process.
    pub(crate) new_due: Notify,
}

impl<App: Send + Sync + 'static> Engine<App> {
    /// Makes the database ready: waits for it, runs the migrations, checks that it is durable, makes partitions.
    pub(crate) async fn prepare(
        participant: Participant<App>,
        settings: Settings,
        migrations: &Migrator,
        tracer: Tracer,
    ) -> Result<(Self, outbox::Batches), StartError> {
        let (database_url, owner_url) = (settings.database_url()?, settings.owner_url()?);
        let db = Db::new(&database_url, settings.database_connections).map_err(Error::from)?;
        let reads = db::reads(&database_url, settings.read_connections).map_err(Error::from)?;
        wait_for_database(&owner_url).await?;
        db::migrate(&owner_url, &database_url, migrations).await.map_err(Error::from)?;
        db.require_durability().await.map_err(Error::from)?;
        let faults = Faults::new(&settings.faults, settings.fault_seed, &participant.name, &database_url)
            .map_err(Error::from)?;
        let meters = Meters::of(&participant);
        let (outbox, batches) = Outbox::new(Uuid::now_v7(), settings.outbox_lease(), faults, (meters, tracer));
        let engine = Self {
            participant,
            db,
            reads,
            outbox,
            settings,
            retry: RetryPolicy::default(),
            window: Arc::default(),
            copies: Wary::default(),
            new_jobs: Notify::new(),
            new_due: Notify::new(),
        };
        engine.keep_partitions(&owner_url).await.map_err(Error::from)?;
        Ok((engine, batches))
    }

    /// What is published together.
    pub(crate) fn bundling(&self) -> Bundling {
        Bundling { events: self.settings.bundle_events, alone: Arc::clone(&self.participant.unbundled) }
    }

    pub(crate) fn faults(&self) -> &Faults {
        self.outbox.faults()
    }

    pub(crate) fn meters(&self) -> &Meters {
        self.outbox.meters()
    }

    pub(crate) fn tracer(&self) -> &Tracer {
        self.outbox.tracer()
    }

    /// Makes the partitions of the days to come, drops those past retention.
    pub(crate) async fn keep_partitions(&self, owner_url: &str) -> Result<(), DbError> {
        let service_url = self.settings.database_url().map_err(|error| DbError::Url(error.to_string()))?;
        let urls = (owner_url, service_url.as_str());
        partitions::keep(urls, self.settings.retention_days, self.participant.unfinished, &self.window).await
    }

    /// Locks the shared rows of a batch, all of them before any handler (R7), and returns what the statements say of them.
    pub(crate) async fn lock_rows(&self, tx: &Tx, keys: &[String], sagas: &[SagaId]) -> Result<Vec<Row>, DbError> {
        let answers = tx.send(&self.locks(keys, sagas)).await?;
        Ok(answers.into_iter().flat_map(|answer| answer.rows).collect())
    }

    /// The participant's statements that lock shared rows.
    pub(crate) fn locks<'a>(&self, keys: &'a [String], sagas: &[SagaId]) -> Vec<Statement<'a>> {
        if keys.is_empty() && sagas.is_empty() {
            return Vec::new();
        }
        let sagas: Vec<Uuid> = sagas.iter().map(SagaId::as_uuid).collect();
        self.participant.lock_statements.iter().map(|sql| Statement::new(*sql).with(keys).with(sagas.clone())).collect()
    }

    /// Turns how a step ended into the rows its unit will write, and tells the verdict.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn end_step(
        &self,
        ends: &mut Ends,
        key: Key,
        expected: &Expected,
        ended: Ended,
        message_id: MessageId,
        cause: &Cause,
        saying: Saying,
    ) -> Result<Verdict, StepError> {
        let mut said = None;
        let mut detail = None;
        let verdict = match ended {
            Ended::Said { route, event_type, body } => {
                let origin = cause.origin();
                let mut message = Outgoing::new(key.0, route, event_type.as_str(), Some(message_id), origin, body);
                if let Some((id, _)) = expected.says {
                    message.id = id;
                }
                said = Some((message.id, event_type));
                if saying == Saying::UntilWithdrawn {
                    ends.announcements.push(Announcement { message: message.clone() });
                }
                ends.outgoing.push(message);
                if route == Route::Direct { Verdict::Done } else { Verdict::Rejected }
            }
            Ended::Quiet => Verdict::Done,
            Ended::Superseded(why) => {
                detail = Some(why.to_owned());
                Verdict::Superseded
            }
            Ended::Deferred(data) => {
                let traceparent = cause.traceparent();
                let data = Some(data);
                ends.jobs.push(NewJob { key: key.clone(), message_id, undo: false, data, traceparent });
                Verdict::Intent
            }
        };
        let as_expected = verdict == expected.verdict && said == expected.says && detail.is_none();
        if !as_expected {
            let new = |(id, event_type): (MessageId, EventType)| Words::New { id, event_type: event_type.to_string() };
            let words = said.map_or(Words::None, new);
            ends.verdicts.push(Settled { key, was: expected.verdict, verdict, words, detail });
        }
        Ok(verdict)
    }
}

/// So many batches after a copy was met, more are likely: they come in swarms, after a restart or an outage.
const WARY_BATCHES: u32 = 64;

/// Whether to expect copies of what was handled before.
#[derive(Debug, Default)]
pub(crate) struct Wary(AtomicU32);

impl Wary {
    /// What the next batch has to expect; of one with messages that say so themselves, copies.
    pub(crate) fn expected(&self, told: bool) -> Copies {
        let wary = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        if told || wary { Copies::Likely } else { Copies::Unlikely }
    }

    /// A batch has met a copy.
    pub(crate) fn met(&self) {
        self.0.store(WARY_BATCHES, Ordering::Relaxed);
    }
}

async fn wait_for_database(url: &str) -> Result<(), Error> {
    use sqlx::Connection;
    let deadline = Instant::now() + START_LIMIT;
    loop {
        match sqlx::PgConnection::connect(url).await {
            Ok(connection) => {
                let _ = connection.close().await;
                return Ok(());
            }
            Err(error) if Instant::now() >= deadline => return Err(DbError::from(error).into()),
            Err(error) => tracing::warn!(error = %chain(&error), "waiting for the database"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
