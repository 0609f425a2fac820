//! Stopping in order: no new work, finish what is held, then leave. SIGTERM and SIGINT begin it.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The two steps of a stop, as tokens.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    /// Take no new work.
    pub stop: CancellationToken,
    /// Nothing is held any more (or time is up): leave.
    pub done: CancellationToken,
}

impl Drain {
    /// A drain that begins with SIGTERM or SIGINT.
    ///
    /// # Errors
    /// When the process may not listen for signals.
    pub fn on_signals() -> std::io::Result<Self> {
        let drain = Self::default();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = drain.stop.clone();
        tokio::spawn(async move {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            tracing::info!("draining");
            stop.cancel();
        });
        Ok(drain)
    }
}
