//! What readiness is judged by.

use crate::broker::Link;
use crate::db::Db;
use crate::drift::Drift;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Who asks for readiness is told within this.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a service has to say of what it needs beside database and broker; nothing if all is well.
pub(crate) type Note = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// An answer that several wait for.
pub(crate) type Answer = watch::Receiver<Option<bool>>;

/// What a running participant needs, looked at when somebody asks.
pub(crate) struct Health {
    pub(crate) db: Db,
    /// Whether the database answers: questions under way, and since when. Two at most.
    pub(crate) asked: Mutex<Vec<(Instant, Answer)>>,
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
    /// be dead, and another one is asked, beside at most one old question. A question goes on when nobody waits for it any more: ended half-way
    /// it would give back a connection on which an answer is still to come.
    async fn database_answers(&self) -> bool {
        let mut answer = self.question();
        answer.wait_for(Option::is_some).await.is_ok_and(|answer| *answer == Some(true))
    }

    fn question(&self) -> Answer {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = asked.last().filter(|(_, answer)| answer.borrow().is_none());
        if let Some((since, answer)) = newest
            && (since.elapsed() < PATIENCE || asked.len() > 1)
        {
            return answer.clone();
        }
        asked.retain(|(_, answer)| answer.borrow().is_none());
        let (tell, answer) = watch::channel(None);
        let db = self.db.clone();
        tokio::spawn(async move { tell.send(Some(db.query("select 1", &[]).await.is_ok())) });
        asked.push((Instant::now(), answer.clone()));
        answer
    }

    /// What there is to say of a service that is ready.
    pub(crate) fn remarks(&self) -> impl Iterator<Item = String> {
        self.notes.iter().filter_map(|note| note()).chain(self.drift.healed())
    }
}
