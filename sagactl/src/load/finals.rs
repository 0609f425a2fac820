//! How orders ended and when they were closed, by the database's own rows.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::tally::{Ended, Final};
use crate::stack::session;

/// Patience with the last orders' ends; what is still open then, the audit finds.
const CLOSED_WITHIN: Duration = Duration::from_secs(60);

/// Reads once, when all orders have ended, how they did and when they were closed; waits a little for the last ones.
pub(super) async fn read(
    url: &str,
    ended: &[Ended],
    begun: Instant,
) -> Result<HashMap<Uuid, Final>, tokio_postgres::Error> {
    let client = session(url).await?;
    let (Some(first), Some(last)) = (ended.iter().map(|it| it.id).min(), ended.iter().map(|it| it.id).max()) else {
        return Ok(HashMap::new());
    };
    let open = "select count(*) from orders where id between $1 and $2 and status = 'confirmed' and closed_at is null";
    let patience = Instant::now() + CLOSED_WITHIN;
    while client.query_one(open, &[&first, &last]).await?.get::<_, i64>(0) > 0 && Instant::now() < patience {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let begun_us = database_clock_us(&client).await? - i64::try_from(begun.elapsed().as_micros()).unwrap_or_default();
    let sql = "select id, status <> 'cancelled', (extract(epoch from closed_at) * 1e6)::int8
               from orders where id between $1 and $2";
    let rows = client.query(sql, &[&first, &last]).await?;
    let read = |row: &tokio_postgres::Row| {
        let closed: Option<i64> = row.get(2);
        let closed_us = closed.map(|at| u64::try_from(at - begun_us).unwrap_or_default());
        (row.get(0), Final { confirmed: row.get(1), closed_us })
    };
    Ok(rows.iter().map(read).collect())
}

/// The database's clock at this very moment, in microseconds since 1970: of a few answers that which came fastest.
async fn database_clock_us(client: &tokio_postgres::Client) -> Result<i64, tokio_postgres::Error> {
    let mut best: Option<(Duration, Instant, i64)> = None;
    for _ in 0..5 {
        let asked = Instant::now();
        let row = client.query_one("select (extract(epoch from clock_timestamp()) * 1e6)::int8", &[]).await?;
        let took = asked.elapsed();
        if best.is_none_or(|(fastest, ..)| took < fastest) {
            best = Some((took, asked + took / 2, row.get(0)));
        }
    }
    Ok(best.map_or(0, |(_, at, us)| us + i64::try_from(at.elapsed().as_micros()).unwrap_or_default()))
}
