//! What every test needs: a database and a virtual host of its own, and waiting for what must come.

use saga_common::testkit::{self, Bench, Replica, Wire};
use saga_common::{Participant, SagaId, Settings};
use sagactl::stack::Servers;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::NoTls;

pub(crate) use sagactl::stack::eventually;

pub(crate) type Outcome = Result<(), Box<dyn std::error::Error>>;
pub(crate) type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// Nothing in these tests takes longer, unless something is wrong.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Has a row if a transaction of this database waits for another one to end, which has a row that it wants. Of other locks, as of the
/// tables that all databases share, somebody waits now and then for a moment.
pub(crate) const WAITS_FOR_A_ROW: &str =
    "select 1 from pg_stat_activity where datname = current_database() and wait_event = 'transactionid'";

pub(crate) static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("tests/rules/migrations");

/// A place to run participants in.
pub(crate) struct World {
    pub(crate) servers: Arc<Servers>,
    /// Of the database, its role and the virtual host.
    pub(crate) name: String,
    pub(crate) database_url: String,
}

impl World {
    pub(crate) async fn new() -> Fallible<Self> {
        let servers = Servers::shared().await?;
        let name = format!("rules_{}", SagaId::new().as_uuid().simple());
        let database_url = servers.create_database(&name).await?;
        Ok(Self { servers, name, database_url })
    }

    /// The same place, its database reached by way of a port of this machine.
    pub(crate) fn by_way_of(&self, port: u16) -> Fallible<Self> {
        let direct = format!(":{}/", self.database_port()?);
        let database_url = self.database_url.replacen(&direct, &format!(":{port}/"), 1);
        Ok(Self { servers: Arc::clone(&self.servers), name: self.name.clone(), database_url })
    }

    pub(crate) fn database_port(&self) -> Fallible<u16> {
        let config: tokio_postgres::Config = self.database_url.parse()?;
        Ok(*config.get_ports().first().ok_or("a database URL without a port")?)
    }

    pub(crate) async fn bench<App: Send + Sync + 'static>(
        &self,
        participant: Participant<App>,
    ) -> Fallible<Arc<Bench<App>>> {
        Ok(Arc::new(Bench::new(participant, &self.database_url, &MIGRATOR).await?))
    }

    pub(crate) async fn amqp_url(&self) -> Fallible<String> {
        Ok(self.servers.create_vhost(&self.name).await?)
    }

    /// The broker as other services see it.
    pub(crate) async fn wire(&self) -> Fallible<Wire> {
        Ok(Wire::connect(&self.amqp_url().await?).await?)
    }

    pub(crate) async fn settings(&self) -> Fallible<Settings> {
        let mut settings = testkit::settings(&self.database_url, &self.amqp_url().await?)?;
        settings.queue_type = saga_common::topology::QueueType::Classic;
        Ok(settings)
    }

    pub(crate) async fn replica<App: Send + Sync + 'static>(&self, participant: Participant<App>) -> Fallible<Replica> {
        Ok(Replica::start(participant, self.settings().await?, &MIGRATOR).await?)
    }

    /// Runs statements as the administrator of the server.
    pub(crate) async fn administrate(&self, statements: &str) -> Outcome {
        self.ask(statements).await.map(drop)
    }

    /// The database takes no connections and ends those it has.
    pub(crate) async fn outage(&self) -> Outcome {
        self.administrate(&format!("alter database {} with allow_connections false", self.name)).await?;
        self.cut_off().await
    }

    /// Ends every connection to the database.
    pub(crate) async fn cut_off(&self) -> Outcome {
        let cut = format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{}'", self.name);
        self.administrate(&cut).await
    }

    /// Ends an outage.
    pub(crate) async fn back_again(&self) -> Outcome {
        self.administrate(&format!("alter database {} with allow_connections true", self.name)).await
    }

    /// Asks the server a question as its administrator: the first column of the first row.
    pub(crate) async fn ask(&self, question: &str) -> Fallible<Option<String>> {
        let (client, connection) = tokio_postgres::connect(&self.servers.postgres_url(), NoTls).await?;
        let connection = tokio::spawn(connection);
        let answer = client.simple_query(question).await?.into_iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        drop(client);
        connection.await??;
        Ok(answer)
    }
}
