//! Orders that were read a moment ago: many who ask for the same order cost one read of the database, and nobody is answered with
//! what was true more than a second ago. Each replica has its own; none of them has to be told of anything. With a Redis they share
//! what they have read.

use super::body::{self, Order};
use super::shared_reads::SharedReads;
use axum::http::{HeaderMap, HeaderValue, header};
use moka::Expiry;
use moka::future::Cache;
use saga_common::http::{Problem, Reply};
use sqlx::PgPool;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Orders that are kept at most.
const KEPT: u64 = 10_000;
/// How old an answer may be about an order that will be something else in a moment.
const UNDER_WAY: Duration = Duration::from_millis(100);

/// Recently read orders.
pub(super) struct Recent {
    reads: PgPool,
    orders: Cache<Uuid, Arc<Read>>,
    /// What other replicas have read.
    shared: Option<SharedReads>,
    /// When this replica last changed an order: what was read before is not shown any more, also if it arrives later.
    changed: Cache<Uuid, Instant>,
    /// Zero: nothing is kept.
    oldest: Duration,
}

/// An order as the database had it at this moment or after it.
pub(super) struct Read {
    pub(super) order: Order,
    pub(super) version: u64,
    /// When it was asked for.
    pub(super) at: Instant,
}

impl Read {
    pub(super) fn new(order: Order, at: Instant) -> Self {
        Self { version: order.version(), order, at }
    }
}

/// Kept until it is too old, from when it was asked for: the next who ask then share one answer again. Of an order that is under way
/// people want to know how it goes on.
struct UntilTooOld(Duration);

impl Expiry<Uuid, Arc<Read>> for UntilTooOld {
    fn expire_after_create(&self, _: &Uuid, read: &Arc<Read>, _: Instant) -> Option<Duration> {
        let oldest = if read.order.is_under_way() { self.0.min(UNDER_WAY) } else { self.0 };
        Some(oldest.saturating_sub(read.at.elapsed()))
    }

    fn expire_after_update(&self, id: &Uuid, read: &Arc<Read>, at: Instant, _: Option<Duration>) -> Option<Duration> {
        self.expire_after_create(id, read, at)
    }
}

impl Recent {
    pub(super) fn new(reads: PgPool, oldest: Duration, shared: Option<SharedReads>) -> Self {
        let orders = Cache::builder().max_capacity(KEPT).expire_after(UntilTooOld(oldest)).build();
        // Longer than anything that was read before can be shown.
        let changed = Cache::builder().max_capacity(KEPT).time_to_live(2 * oldest).build();
        Self { reads, orders, shared, changed, oldest }
    }

    /// An order not older than a second, nor than what this replica has made of it.
    pub(super) async fn get(&self, id: Uuid) -> Reply<Arc<Read>> {
        if self.oldest.is_zero() {
            return load(&self.reads, id).await;
        }
        let found = self.together(id).await?;
        if self.is_good(id, &found).await { Ok(found) } else { self.get_anew(id).await }
    }

    /// An order as it is now: for who has seen a later version than there is in memory.
    pub(super) async fn get_anew(&self, id: Uuid) -> Reply<Arc<Read>> {
        let read = self.load_for_all(id).await?;
        self.orders.insert(id, Arc::clone(&read)).await;
        Ok(read)
    }

    /// This replica has just changed the order.
    pub(super) async fn changed(&self, id: Uuid) {
        self.changed.insert(id, Instant::now()).await;
        self.orders.invalidate(&id).await;
        if let Some(shared) = &self.shared {
            shared.forget(id).await;
        }
    }

    /// The time of asking counts, not that of the answer.
    async fn is_good(&self, id: Uuid, read: &Read) -> bool {
        let changed = self.changed.get(&id).await;
        read.at.elapsed() < self.oldest && changed.is_none_or(|changed| read.at > changed)
    }

    /// All who ask at once share one answer of the database.
    async fn together(&self, id: Uuid) -> Reply<Arc<Read>> {
        self.orders.try_get_with(id, self.find(id)).await.map_err(|problem: Arc<Problem>| (*problem).clone())
    }

    /// From another replica, if this one has not just changed it; else from the database.
    async fn find(&self, id: Uuid) -> Reply<Arc<Read>> {
        if let Some(shared) = &self.shared
            && !self.changed.contains_key(&id)
            && let Some(read) = shared.get(id).await
        {
            return Ok(read);
        }
        self.load_for_all(id).await
    }

    async fn load_for_all(&self, id: Uuid) -> Reply<Arc<Read>> {
        let read = load(&self.reads, id).await?;
        if let Some(shared) = &self.shared
            && !read.order.is_under_way()
        {
            shared.put(&read).await;
        }
        Ok(read)
    }
}

async fn load(reads: &PgPool, id: Uuid) -> Reply<Arc<Read>> {
    crate::metrics::read().increment(1);
    let at = Instant::now();
    let order = body::load(reads, id).await?;
    Ok(Arc::new(Read::new(order, at)))
}

/// What `If-None-Match` says that the caller has: the newest version, or whatever there is.
pub(super) enum Has {
    Nothing,
    Any,
    Version(u64),
}

impl Has {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let tags: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
        if tags.contains(&"*") {
            return Self::Any;
        }
        let version =
            |tag: &&str| tag.trim_start_matches("W/").strip_prefix('"')?.strip_suffix('"')?.parse::<u64>().ok();
        tags.iter().filter_map(version).max().map_or(Self::Nothing, Self::Version)
    }

    pub(super) fn version(&self) -> Option<u64> {
        match self {
            Self::Version(version) => Some(*version),
            Self::Nothing | Self::Any => None,
        }
    }

    /// Is it this one?
    pub(super) fn is(&self, version: u64) -> bool {
        matches!(self, Self::Any) || self.version() == Some(version)
    }
}

/// `"<version>"`.
pub(super) fn etag(version: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"0\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(values: &[&'static str]) -> Has {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::IF_NONE_MATCH, HeaderValue::from_static(value));
        }
        Has::of(&headers)
    }

    #[test]
    fn the_newest_version_that_the_caller_has_counts() {
        assert_eq!(has(&[]).version(), None);
        assert_eq!(has(&["\"1000\""]).version(), Some(1_000));
        assert_eq!(has(&["W/\"3004\", \"1000\"", "\"x\""]).version(), Some(3_004));
        assert!(has(&["\"7\", *"]).is(1) && has(&["\"7\""]).is(7) && !has(&["\"7\""]).is(8) && !has(&[]).is(0));
        for odd in ["", "7", "\"\"", "\"-1\"", "\"99999999999999999999\""] {
            assert_eq!(has(&[odd]).version(), None, "{odd}");
        }
    }
}
