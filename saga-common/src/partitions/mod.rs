//! R6, retention: guard rows live in one partition a day, by the time inside the saga id, and what steps have said in one by the
//! time of their unit. Partitions are made ahead by the database's clock, and dropped whole. A saga whose id lies in no
//! partition cannot be guarded, so its messages are parked as expired before any insert.

mod days;

use days::{DAY_MS, GUARDS, SAID, day_of, floor_id, partition};
pub(crate) use days::{guards_of, said_of};

use crate::db::{DbError, grant};
use crate::ids::{SagaId, now_ms};
use crate::telemetry::meters;
use sqlx::{Connection, PgConnection};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

const DAYS_AHEAD: u64 = 14;
/// With fewer left somebody has to see why no more are made.
const FEW_DAYS: u64 = 7;
/// How far ahead of the database another host's clock may be.
const SKEW_MS: u64 = 3_600_000;

/// From when to when saga ids can be guarded, in milliseconds since 1970. Cheap to ask.
#[derive(Debug, Default)]
pub(crate) struct Window {
    from_ms: AtomicU64,
    until_ms: AtomicU64,
    /// Database clock minus ours at the last look, so that "the future" is the database's, kept as ours plus this.
    ahead_ms: AtomicU64,
    behind_ms: AtomicU64,
}

impl Window {
    fn set(&self, from_ms: u64, until_ms: u64, database_now_ms: u64) {
        let now = now_ms();
        self.from_ms.store(from_ms, Ordering::Relaxed);
        self.until_ms.store(until_ms, Ordering::Relaxed);
        self.ahead_ms.store(database_now_ms.saturating_sub(now), Ordering::Relaxed);
        self.behind_ms.store(now.saturating_sub(database_now_ms), Ordering::Relaxed);
    }

    fn database_now_ms(&self) -> u64 {
        now_ms() + self.ahead_ms.load(Ordering::Relaxed) - self.behind_ms.load(Ordering::Relaxed)
    }

    /// Days after today that sagas can be guarded on; none before the first look.
    fn days_ahead(&self) -> Option<u64> {
        let until = self.until_ms.load(Ordering::Relaxed) / DAY_MS;
        let tomorrow = self.database_now_ms() / DAY_MS + 1;
        (until > 0).then(|| until.saturating_sub(tomorrow))
    }

    fn tell_days_ahead(&self) {
        let Some(days_ahead) = self.days_ahead() else { return };
        #[allow(clippy::cast_precision_loss)]
        meters::partitions_ahead(days_ahead as f64);
        if days_ahead < FEW_DAYS {
            tracing::error!(
                days_ahead,
                "few partitions of the guard rows are left, and after them no saga can be guarded"
            );
        }
    }

    /// Can this saga be guarded? If not, why.
    pub(crate) fn check(&self, saga_id: SagaId) -> Result<(), &'static str> {
        let Some(made_at) = saga_id.made_at_ms() else {
            return Err("expired: the saga id is no UUIDv7");
        };
        let database_now = self.database_now_ms();
        if made_at < self.from_ms.load(Ordering::Relaxed) {
            Err("expired: the saga is older than the guard rows that are kept")
        } else if made_at > database_now + SKEW_MS {
            Err("expired: the saga id lies in the future")
        } else {
            Ok(())
        }
    }
}

/// Makes partitions up to [`DAYS_AHEAD`], drops those past retention that hold nothing unfinished, sets the window, and
/// tells how many days are left. Runs as the owner (of both URLs the first; the other is the service's); several replicas take turns.
pub(crate) async fn keep(
    urls: (&str, &str),
    retention_days: u32,
    unfinished: Option<&'static str>,
    window: &Window,
) -> Result<(), DbError> {
    let kept = keep_window(urls, retention_days, unfinished, window).await;
    // Also when the owner cannot even connect: the days pass all the same.
    window.tell_days_ahead();
    kept
}

async fn keep_window(
    (owner_url, service_url): (&str, &str),
    retention_days: u32,
    unfinished: Option<&'static str>,
    window: &Window,
) -> Result<(), DbError> {
    let mut owner = PgConnection::connect(owner_url).await?;
    // A stopped replica or a long transaction must neither keep others from starting nor queue every step behind a lock.
    sqlx::query("set lock_timeout = '5s'").execute(&mut owner).await?;
    let now: i64 = sqlx::query_scalar("select (extract(epoch from clock_timestamp()) * 1000)::bigint")
        .fetch_one(&mut owner)
        .await?;
    let now = now.unsigned_abs();
    let today = now / DAY_MS;
    let kept = keep_days(&mut owner, today, retention_days, unfinished).await;
    // Also into days that somebody else has made, which are written into by name.
    let kept = kept.and(grant(&mut owner, service_url).await);
    let days = existing(&mut owner, GUARDS).await?;
    owner.close().await?;
    match (kept, days.first()) {
        (kept, Some(&first)) if days.contains(&today) => {
            if let Err(error) = kept {
                tracing::warn!(error = %error, "partitions of the guard rows are not kept up now; tried again in an hour");
            }
            let end = (today..).find(|day| !days.contains(day)).unwrap_or(today);
            window.set(first * DAY_MS, end * DAY_MS, now);
            Ok(())
        }
        (kept, _) => kept.and(Err(DbError::Broken("there is no partition for the sagas of today".to_owned()))),
    }
}

/// Makes what is ahead first: what cannot be dropped yet must not stand in its way.
async fn keep_days(
    owner: &mut PgConnection,
    today: u64,
    retention_days: u32,
    unfinished: Option<&'static str>,
) -> Result<(), DbError> {
    // One replica at a time; ends with the connection.
    sqlx::query("select pg_advisory_lock(hashtext('saga.partitions'))").execute(&mut *owner).await?;
    make_missing(owner, today - 1, today).await?;
    let mut days = existing(owner, GUARDS).await?;
    // From the oldest on and no further than the first that is kept, so that the window has no holes.
    while let Some(&oldest) = days.first()
        && oldest + u64::from(retention_days) < today
        && drop_finished(owner, oldest, unfinished).await?
    {
        days.pop_first();
    }
    let first = days.first().map_or(today, |&oldest| oldest);
    make_missing(owner, first, today).await
}

async fn make_missing(owner: &mut PgConnection, first: u64, today: u64) -> Result<(), DbError> {
    // What steps say first: where a guard row has a place, it has too.
    for table in [SAID, GUARDS] {
        let days = existing(owner, table).await?;
        for day in (first..=today + DAYS_AHEAD).filter(|day| !days.contains(day)) {
            make(owner, table, day).await?;
        }
    }
    Ok(())
}

/// The days that have a partition.
async fn existing(owner: &mut PgConnection, table: &str) -> Result<BTreeSet<u64>, DbError> {
    let names = sqlx::query_scalar::<_, String>(
        "select c.relname::text from pg_inherits i join pg_class c on c.oid = i.inhrelid
         where i.inhparent = ('saga.' || $1)::regclass",
    )
    .bind(table)
    .fetch_all(owner)
    .await?;
    Ok(names.iter().filter_map(|name| day_of(table, name)).collect())
}

/// Made by itself and then attached, which no reader and no step has to stand back for. Few rows are written a second time.
async fn make(owner: &mut PgConnection, table: &str, day: u64) -> Result<(), DbError> {
    let sql = format!(
        "create table if not exists saga.{name} (like saga.{table} including all) with (fillfactor = 95);
         alter table saga.{table} attach partition saga.{name} for values from ('{}') to ('{}')",
        floor_id(day * DAY_MS),
        floor_id((day + 1) * DAY_MS),
        name = partition(table, day)?,
    );
    // Sent at once, so that it is one transaction.
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(owner).await?;
    Ok(())
}

/// Drops a partition unless one of its sagas is unfinished here. Tells whether it is gone.
async fn drop_finished(owner: &mut PgConnection, day: u64, unfinished: Option<&'static str>) -> Result<bool, DbError> {
    let name = partition(GUARDS, day)?;
    let mut tx = owner.begin().await?;
    // Nobody writes a guard row between the question and the answer.
    let lock = format!("lock table saga.{name} in access exclusive mode");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut *tx).await?;
    let (from, to) = (floor_id(day * DAY_MS), floor_id((day + 1) * DAY_MS));
    let engine = "select exists (select 1 from saga.jobs where saga_id >= $1 and saga_id < $2)
                      or exists (select 1 from saga.announcements where saga_id >= $1 and saga_id < $2)
                      or exists (select 1 from saga.unsent where saga_id >= $1 and saga_id < $2)
                      or exists (select 1 from saga.waiting where saga_id >= $1 and saga_id < $2 and state <> 'parked')";
    for query in [Some(engine), unfinished].into_iter().flatten() {
        let busy: bool = sqlx::query_scalar(query).bind(from).bind(to).fetch_one(&mut *tx).await?;
        if busy {
            tracing::warn!(partition = name, "past retention, but kept: it has unfinished sagas");
            return Ok(false);
        }
    }
    // The fault directives of these sagas and of any before them.
    sqlx::query("delete from saga.faults where saga_id < $1").bind(to).execute(&mut *tx).await?;
    // What was said on the day before belongs to sagas of that day and of those before it, give or take the clocks of hosts.
    let said = partition(SAID, day.saturating_sub(1))?;
    let sql = format!("drop table saga.{name}; drop table if exists saga.{said}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *tx).await?;
    tx.commit().await?;
    tracing::info!(partition = name, "dropped: past retention");
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn the_days_ahead_are_those_after_today_and_grow_fewer_by_themselves() {
        let window = Window::default();
        assert_eq!(window.days_ahead(), None);
        let today = now_ms() / DAY_MS;
        window.set(today * DAY_MS, (today + 15) * DAY_MS, now_ms());
        assert_eq!(window.days_ahead(), Some(14));
        // Ten days later nobody could look.
        window.ahead_ms.fetch_add(10 * DAY_MS, Ordering::Relaxed);
        assert_eq!(window.days_ahead(), Some(4));
        window.ahead_ms.fetch_add(10 * DAY_MS, Ordering::Relaxed);
        assert_eq!(window.days_ahead(), Some(0));
    }

    #[test]
    fn ids_outside_of_the_window_are_expired() {
        let window = Window::default();
        let now = now_ms();
        window.set(now - DAY_MS, now + DAY_MS, now);
        assert!(window.check(SagaId::new()).is_ok());
        let v7 = |ms: u64| SagaId::from(Uuid::from_u128(floor_id(ms).as_u128() | 0x7000_8000_0000_0000_0000));
        assert!(window.check(v7(now - 2 * DAY_MS)).is_err());
        assert!(window.check(v7(now + 2 * SKEW_MS)).is_err());
        assert!(window.check(SagaId::from(Uuid::nil())).is_err());
    }
}
