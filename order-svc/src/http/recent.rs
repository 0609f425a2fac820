//! Orders that were read a moment ago: many who ask for the same order cost one read of the database, and nobody is answered with
//! what was true more than a second ago. Each replica has its own; none of them has to be told of anything.

use super::body::{self, Order};
use axum::http::{HeaderMap, HeaderValue, header};
use moka::future::Cache;
use saga_common::http::{Problem, Reply};
use sqlx::PgPool;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Orders that are kept at most.
const KEPT: u64 = 10_000;

/// Recently read orders.
pub(super) struct Recent {
    reads: PgPool,
    orders: Cache<Uuid, Arc<Read>>,
    /// Zero: nothing is kept.
    oldest: Duration,
}

/// An order as the database had it after this moment.
pub(super) struct Read {
    pub(super) order: Order,
    pub(super) version: u64,
    at: Instant,
}

impl Recent {
    pub(super) fn new(reads: PgPool, oldest: Duration) -> Self {
        Self { reads, orders: Cache::builder().max_capacity(KEPT).time_to_live(oldest).build(), oldest }
    }

    /// An order not older than a second, and no older than a version that the caller has seen.
    pub(super) async fn get(&self, id: Uuid, seen: Option<u64>) -> Reply<Arc<Read>> {
        let found = self.read(id).await?;
        // The time of reading counts, not that of keeping; and what the caller knows may come from another replica.
        if found.at.elapsed() < self.oldest && seen.is_none_or(|seen| seen <= found.version) {
            return Ok(found);
        }
        self.forget(id).await;
        self.read(id).await
    }

    /// What is read next comes from the database.
    pub(super) async fn forget(&self, id: Uuid) {
        self.orders.invalidate(&id).await;
    }

    async fn read(&self, id: Uuid) -> Reply<Arc<Read>> {
        if self.oldest.is_zero() {
            return load(&self.reads, id).await;
        }
        self.orders.try_get_with(id, load(&self.reads, id)).await.map_err(|problem: Arc<Problem>| (*problem).clone())
    }
}

async fn load(reads: &PgPool, id: Uuid) -> Reply<Arc<Read>> {
    metrics::counter!("order_reads_total").increment(1);
    let at = Instant::now();
    let order = body::load(reads, id).await?;
    Ok(Arc::new(Read { version: order.version(), order, at }))
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
