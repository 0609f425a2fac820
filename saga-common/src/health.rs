//! What readiness is judged by.

use crate::broker::Link;
use crate::db::Db;
use crate::drift::Drift;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Who asks for readiness is told within this.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a service has to say of what it needs beside database and broker; nothing if all is well.
pub(crate) type Note = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// What a running participant needs, looked at when somebody asks.
pub(crate) struct Health {
    pub(crate) db: Db,
    /// Held by who asks the database whether it answers.
    pub(crate) asking: Arc<Mutex<()>>,
    pub(crate) consuming: Arc<Link>,
    pub(crate) publishing: Arc<Link>,
    /// Consumers that are subscribed now, of so many.
    pub(crate) subscribed: Arc<AtomicUsize>,
    pub(crate) consumers: usize,
    /// What the broker should have and has not.
    pub(crate) drift: Arc<Drift>,
    pub(crate) stopping: CancellationToken,
    /// Shown by a service that is ready: what they tell of is no reason to take work from it.
    pub(crate) notes: Vec<Note>,
}

impl Health {
    /// Why the service is not ready, if it is not.
    pub(crate) async fn unready(&self) -> Option<String> {
        // The better reason first: whoever cannot declare a queue cannot subscribe to it either.
        match self.drift.wrong() {
            Some(why) => Some(why),
            None => self.trouble().await.map(str::to_owned),
        }
    }

    /// What is told without a name.
    async fn trouble(&self) -> Option<&'static str> {
        if self.stopping.is_cancelled() {
            return Some("draining");
        }
        if !tokio::time::timeout(PATIENCE, self.database_answers()).await.unwrap_or(false) {
            return Some("the database does not answer");
        }
        if !self.consuming.is_connected() || self.subscribed.load(Ordering::Relaxed) < self.consumers {
            return Some("not subscribed to every queue");
        }
        // While the broker blocks publishers, reads and placements still work: that is a metric, not unreadiness.
        if !self.publishing.is_connected() {
            return Some("no connection to publish on");
        }
        None
    }

    /// Asks it, one question at a time however many want to know. A question goes on when nobody waits for it any more: ended
    /// half-way it would give back a connection on which an answer is still to come.
    async fn database_answers(&self) -> bool {
        let one_at_a_time = Arc::clone(&self.asking).lock_owned().await;
        let db = self.db.clone();
        let asked = tokio::spawn(async move {
            let answered = db.query("select 1", &[]).await.is_ok();
            drop(one_at_a_time);
            answered
        });
        asked.await.unwrap_or(false)
    }

    /// What there is to say of a service that is ready.
    pub(crate) fn remarks(&self) -> impl Iterator<Item = String> {
        self.notes.iter().filter_map(|note| note()).chain(self.drift.healed())
    }
}
