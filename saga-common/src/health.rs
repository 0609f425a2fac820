//! What readiness is judged by.

use crate::broker::Link;
use crate::db::Db;
use crate::drift::Drift;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Who asks for readiness is told within this.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a service has to say of what it needs beside database and broker; nothing if all is well.
pub(crate) type Note = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// An answer that several wait for.
pub(crate) type Answer = Shared<BoxFuture<'static, bool>>;

/// What a running participant needs, looked at when somebody asks.
pub(crate) struct Health {
    pub(crate) db: Db,
    /// Whether the database answers: who asked last, and when.
    pub(crate) asked: Mutex<Option<(Instant, Answer)>>,
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

    /// Asks it. Who comes while a question is under way gets its answer, unless it has taken too long already: then only that connection may
    /// be dead. A question goes on when nobody waits for it any more: ended half-way it would give back a connection on which an answer is
    /// still to come.
    fn database_answers(&self) -> Answer {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, answer)) = &*asked
            && answer.peek().is_none()
            && since.elapsed() < PATIENCE
        {
            return answer.clone();
        }
        let db = self.db.clone();
        let asking = tokio::spawn(async move { db.query("select 1", &[]).await.is_ok() });
        let answer = asking.map(|answer| answer.unwrap_or(false)).boxed().shared();
        *asked = Some((Instant::now(), answer.clone()));
        answer
    }

    /// What there is to say of a service that is ready.
    pub(crate) fn remarks(&self) -> impl Iterator<Item = String> {
        self.notes.iter().filter_map(|note| note()).chain(self.drift.healed())
    }
}
