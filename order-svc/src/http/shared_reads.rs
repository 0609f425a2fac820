//! Orders that another replica has read a moment ago, in a Redis (or Valkey) that the replicas share. It is asked for what this
//! replica has not in memory; what it does not answer at once, the database does.

use super::body::Order;
use super::recent::Read;
use crate::Config;
use crate::metrics::shared_read;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, Client, RedisError};
use saga_common::config::SettingError;
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use uuid::Uuid;

/// For how long a Redis that did not answer is not asked again, so that it slows down one read a second at most.
const LEFT_ALONE: Duration = Duration::from_secs(1);

/// What the replicas have read.
pub(super) struct SharedReads {
    redis: ConnectionManager,
    answer_within: Duration,
    oldest: Duration,
    silent: Mutex<Option<Instant>>,
}

/// An order with the time at which the database was asked for it, by the clock of whoever asked.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    asked_at: SystemTime,
    order: T,
}

impl SharedReads {
    /// As the settings say. Connects when it is first asked.
    pub(super) fn of(config: &Config) -> Result<Option<Self>, SettingError> {
        let Some(url) = config.redis_url()? else { return Ok(None) };
        let answer_within = Duration::from_millis(config.redis_timeout_ms);
        let patience =
            ConnectionManagerConfig::new().set_number_of_retries(1).set_response_timeout(Some(answer_within));
        let redis = Client::open(url).and_then(|client| ConnectionManager::new_lazy_with_config(client, patience));
        let redis = redis.map_err(|error| SettingError::Invalid { name: "REDIS_URL", why: error.to_string() })?;
        let oldest = Duration::from_millis(config.read_cache_ms);
        Ok(Some(Self { redis, answer_within, oldest, silent: Mutex::default() }))
    }

    /// An order as some replica has read it, with the time at which it must have asked for it at the latest.
    pub(super) async fn get(&self, id: Uuid) -> Option<Arc<Read>> {
        let asked = Instant::now();
        let mut redis = self.redis.clone();
        let mut both = redis::pipe();
        both.atomic().get(self.key(id)).pttl(self.key(id));
        let (text, left_ms): (Option<Vec<u8>>, i64) = self.answer(both.query_async(&mut redis)).await?;
        let read = text.and_then(|text| self.read(id, &text, left_ms, asked));
        shared_read(if read.is_some() { "hit" } else { "miss" }).increment(1);
        read
    }

    /// Tells the others. It is forgotten when it is too old to be shown.
    pub(super) async fn put(&self, read: &Read) {
        let left_ms = u64::try_from(self.oldest.saturating_sub(read.at.elapsed()).as_millis()).unwrap_or(u64::MAX);
        let Some(asked_at) = SystemTime::now().checked_sub(read.at.elapsed()) else { return };
        let Ok(text) = serde_json::to_vec(&Kept { asked_at, order: &read.order }) else { return };
        if left_ms > 0 {
            let mut redis = self.redis.clone();
            let _: Option<()> = self.answer(redis.pset_ex(self.key(read.order.id), text, left_ms)).await;
        }
    }

    /// The order has changed. If this is lost, what is kept is soon too old by itself.
    pub(super) async fn forget(&self, id: Uuid) {
        let mut redis = self.redis.clone();
        let _: Option<()> = self.answer(redis.del(self.key(id))).await;
    }

    /// What a newer or an older release wrote may not be readable: then it is not there.
    fn read(&self, id: Uuid, text: &[u8], left_ms: i64, asked: Instant) -> Option<Arc<Read>> {
        let left = Duration::from_millis(u64::try_from(left_ms).ok()?);
        let Kept { asked_at, order } = serde_json::from_slice::<Kept<Order>>(text).ok()?;
        // By Redis's clock it is as old as it has been there; but it may have been long on its way there, as the writer's clock tells.
        let by_redis = self.oldest.checked_sub(left)?;
        let by_clocks = SystemTime::now().duration_since(asked_at).unwrap_or_default();
        let at = asked.checked_sub(by_redis.max(by_clocks))?;
        (order.id == id && at.elapsed() < self.oldest).then(|| Arc::new(Read::new(order, at)))
    }

    /// The age of an entry follows from the time it has left: replicas that keep orders for different times do not share them.
    fn key(&self, id: Uuid) -> String {
        format!("ordersaga:order:{}:{id}", self.oldest.as_millis())
    }

    async fn answer<T>(&self, asking: impl Future<Output = Result<T, RedisError>>) -> Option<T> {
        if self.silent_since().is_some_and(|silent| silent.elapsed() < LEFT_ALONE) {
            return None;
        }
        let why = match tokio::time::timeout(self.answer_within, asking).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} ms", self.answer_within.as_millis()),
        };
        tracing::debug!(why, "the shared cache is not there: orders are read from the database");
        *self.silent.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        shared_read("silent").increment(1);
        None
    }

    fn silent_since(&self) -> Option<Instant> {
        // One value: it cannot be left half-changed.
        *self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
