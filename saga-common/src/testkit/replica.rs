//! A whole participant inside the test's process.

use crate::config::Settings;
use crate::drain::Drain;
use crate::error::Error;
use crate::participant::Participant;
use crate::service::{Service, StartError};
use sqlx::migrate::Migrator;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// A participant that consumes and publishes as its service would, on a thread and runtime of its own. Dropped, it is
/// killed.
pub struct Replica {
    drain: Drain,
    killed: CancellationToken,
    ended: oneshot::Receiver<Result<(), StartError>>,
}

impl Replica {
    /// Starts it and waits until it is subscribed to its queues.
    ///
    /// # Errors
    /// As a service that cannot start.
    pub async fn start<App: Send + Sync + 'static>(
        participant: Participant<App>,
        settings: Settings,
        migrations: &'static Migrator,
    ) -> Result<Self, StartError> {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(failed)?;
        let (drain, killed) = (Drain::default(), CancellationToken::new());
        let ((ready, is_ready), (end, ended)) = (oneshot::channel(), oneshot::channel());
        let replica = Self { drain: drain.clone(), killed: killed.clone(), ended };
        std::thread::spawn(move || {
            let work = run(drain, participant, settings, migrations, ready);
            if let Some(outcome) = until_killed(runtime, &killed, work) {
                let _ = end.send(outcome);
            }
        });
        match is_ready.await {
            Ok(()) => Ok(replica),
            Err(_) => Err(replica.outcome().await.err().unwrap_or_else(|| failed(std::io::Error::other("not ready")))),
        }
    }

    /// Stops it as SIGTERM stops a service: it finishes what it holds.
    ///
    /// # Errors
    /// When it did not end well.
    pub async fn stop(self) -> Result<(), StartError> {
        self.drain.stop.cancel();
        self.outcome().await
    }

    /// Ends it where it stands, as a crash does: transactions break off, connections close, nothing is acked.
    pub fn kill(self) {
        drop(self);
    }

    async fn outcome(mut self) -> Result<(), StartError> {
        let ended = &mut self.ended;
        ended.await.unwrap_or_else(|_| Err(failed(std::io::Error::other("it panicked or was killed"))))
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.killed.cancel();
    }
}

fn failed(source: std::io::Error) -> StartError {
    Error::Io { what: "running a replica".to_owned(), source }.into()
}

/// Drives `work` to its end, or drops it with every task of its runtime at the moment of the kill.
fn until_killed<T>(runtime: Runtime, killed: &CancellationToken, work: impl Future<Output = T>) -> Option<T> {
    let outcome = runtime.block_on(async {
        tokio::select! { outcome = work => Some(outcome), () = killed.cancelled() => None }
    });
    runtime.shutdown_background();
    outcome
}

async fn run<App: Send + Sync + 'static>(
    drain: Drain,
    participant: Participant<App>,
    settings: Settings,
    migrations: &'static Migrator,
    ready: oneshot::Sender<()>,
) -> Result<(), StartError> {
    let running = Service::prepare_until(drain, participant, settings, migrations).await?.begin()?;
    while running.health.unready().await.is_some() && !running.stop.is_cancelled() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let _ = ready.send(());
    running.stop.cancelled().await;
    running.drain().await;
    Ok(())
}
