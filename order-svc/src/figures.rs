//! Counters and latencies of the last minutes, read off the database: for all replicas together, and at no cost for orders. Slots to which
//! no order comes any more are kept, so each look reads the last few only, by the order of ids; those with unfinished orders less often.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sqlx::PgPool;
use std::collections::BTreeMap;
use tokio::sync::Mutex;
use tokio::time::{Duration, Instant};
use utoipa::ToSchema;
use uuid::Uuid;

const SLOT_SECONDS: i64 = 5;
const SLOTS: i64 = 120;
/// However many look, the database is asked no more often.
const AT_MOST_EVERY: Duration = Duration::from_secs(2);
/// What is unfinished for longer than that is looked at this often: with it everything that came after is read again.
const LOOK_BACK_EVERY: Duration = Duration::from_secs(20);
/// An order may become visible this long after its slot has passed.
const COMMITTED_WITHIN: TimeDelta = TimeDelta::seconds(30);
/// By how much the clock that an id was made by may differ from the database's.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::seconds(10);

/// What became of the orders of the last ten minutes, by the time at which they were placed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Figures {
    /// When they were read.
    at: DateTime<Utc>,
    /// How long a slot is.
    slot_seconds: i64,
    /// Oldest first, with those in which nothing was placed.
    slots: Vec<Slot>,
}

/// The orders that were placed in five seconds.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
struct Slot {
    /// When it began.
    at: DateTime<Utc>,
    /// Orders placed.
    placed: i64,
    /// Those that were confirmed, whatever became of them later.
    confirmed: i64,
    /// Those that were cancelled, by reason (the part before the colon).
    cancelled: BTreeMap<String, i64>,
    /// Those that are neither yet.
    under_way: i64,
    /// Milliseconds from placement to confirmed or cancelled: half of those that have ended took no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_ms: Option<f64>,
    /// 99 of 100 took no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    p99_ms: Option<f64>,
}

/// What was read before.
#[derive(Default)]
pub(crate) struct Reader(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// Slots to which no order comes any more, by their beginning.
    settled: BTreeMap<i64, Slot>,
    /// When those of them in which something was under way were read last.
    looked_back: Option<Instant>,
    last: Option<(Instant, Figures)>,
}

impl Reader {
    /// The figures, at most two seconds old.
    pub(crate) async fn read(&self, reads: &PgPool) -> Result<Figures, sqlx::Error> {
        let mut kept = self.0.lock().await;
        if let Some((read, figures)) = &kept.last
            && read.elapsed() < AT_MOST_EVERY
        {
            return Ok(figures.clone());
        }
        let figures = kept.read_anew(reads, Utc::now()).await?;
        kept.last = Some((Instant::now(), figures.clone()));
        Ok(figures)
    }
}

impl Kept {
    async fn read_anew(&mut self, reads: &PgPool, now: DateTime<Utc>) -> Result<Figures, sqlx::Error> {
        let newest = now.timestamp().div_euclid(SLOT_SECONDS);
        let window = newest - SLOTS + 1..=newest;
        self.settled.retain(|slot, _| window.contains(slot));
        let look_back = self.looked_back.is_none_or(|at| at.elapsed() >= LOOK_BACK_EVERY);
        let changes = |slot: &i64| self.settled.get(slot).is_none_or(|it| look_back && it.under_way > 0);
        let from = window.clone().find(changes).unwrap_or(newest);
        let mut slots = since(reads, begin(from)).await?;
        if look_back {
            self.looked_back = Some(Instant::now());
        }
        let mut all = Vec::new();
        for slot in window {
            let read = match self.settled.get(&slot) {
                Some(settled) if slot < from => settled.clone(),
                _ => slots.remove(&slot).unwrap_or(Slot { at: begin(slot), ..Slot::default() }),
            };
            if begin(slot + 1) + COMMITTED_WITHIN < now {
                self.settled.insert(slot, read.clone());
            }
            all.push(read);
        }
        Ok(Figures { at: now, slot_seconds: SLOT_SECONDS, slots: all })
    }
}

fn begin(slot: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(slot * SLOT_SECONDS, 0).unwrap_or_default()
}

/// The first id that could have been made then: UUIDv7 begin with milliseconds.
fn first_id(at: DateTime<Utc>) -> Uuid {
    Uuid::from_u128(u128::from(at.timestamp_millis().max(0).unsigned_abs()) << 80)
}

/// All slots from this time on in which orders were placed.
async fn since(reads: &PgPool, from: DateTime<Utc>) -> Result<BTreeMap<i64, Slot>, sqlx::Error> {
    let first = first_id(from - CLOCKS_DIFFER);
    let rows = sqlx::query!(
        r#"select date_bin('5 s', o.created_at, 'epoch') as "at!", count(*) as "placed!",
                  count(*) filter (where o.status in ('confirmed', 'shipped', 'delivered', 'returning', 'returned')) as "confirmed!",
                  count(*) filter (where o.status in ('pending', 'cancelling')) as "under_way!",
                  percentile_cont(0.5) within group (order by e.ms) as p50_ms,
                  percentile_cont(0.99) within group (order by e.ms) as p99_ms
           from orders o
           left join saga.idempotency_keys k on k.saga_id = o.id and k.step = 'confirm-order' and k.verdict = 'done' and k.saga_id >= $1
           cross join lateral (select extract(epoch from case
                   when o.status = 'cancelled' then o.updated_at
                   when o.status not in ('pending', 'cancelling') then coalesce(k.settled_at, k.created_at)
               end - o.created_at)::float8 * 1000 as ms) e
           where o.id >= $1 and o.created_at >= $2
           group by 1"#,
        first,
        from
    )
    .fetch_all(reads)
    .await?;
    let slot = |at: DateTime<Utc>| at.timestamp().div_euclid(SLOT_SECONDS);
    let mut slots: BTreeMap<i64, Slot> = BTreeMap::new();
    for row in rows {
        let (at, placed, confirmed, under_way) = (row.at, row.placed, row.confirmed, row.under_way);
        let (p50_ms, p99_ms, cancelled) = (row.p50_ms, row.p99_ms, BTreeMap::new());
        slots.insert(slot(at), Slot { at, placed, confirmed, cancelled, under_way, p50_ms, p99_ms });
    }
    let rows = sqlx::query!(
        r#"select date_bin('5 s', created_at, 'epoch') as "at!", split_part(coalesce(reason, ''), ':', 1) as "reason!", count(*) as "orders!"
           from orders where id >= $1 and created_at >= $2 and status is not distinct from 'cancelled' group by 1, 2"#,
        first,
        from
    )
    .fetch_all(reads)
    .await?;
    for row in rows {
        if let Some(slot) = slots.get_mut(&slot(row.at)) {
            slot.cancelled.insert(row.reason, row.orders);
        }
    }
    Ok(slots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_made_at_a_time_or_later_are_not_before_its_first() {
        let at = DateTime::from_timestamp_millis(1_795_400_000_123).expect("a time");
        let made = Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, 1_795_400_000, 123_000_000));
        let before = Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, 1_795_400_000, 122_000_000));
        assert!(first_id(at) <= made && before < first_id(at));
    }

    #[test]
    fn slots_begin_at_whole_multiples_of_five_seconds() {
        assert_eq!(begin(359_080_000).timestamp(), 1_795_400_000);
        assert_eq!(begin(1).timestamp() - begin(0).timestamp(), SLOT_SECONDS);
    }
}
