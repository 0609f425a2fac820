//! The last test of a run: everything that was ever said is said again, in random order, after a short run ten times over, and
//! everything that is parked is tried again. Nothing may change.
//!
//! What was said is taken from the guard rows, which keep it: no listener can miss any of it. They do not keep what the owner said
//! when a customer or the clock ended an order; that is said of every cancelled order, as new and as an announcement repeated,
//! which an undo must take as well.

use std::collections::BTreeMap;
use std::pin::pin;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use futures::future::try_join_all;
use lapin::protocol::basic::AMQPProperties;
use lapin::types::{AMQPValue, FieldTable};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::kinds::messages::redrive;
use super::rig::Rig;
use super::watch::{self, ReadError};
use super::wire::{Copied, EVENTS, FAILURES, Wire, WireError, is_failure, participant};
use crate::audit::{Check, Finding};
use crate::client::Service;
use crate::stack::{Program, database_says};

/// Confirmed together.
const CHUNK: usize = 500;
/// Everything is said at least once; up to so many times, while a service's messages are fewer than `ENOUGH`.
const MOST_TIMES: i64 = 10;
const ENOUGH: i64 = 50_000;

/// What was done again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Replayed {
    /// Messages said again.
    pub messages: u64,
    /// Parked messages tried again, or refused because they can never be handled.
    pub parked: usize,
}

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A database.
    #[error("a database cannot be read: {}", database_says(.0))]
    Database(#[from] ReadError),
    /// The broker.
    #[error(transparent)]
    Broker(#[from] WireError),
    /// What is parked.
    #[error("what is parked cannot be tried again: {0}")]
    Parked(String),
}

/// Says and tries everything again. Returns when the broker has it all; it is not handled yet.
///
/// # Errors
/// When the databases or the broker do not answer.
pub async fn replay(rig: &Rig) -> Result<Replayed, ReplayError> {
    let parked = redrive(rig).await.map_err(|error| ReplayError::Parked(error.0))?;
    let said = try_join_all(Service::ALL.map(|service| say_again(rig, service))).await?;
    Ok(Replayed { messages: said.into_iter().sum(), parked: parked.redriven + parked.refused })
}

const SAID: &str =
    "select k.said_id, k.said_type, k.saga_id, k.causation_id, s.bodies[array_position(s.ids, k.said_id)],
                           0 as repeat
                    from saga.idempotency_keys k join saga.said s on s.unit = k.said_unit";

/// The owner's own failure, once as new and once as a repeat.
const CANCELLING: &str = "
    union all select gen_random_uuid(), 'order.cancelling.v1', id, null,
                     convert_to(json_build_object('order_id', id, 'reason', coalesce(reason, ''))::text, 'utf8'), repeat
              from orders, generate_series(0, 1) repeat where status = 'cancelled'";

async fn say_again(rig: &Rig, service: Service) -> Result<u64, ReplayError> {
    let database = watch::connect(&rig.stack, service).await?;
    let wire = Wire::connect(rig.stack.amqp_url()).await?;
    let cancelling = if service == Service::Order { CANCELLING } else { "" };
    let once: i64 = database.query_one(&format!("select count(*) from ({SAID} {cancelling}) said"), &[]).await?.get(0);
    let times = (ENOUGH / once.max(1)).clamp(1, MOST_TIMES);
    let sql = format!("select * from ({SAID} {cancelling}) said, generate_series(1, $1::int8) order by random()");
    let rows = database.query_raw(&sql, [times]).await?;
    let mut chunks = pin!(rows.try_chunks(CHUNK));
    let mut said = 0;
    while let Some(rows) = chunks.try_next().await.map_err(|error| error.1)? {
        let messages: Vec<Copied> = rows.iter().map(|row| message(service, row)).collect();
        said += wire.publish(&messages).await? as u64;
    }
    wire.close().await;
    Ok(said)
}

fn message(service: Service, row: &Row) -> Copied {
    let (id, event_type, saga): (Uuid, String, Uuid) = (row.get(0), row.get(1), row.get(2));
    let mut headers = FieldTable::default();
    headers.insert("announcement".into(), AMQPValue::LongInt(row.get(5)));
    if let Some(causation) = row.get::<_, Option<Uuid>>(3) {
        headers.insert("causation-id".into(), AMQPValue::LongString(causation.to_string().into()));
    }
    let routing_key = event_type.rsplit_once(".v").map_or(&*event_type, |(key, _)| key).to_owned();
    let exchange = if is_failure(&routing_key) { FAILURES } else { EVENTS };
    let properties = AMQPProperties::default()
        .with_message_id(id.to_string().into())
        .with_correlation_id(saga.to_string().into())
        .with_type(event_type.into())
        .with_app_id(participant(Program::from(service)).into())
        .with_content_type("application/json".into())
        .with_delivery_mode(2)
        .with_headers(headers);
    Copied { exchange: exchange.to_owned(), routing_key, properties, body: row.get(4) }
}

/// Every row that counts, table by table: how many there are, and a sum over all that is in them.
#[derive(Debug, PartialEq, Eq)]
pub struct Print {
    tables: BTreeMap<String, (i64, String)>,
}

const GUARDS: &str = "saga.idempotency_keys";

/// Tables that count, with whose they are.
const TABLES: [(Service, &[&str]); 4] = [
    (Service::Order, &["orders", "order_lines", "request_keys", GUARDS]),
    (Service::Inventory, &["stock", "reservations", "stock_movements", GUARDS]),
    (Service::Payment, &["wallets", "wallet_movements", "payments", GUARDS]),
    (Service::Notification, &["notifications", GUARDS]),
];

impl Print {
    /// Of what is there now. Of guard rows and of a listener's notes only those that were there at `until`: a message that was
    /// lost with its queue is news to whoever hears it for the first time. What it did has to be nothing, all the same.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub async fn take(rig: &Rig, until: DateTime<Utc>) -> Result<Self, ReadError> {
        let mut tables = BTreeMap::new();
        for (service, names) in TABLES {
            let database = watch::connect(&rig.stack, service).await?;
            for table in names {
                let may_grow = matches!(*table, "notifications" | GUARDS);
                let print = print(&database, table, may_grow.then_some(until)).await?;
                tables.insert(format!("{service}: {table}"), print);
            }
        }
        Ok(Self { tables })
    }

    /// The check that nothing has changed since.
    #[must_use]
    pub fn unchanged(&self, since: &Self) -> Check {
        let differ = |(table, is): (&String, &(i64, String))| {
            let was = since.tables.get(table)?;
            let text = |(rows, sum): &(i64, String)| format!("{rows} rows, sum {sum}");
            (was != is).then(|| Finding { id: table.clone(), expected: text(was), actual: text(is) })
        };
        let findings: Vec<Finding> = self.tables.iter().filter_map(differ).collect();
        Check {
            name: "replay-changes-nothing".to_owned(),
            claim: "saying everything again in random order, and trying everything parked again, changes no row"
                .to_owned(),
            passed: findings.is_empty(),
            violations: findings.len() as u64,
            findings,
        }
    }
}

async fn print(database: &Client, table: &str, until: Option<DateTime<Utc>>) -> Result<(i64, String), ReadError> {
    let rows = if until.is_some() { "created_at <= $1::timestamptz" } else { "$1::timestamptz is null" };
    let sql = format!(
        "select count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text from {table} t where {rows}"
    );
    let row = database.query_one(&sql, &[&until]).await?;
    Ok((row.get(0), row.get(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_more_or_a_value_that_differs_is_a_change() {
        let of = |rows: i64, sum: &str| Print {
            tables: [("payment-svc: wallets".to_owned(), (rows, sum.to_owned()))].into(),
        };
        assert!(of(1, "7").unchanged(&of(1, "7")).passed);
        assert_eq!(of(2, "7").unchanged(&of(1, "7")).violations, 1);
        assert_eq!(of(1, "8").unchanged(&of(1, "7")).findings[0].actual, "1 rows, sum 8");
    }
}
