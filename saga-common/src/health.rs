//! What readiness is judged by.

use crate::broker::Link;
use crate::db::Db;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What a running participant needs, looked at when somebody asks.
pub(crate) struct Health {
    pub(crate) db: Db,
    pub(crate) consuming: Arc<Link>,
    pub(crate) publishing: Arc<Link>,
    /// Consumers that are subscribed now, of so many.
    pub(crate) subscribed: Arc<AtomicUsize>,
    pub(crate) consumers: usize,
    pub(crate) stopping: CancellationToken,
}

impl Health {
    /// Why the service is not ready, if it is not.
    pub(crate) async fn unready(&self) -> Option<&'static str> {
        if self.stopping.is_cancelled() {
            return Some("draining");
        }
        let asked = tokio::time::timeout(Duration::from_secs(2), self.db.query("select 1", &[])).await;
        if !matches!(asked, Ok(Ok(_))) {
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
}
