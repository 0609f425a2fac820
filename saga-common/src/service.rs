//! A participant as a running process: prepare, serve, drain.

use crate::broker::{Link, Publisher};
use crate::config::Settings;
use crate::consumer::{self, Source};
use crate::drain::Drain;
use crate::drift::{self, Drift};
use crate::engine::Engine;
use crate::error::{Error, chain};
use crate::health::{Health, Note};
use crate::outbox::{self, Outbox};
use crate::participant::Participant;
use crate::saga::Saga;
use crate::telemetry::trace;
use crate::{announcer, jobs, telemetry};
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Publishing tasks, each with a batch in flight on a channel of its own.
const PUBLISHERS: usize = 4;
/// For the last spans.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);
const PARTITIONS_EVERY: Duration = Duration::from_secs(3_600);

/// A participant whose database is ready, before it takes work.
pub struct Service<App> {
    pub(crate) engine: Arc<Engine<App>>,
    batches: outbox::Batches,
    drain: Drain,
    tasks: TaskTracker,
    owner_url: String,
    amqp_url: String,
    notes: Vec<Note>,
    exporter: trace::Exporter,
}

impl<App: Send + Sync + 'static> Service<App> {
    /// Makes the database ready: waits for it, checks that it is durable, runs the migrations, makes partitions.
    ///
    /// # Errors
    /// When a setting is missing, the database cannot be reached in a minute or is not durable, or a migration fails.
    pub async fn prepare(
        participant: Participant<App>,
        settings: Settings,
        migrations: &Migrator,
    ) -> Result<Self, StartError> {
        let drain =
            Drain::on_signals().map_err(|source| Error::Io { what: "listening for signals".to_owned(), source })?;
        Self::prepare_until(drain, participant, settings, migrations).await
    }

    /// As [`Service::prepare`], for a process that is told to stop in another way.
    pub(crate) async fn prepare_until(
        drain: Drain,
        participant: Participant<App>,
        settings: Settings,
        migrations: &Migrator,
    ) -> Result<Self, StartError> {
        // Before anything is recorded: the service's own tasks begin before it serves, and some record once in minutes.
        #[cfg(feature = "http")]
        crate::http::recorder();
        telemetry::describe(telemetry::ENGINE);
        let (owner_url, amqp_url) = (settings.owner_url()?, settings.amqp_url()?);
        let (tracer, exporter) = trace::start(&settings, &participant.name)?;
        let (engine, batches) = Engine::prepare(participant, settings, migrations, tracer).await?;
        Ok(Self {
            engine: Arc::new(engine),
            batches,
            drain,
            tasks: TaskTracker::new(),
            owner_url,
            amqp_url,
            notes: Vec::new(),
            exporter,
        })
    }

    /// The owner's way into the engine.
    #[must_use]
    pub fn saga(&self) -> Saga {
        Saga::new(&self.engine)
    }

    /// Connections for the single-statement reads behind HTTP: the service's own routes and the engine's share them.
    #[must_use]
    pub fn reads(&self) -> PgPool {
        self.engine.reads.clone()
    }

    /// Runs a task of the service's own beside the engine; it should end soon after the token is cancelled.
    pub fn spawn<F, Fut>(&self, task: F)
    where
        F: FnOnce(CancellationToken) -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(task(self.drain.stop.clone()));
    }

    /// Adds a line to what `/readyz` answers, for as long as `note` gives one: for what the service needs beside database and
    /// broker, and can do without for a while. It does not make the service unready.
    pub fn note(&mut self, note: impl Fn() -> Option<String> + Send + Sync + 'static) {
        self.notes.push(Arc::new(note));
    }

    /// Takes work until SIGTERM or SIGINT, then drains.
    ///
    /// # Errors
    /// When the broker's URL cannot be used.
    pub async fn run(self) -> Result<(), StartError> {
        let running = self.begin()?;
        running.stop.cancelled().await;
        running.drain().await;
        Ok(())
    }

    /// Takes work and serves the engine's routes and `routes` until SIGTERM or SIGINT, then drains.
    ///
    /// # Errors
    /// When the broker's URL or the address to listen on cannot be used, or it is not said with which keys tokens are checked.
    #[cfg(feature = "http")]
    pub async fn serve(
        self,
        default_listen: &str,
        routes: utoipa_axum::router::OpenApiRouter,
    ) -> Result<(), StartError> {
        self.serve_with_page(default_listen, routes, axum::Router::new()).await
    }

    /// As [`Service::serve`], with a page beside the routes that is open to all, as the documents are: it may say nothing of any
    /// saga, but ask the routes, with its reader's token.
    ///
    /// # Errors
    /// As [`Service::serve`].
    #[cfg(feature = "http")]
    pub async fn serve_with_page(
        self,
        default_listen: &str,
        routes: utoipa_axum::router::OpenApiRouter,
        page: axum::Router,
    ) -> Result<(), StartError> {
        let engine = Arc::clone(&self.engine);
        let (listener, address) = crate::http::listen(engine.settings.listen, default_listen).await?;
        let gate = crate::http::Gate::new(&engine.settings.auth, address)?;
        self.spawn(|stop| gate.clone().keep_up(stop));
        self.spawn(crate::http::keep_metrics);
        let running = self.begin()?;
        let app = crate::http::app(&engine, Arc::clone(&running.health), gate, routes, page);
        // Half of the time for open requests, so that the other half is there for what they began.
        crate::http::serve(listener, app, running.stop.clone(), running.limit / 2).await?;
        running.drain().await;
        Ok(())
    }

    /// Starts every task of the engine.
    pub(crate) fn begin(self) -> Result<Running, StartError> {
        let Self { engine, batches, drain: Drain { stop, done }, tasks: takers, owner_url, amqp_url, notes, exporter } =
            self;
        let name = &engine.participant.name;
        let consuming = Link::new(&amqp_url, name, "consumer").map_err(Error::from)?;
        let publishing = Link::new(&amqp_url, name, "publisher").map_err(Error::from)?;
        let topology = engine.participant.topology(engine.settings.queue_type, engine.settings.tap);
        let subscribed = Arc::new(AtomicUsize::new(0));
        for role in topology.consumed() {
            let source = Source {
                link: Arc::clone(&consuming),
                topology: topology.clone(),
                role,
                tag: format!("{name}.{}.{}", role.as_str(), engine.outbox.instance()),
                subscribed: Arc::clone(&subscribed),
            };
            takers.spawn(consumer::consume(Arc::clone(&engine), source, stop.clone()));
        }
        engine.faults().end_holds_with(&stop);
        let (db, outbox) = (engine.db.clone(), engine.outbox.clone());
        takers.spawn(consumer::run_due(Arc::clone(&engine), stop.clone()));
        takers.spawn(jobs::run(Arc::clone(&engine), stop.clone()));
        takers.spawn(announcer::repeat(db.clone(), outbox.clone(), stop.clone()));
        let drift = Arc::new(Drift::default());
        takers.spawn(drift::watch(Arc::clone(&drift), Arc::clone(&consuming), topology.clone(), stop.clone()));
        takers.spawn(partitions_task(Arc::clone(&engine), owner_url, stop.clone()));

        let relays = TaskTracker::new();
        let batches = Arc::new(Mutex::new(batches));
        for _ in 0..PUBLISHERS {
            let publisher = Publisher::new(Arc::clone(&publishing), engine.bundling());
            let batches = Arc::clone(&batches);
            relays.spawn(outbox::publish_batches(outbox.clone(), db.clone(), publisher, batches, done.clone()));
        }
        relays.spawn(outbox::forget_confirmed(outbox.clone(), db.clone(), done.clone()));
        let publisher = Publisher::new(Arc::clone(&publishing), engine.bundling());
        let link = Arc::clone(&publishing);
        relays.spawn(outbox::sweep(outbox.clone(), db.clone(), link, publisher, stop.clone()));

        let health = Arc::new(Health {
            db,
            asked: std::sync::Mutex::default(),
            consuming,
            publishing,
            subscribed,
            consumers: topology.consumed().len(),
            drift,
            stopping: stop.clone(),
            notes,
        });
        let (looking, outbox_of) = (Arc::clone(&health), outbox.clone());
        takers.spawn(telemetry::keep_up(looking, engine.reads.clone(), outbox_of, stop.clone()));
        tracing::info!(service = %name, "started");
        let limit = engine.settings.drain();
        Ok(Running { takers, relays, outbox, health, stop, done, limit, exporter })
    }
}

/// The tasks of a running participant.
pub(crate) struct Running {
    /// Those that take work.
    takers: TaskTracker,
    /// Those that bring out what was said.
    relays: TaskTracker,
    outbox: Outbox,
    pub(crate) health: Arc<Health>,
    pub(crate) stop: CancellationToken,
    done: CancellationToken,
    limit: Duration,
    exporter: trace::Exporter,
}

impl Running {
    /// First those who make new messages end; then, when nothing is in flight, those who publish them.
    pub(crate) async fn drain(self) {
        let deadline = Instant::now() + self.limit;
        self.takers.close();
        within(deadline, self.takers.wait()).await;
        within(deadline, flushed(&self.outbox)).await;
        self.done.cancel();
        self.relays.close();
        within(deadline, self.relays.wait()).await;
        within(deadline, async { tokio::join!(self.health.consuming.close(), self.health.publishing.close()) }).await;
        // Nobody waits for a collector for longer than for anything else, nor for long.
        self.exporter.flush(FLUSH_LIMIT.min(deadline.saturating_duration_since(Instant::now()))).await;
        tracing::info!("drained");
    }
}

/// Why a service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is missing or cannot be read.
    #[error(transparent)]
    Setting(#[from] crate::config::SettingError),
    /// Traces cannot be sent to what the setting names.
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT cannot be used: {0}")]
    Collector(String),
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] Error),
}

async fn within<T>(deadline: Instant, work: impl Future<Output = T>) {
    if tokio::time::timeout_at(deadline.into(), work).await.is_err() {
        tracing::warn!("time to drain is up; what is left is taken up after the next start");
    }
}

async fn flushed(outbox: &Outbox) {
    while !outbox.is_idle() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn partitions_task<App: Send + Sync + 'static>(
    engine: Arc<Engine<App>>,
    owner_url: String,
    stop: CancellationToken,
) {
    loop {
        tokio::select! { () = tokio::time::sleep(PARTITIONS_EVERY) => {}, () = stop.cancelled() => return }
        if let Err(error) = engine.keep_partitions(&owner_url).await {
            tracing::error!(error = %chain(&error), "partitions of the guard rows cannot be kept up; tried again in an hour");
        }
    }
}
