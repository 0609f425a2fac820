//! PostgreSQL and RabbitMQ: private ones, or ones that were given by URL.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::OnceCell;

use super::data::{DataDir, password};
use super::management::Management;
use super::postgres::Cluster;
use super::rabbitmq::{Node, NodePorts};
use super::unix::Signal;
use super::{ServerSettings, StackError, admin, find, ports::Ports};

/// The two servers a stack runs on.
///
/// Private servers are children of this process: they end when this is dropped, and also when the process is killed.
#[derive(Debug)]
pub struct Servers {
    postgres: Postgres,
    broker: Broker,
    management: Management,
    ports: std::sync::Mutex<Ports>,
    /// Last: a temporary folder is removed after the servers are gone.
    data: DataDir,
}

#[derive(Debug)]
enum Postgres {
    Private(Box<Cluster>),
    Given(String),
}

#[derive(Debug)]
enum Broker {
    Private(Box<Node>),
    Given(String),
}

impl Servers {
    /// The servers of this process, started by the first call in a temporary folder and used by all its tests.
    ///
    /// They end with the process. Settings are taken from the environment.
    pub async fn shared() -> Result<Arc<Self>, StackError> {
        static SHARED: OnceCell<Arc<Servers>> = OnceCell::const_new();
        let start = async || Self::temporary(&ServerSettings::from_env()?).await.map(Arc::new);
        SHARED.get_or_try_init(start).await.cloned()
    }

    /// Servers in a folder of their own under the system's temporary folder, removed when this is dropped.
    pub async fn temporary(settings: &ServerSettings) -> Result<Self, StackError> {
        Self::launch(settings, DataDir::temporary()?).await
    }

    /// Servers that keep their data in `folder`; the same folder gives the same data, passwords and (if still free) ports again.
    ///
    /// When another running stack uses the folder, the next free one of `<folder>-2`, `<folder>-3`, .. is taken; [`Servers::data`] tells.
    pub async fn in_folder(settings: &ServerSettings, folder: &Path) -> Result<Self, StackError> {
        Self::launch(settings, DataDir::open_or_beside(folder)?).await
    }

    /// Fails with what is missing if private servers are wanted and this machine has none. Starts nothing.
    pub fn check_programs(settings: &ServerSettings) -> Result<(), StackError> {
        if settings.postgres_url.is_none() {
            find::postgres_bin(settings.postgres_bin.as_deref())?;
        }
        if settings.amqp_url.is_none() {
            find::rabbitmq(settings.rabbitmq_bin.as_deref())?;
        }
        Ok(())
    }

    async fn launch(settings: &ServerSettings, data: DataDir) -> Result<Self, StackError> {
        data.begin_new_logs()?;
        let mut kept = data.kept();
        let mut ports = Ports::claim(kept.ports_base)?;
        kept.ports_base = Some(ports.base());
        let postgres_password = kept.postgres_password.get_or_insert_with(password).clone();
        let broker_password = kept.broker_password.get_or_insert_with(password).clone();
        data.keep(&kept)?;
        // The same order every time, so that a restart on the same block gives the same ports.
        let mut port = |wanted: Option<u16>| ports.take().map(|free| wanted.unwrap_or(free));
        let postgres_port = port(settings.postgres_port)?;
        let node_ports = NodePorts {
            amqp: port(settings.amqp_port)?,
            management: port(settings.management_port)?,
            prometheus: port(None)?,
            distribution: port(None)?,
            epmd: port(None)?,
        };
        let postgres = async {
            let Some(url) = &settings.postgres_url else {
                let bin = find::postgres_bin(settings.postgres_bin.as_deref())?;
                let cluster = Cluster::prepare(bin, &data, postgres_port, &postgres_password).await?;
                cluster.start().await?;
                return Ok::<_, StackError>(Postgres::Private(cluster.into()));
            };
            Ok(Postgres::Given(url.clone()))
        };
        let broker = async {
            let (Some(amqp), Some(management)) = (&settings.amqp_url, &settings.management_url) else {
                let programs = find::rabbitmq(settings.rabbitmq_bin.as_deref())?;
                let node = Node::prepare(programs, &data, node_ports, &broker_password)?;
                node.start().await?;
                let management = Management::parse(&node.management_url())?;
                return Ok::<_, StackError>((Broker::Private(node.into()), management));
            };
            Ok((Broker::Given(amqp.clone()), Management::parse(management)?))
        };
        let (postgres, (broker, management)) = tokio::try_join!(postgres, broker)?;
        Ok(Self { postgres, broker, management, ports: ports.into(), data })
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Whether the data folder goes when this is dropped.
    pub fn remove_data_at_the_end(&self, remove: bool) {
        self.data.set_temporary(remove);
    }

    /// The folder of a stack's log files; those of the servers are one above.
    pub(super) fn logs(&self, stack: &str) -> Result<PathBuf, StackError> {
        self.data.folder(&format!("log/{stack}services"))
    }

    /// RabbitMQ's management UI and API.
    pub fn management(&self) -> &Management {
        &self.management
    }

    /// Where the private RabbitMQ shows its metrics.
    pub fn broker_metrics_url(&self) -> Option<String> {
        match &self.broker {
            Broker::Private(node) => Some(node.prometheus_url()),
            Broker::Given(_) => None,
        }
    }

    /// A free port on 127.0.0.1 that nobody else is given.
    pub fn take_port(&self) -> Result<u16, StackError> {
        self.ports.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }

    /// The administrator's URL of PostgreSQL.
    pub fn postgres_url(&self) -> String {
        match &self.postgres {
            Postgres::Private(cluster) => cluster.url("postgres"),
            Postgres::Given(url) => url.clone(),
        }
    }

    /// The same database as a process beside a private server reaches it best: by its socket.
    pub(super) fn by_socket(&self, url: &str) -> Result<String, StackError> {
        match &self.postgres {
            Postgres::Private(cluster) => cluster.by_socket(url),
            Postgres::Given(_) => Ok(url.to_owned()),
        }
    }

    /// Makes a database with a role of the same name that owns it, if they are not there. Returns the role's URL; its password is new each time.
    ///
    /// Names are lower-case letters, digits and `_`.
    pub async fn create_database(&self, name: &str) -> Result<String, StackError> {
        admin::create_database(&self.postgres_url(), name).await
    }

    /// Removes a database and its role, connected clients or not. Not an error if there are none.
    pub async fn drop_database(&self, name: &str) -> Result<(), StackError> {
        admin::drop_database(&self.postgres_url(), name).await
    }

    /// Makes a virtual host if it is not there. Returns its AMQP URL.
    pub async fn create_vhost(&self, name: &str) -> Result<String, StackError> {
        self.management.create_vhost(name).await?;
        match &self.broker {
            Broker::Private(node) => Ok(node.amqp_url(name)),
            Broker::Given(url) => {
                let wrong = |error| StackError::Setting(format!("the AMQP URL is not one: {error}"));
                let mut url = reqwest::Url::parse(url).map_err(wrong)?;
                url.set_path(name);
                Ok(url.into())
            }
        }
    }

    /// The broker's and its epmd's process ids; empty while it is stopped, or when it was given by URL.
    pub async fn broker_pids(&self) -> Vec<u32> {
        match &self.broker {
            Broker::Private(node) => node.pids().await,
            Broker::Given(_) => Vec::new(),
        }
    }

    /// PostgreSQL's process id; `None` while it is stopped, or when it was given by URL.
    pub async fn postgres_pid(&self) -> Option<u32> {
        match &self.postgres {
            Postgres::Private(cluster) => cluster.pid().await,
            Postgres::Given(_) => None,
        }
    }

    /// Stops RabbitMQ in its orderly way, which takes some seconds.
    pub async fn stop_broker(&self) -> Result<(), StackError> {
        self.node("stop RabbitMQ")?.stop().await;
        Ok(())
    }

    /// `kill -9` for RabbitMQ.
    pub async fn kill_broker(&self) -> Result<(), StackError> {
        self.node("kill RabbitMQ")?.kill().await;
        Ok(())
    }

    /// Starts RabbitMQ again on the same data and ports, and waits until it takes connections.
    pub async fn start_broker(&self) -> Result<(), StackError> {
        self.node("start RabbitMQ")?.start().await
    }

    /// Freezes RabbitMQ: connections stay open and nothing answers.
    pub async fn pause_broker(&self) -> Result<(), StackError> {
        self.node("pause RabbitMQ")?.signal(Signal::Stop).await;
        Ok(())
    }

    /// Ends what [`Servers::pause_broker`] began.
    pub async fn resume_broker(&self) -> Result<(), StackError> {
        self.node("resume RabbitMQ")?.signal(Signal::Continue).await;
        Ok(())
    }

    /// Runs `rabbitmqctl` with these arguments, such as `stop_app`, at most a minute.
    pub async fn control_broker(&self, arguments: &[&str]) -> Result<(), StackError> {
        self.node("control RabbitMQ")?.control(arguments).await
    }

    /// Stops PostgreSQL in its orderly way: open transactions are aborted, clients are cut off.
    pub async fn stop_postgres(&self) -> Result<(), StackError> {
        self.cluster("stop PostgreSQL")?.stop(Signal::Interrupt).await;
        Ok(())
    }

    /// Makes PostgreSQL crash: every process of it exits at once, and the next start recovers from the log.
    pub async fn kill_postgres(&self) -> Result<(), StackError> {
        self.cluster("kill PostgreSQL")?.stop(Signal::Quit).await;
        Ok(())
    }

    /// As if PostgreSQL's disk were full: no file can be written beyond its first pages, the log included, which ends the server.
    pub async fn begin_disk_shortage(&self) -> Result<(), StackError> {
        self.cluster("fill PostgreSQL's disk")?.begin_shortage().await
    }

    /// There is room again, for a server that still runs.
    pub async fn end_disk_shortage(&self) -> Result<(), StackError> {
        self.cluster("free PostgreSQL's disk")?.end_shortage().await
    }

    /// Whether PostgreSQL's process is there.
    pub async fn postgres_runs(&self) -> bool {
        match self.cluster("look at PostgreSQL") {
            Ok(cluster) => cluster.runs().await,
            Err(_) => true,
        }
    }

    /// Starts PostgreSQL again on the same data and port, and waits until it answers.
    pub async fn start_postgres(&self) -> Result<(), StackError> {
        self.cluster("start PostgreSQL")?.start().await
    }

    /// Stops both in their orderly way: RabbitMQ first, as it may still be told things by nobody, then PostgreSQL.
    pub async fn stop(&self) {
        if let Broker::Private(node) = &self.broker {
            node.stop().await;
        }
        if let Postgres::Private(cluster) = &self.postgres {
            cluster.stop(Signal::Interrupt).await;
        }
    }

    fn node(&self, doing: &'static str) -> Result<&Node, StackError> {
        match &self.broker {
            Broker::Private(node) => Ok(node),
            Broker::Given(_) => Err(StackError::NotOurs(doing)),
        }
    }

    fn cluster(&self, doing: &'static str) -> Result<&Cluster, StackError> {
        match &self.postgres {
            Postgres::Private(cluster) => Ok(cluster),
            Postgres::Given(_) => Err(StackError::NotOurs(doing)),
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if let Broker::Private(node) = &mut self.broker {
            node.stop_blocking();
        }
        if let Postgres::Private(cluster) = &mut self.postgres {
            cluster.stop_blocking();
        }
    }
}
