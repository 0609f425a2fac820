//! A stranger's session on a service's database.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::NoTls;

use super::super::{Call, Done, NotInjected, Outcome, sentence};
use crate::chaos::rig::Rig;
use crate::stack::Program::{self, InventorySvc};

/// Nothing that a stranger asks for takes longer, unless what it waits for is stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stranger's session, as superuser.
pub(super) struct Session(tokio_postgres::Client);

impl Session {
    pub(super) async fn open(rig: &Rig, database: &str) -> Result<Self, NotInjected> {
        let mut config: tokio_postgres::Config = rig.stack.servers().postgres_url().parse().map_err(sentence)?;
        config.dbname(database).connect_timeout(Duration::from_secs(5)).application_name("chaos");
        let (client, connection) = config.connect(NoTls).await.map_err(sentence)?;
        // Ends with the client; rolls back what is open.
        tokio::spawn(connection);
        Ok(Self(client))
    }

    pub(super) async fn execute(&self, sql: &str) -> Result<(), NotInjected> {
        let late = || NotInjected(format!("`{sql}` has not ended within 30 s"));
        timeout(PATIENCE, self.0.batch_execute(sql)).await.map_err(|_| late())?.map_err(sentence)
    }

    pub(super) async fn end_backends(&self, role: &str) -> Result<usize, NotInjected> {
        let sql = "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1";
        Ok(self.0.query(sql, &[&role]).await.map_err(sentence)?.len())
    }

    pub(super) async fn repeat(&self, rig: &Rig, lasts: Duration, sql: &str, role: &str) -> Outcome {
        let ends = Instant::now() + lasts;
        let mut hit = 0;
        while Instant::now() < ends {
            hit += self.0.query(sql, &[&role]).await.map_err(sentence)?.len();
            rig.hold(Duration::from_millis(50)).await;
        }
        Ok(if hit == 0 { Done::missed("nobody was busy") } else { Done::with(format!("{hit} times")) })
    }

    pub(super) async fn hold_open(&self, rig: &Rig, lasts: Duration, begin: &str) -> Result<(), NotInjected> {
        self.execute(begin).await?;
        rig.hold(lasts).await;
        self.execute("rollback").await
    }

    /// Takes one row after the other, last key first, with a pause in between; PostgreSQL may choose us as the victim.
    pub(super) async fn deadlock(&self, rig: &Rig, call: &mut Call, target: Program) -> Outcome {
        let (table, key) = if target == InventorySvc { ("stock", "sku") } else { ("wallets", "customer_id") };
        let keys = self.0.query(&format!("select {key} from {table} order by {key} desc limit 20"), &[]).await;
        let keys: Vec<String> = keys.map_err(sentence)?.iter().map(|row| row.get(0)).collect();
        let ends = Instant::now() + call.lasts;
        let mut victim = 0;
        while Instant::now() < ends {
            self.execute("begin").await?;
            for value in &keys {
                let lock = format!("select from {table} where {key} = $1 for update");
                let locked = timeout(PATIENCE, self.0.query(&lock, &[value])).await;
                if !matches!(locked, Ok(Ok(_))) {
                    victim += 1;
                    break;
                }
                sleep(Duration::from_millis(call.dice.between(5, 40))).await;
            }
            self.execute("rollback").await?;
            rig.hold(Duration::from_millis(20)).await;
        }
        Ok(Done::with(format!("{victim} times the stranger was the victim")))
    }
}
