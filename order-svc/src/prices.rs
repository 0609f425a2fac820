//! What articles cost: concurrent requests ask together, as soon as the answer before theirs is there. No cache: whoever asks
//! after a price was set gets that price.

use crate::domain::Price;
use order_contracts::Money;
use saga_common::http::Problem;
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Prices by SKU; articles that are not on the list are missing.
pub(crate) type PriceList = Arc<BTreeMap<String, Price>>;

/// Requests that are answered by one statement at most.
const TOGETHER: usize = 256;
const WAITING: usize = 4_096;
/// A database that takes a question and never answers must not stop all orders.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

pub(crate) struct Asked {
    skus: Vec<String>,
    reply: oneshot::Sender<Result<PriceList, Problem>>,
}

/// Where handlers ask. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Prices(mpsc::Sender<Asked>);

pub(crate) fn queue() -> (Prices, mpsc::Receiver<Asked>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Prices(sender), receiver)
}

impl Prices {
    /// The prices of these articles, and perhaps of others.
    pub(crate) async fn of(&self, skus: Vec<String>) -> Result<PriceList, Problem> {
        let busy = || Problem::unavailable("too many orders are waiting to be priced; try again");
        let (reply, answer) = oneshot::channel();
        self.0.try_send(Asked { skus, reply }).map_err(|_| busy())?;
        // Also behind others who wait for a database that does not answer.
        tokio::time::timeout(ANSWERS_WITHIN, answer).await.map_err(|_| busy())?.map_err(|_| busy())?
    }
}

/// Answers what is waiting, all at once, until nobody can ask any more. Keeps its connection while that answers: the pool
/// would test it before each question and behind it, a round trip each.
pub(crate) async fn answer_together(reads: PgPool, mut waiting: mpsc::Receiver<Asked>) {
    let mut asked = Vec::new();
    let mut connection = None;
    while waiting.recv_many(&mut asked, TOGETHER).await > 0 {
        let skus: BTreeSet<&String> = asked.iter().flat_map(|it| &it.skus).collect();
        let skus: Vec<String> = skus.into_iter().cloned().collect();
        let prices = match tokio::time::timeout(ANSWERS_WITHIN, ask(&reads, &mut connection, &skus)).await {
            Ok(prices) => prices.map(Arc::new).map_err(Problem::from),
            Err(_) => Err(Problem::unavailable("the database does not say what the articles cost; try again")),
        };
        for it in asked.drain(..) {
            // Whoever asked may have gone.
            drop(it.reply.send(prices.clone()));
        }
    }
}

/// Asks on the connection that answered last, or, when that has failed since, on another one.
async fn ask(
    reads: &PgPool,
    kept: &mut Option<PoolConnection<Postgres>>,
    skus: &[String],
) -> Result<BTreeMap<String, Price>, sqlx::Error> {
    // Taken out: one that fails, or does not answer in time, goes back to the pool, which tests it.
    if let Some(mut connection) = kept.take()
        && let Ok(prices) = read(&mut connection, skus).await
    {
        *kept = Some(connection);
        return Ok(prices);
    }
    let mut connection = reads.acquire().await?;
    let prices = read(&mut connection, skus).await?;
    *kept = Some(connection);
    Ok(prices)
}

async fn read(connection: &mut PgConnection, skus: &[String]) -> Result<BTreeMap<String, Price>, sqlx::Error> {
    let rows = sqlx::query!("select sku, unit_price_minor, currency from products where sku = any($1)", skus)
        .fetch_all(connection)
        .await?;
    let price = rows.into_iter().filter_map(|row| {
        let unit_price = Money::from_minor(row.unit_price_minor).ok()?;
        Some((row.sku, Price { unit_price, currency: row.currency }))
    });
    Ok(price.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sagactl::stack::Servers;

    #[tokio::test]
    async fn requests_that_wait_are_priced_by_one_answer() -> Result<(), Box<dyn std::error::Error>> {
        let servers = Servers::shared().await?;
        let url = servers.create_database(&format!("prices_{}", uuid::Uuid::now_v7().simple())).await?;
        let reads = PgPool::connect(&url).await?;
        crate::MIGRATOR.run(&reads).await?;
        let (prices, waiting) = queue();
        let ask = |sku: &str| {
            let (prices, sku) = (prices.clone(), sku.to_owned());
            tokio::spawn(async move { prices.of(vec![sku]).await })
        };
        let asked = ["MUG-STONE", "SCALE-01", "MUG-STONE", "NO-SUCH"].map(ask);
        // Nobody answers yet, so all of them wait by the time somebody does.
        while waiting.len() < asked.len() {
            tokio::task::yield_now().await;
        }
        let answering = tokio::spawn(answer_together(reads, waiting));
        let mut answers = Vec::new();
        for answer in asked {
            answers.push(answer.await?.map_err(|problem| format!("{problem:?}"))?);
        }
        assert!(answers.iter().all(|answer| Arc::ptr_eq(answer, &answers[0])), "they were answered one by one");
        assert_eq!(answers[0].keys().collect::<Vec<_>>(), ["MUG-STONE", "SCALE-01"]);
        drop(prices);
        Ok(answering.await?)
    }

    #[tokio::test]
    async fn prices_are_read_again_after_their_connection_was_lost() -> Result<(), Box<dyn std::error::Error>> {
        let servers = Servers::shared().await?;
        let name = format!("prices_{}", uuid::Uuid::now_v7().simple());
        let url = servers.create_database(&name).await?;
        let reads = PgPool::connect(&url).await?;
        crate::MIGRATOR.run(&reads).await?;
        let (prices, waiting) = queue();
        let answering = tokio::spawn(answer_together(reads, waiting));
        let ask = || prices.of(vec!["MUG-STONE".to_owned()]);
        ask().await.map_err(|problem| format!("{problem:?}"))?;
        let end_all = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                       where datname = current_database() and pid <> pg_backend_pid()";
        let mut other = <PgConnection as sqlx::Connection>::connect(&url).await?;
        let ended: i64 = sqlx::query_scalar(end_all).fetch_one(&mut other).await?;
        assert!(ended > 0, "it had no connection");
        let answer = ask().await.map_err(|problem| format!("{problem:?}"))?;
        assert!(answer.contains_key("MUG-STONE"), "nobody notices");
        drop(prices);
        Ok(answering.await?)
    }
}
