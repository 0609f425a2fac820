//! A private RabbitMQ node.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::StackError;
use super::child::Child;
use super::data::{DataDir, tail, write_private};
use super::error::Doing;
use super::find::RabbitPrograms;
use super::unix::Signal;

const READY_WITHIN: Duration = Duration::from_secs(120);
const USER: &str = "ordersaga";
/// The folder of the node's own data.
const DATABASE: &str = "mnesia";
/// The same on every port and every machine: the name is part of the stored data, and the node's own epmd keeps it from clashing.
const NODE: &str = "ordersaga@localhost";
/// A quorum queue that is some seconds old when its node is killed may be empty and without a leader when the node is back; it then
/// waits for one for ever, and whoever publishes to it waits, too (seen with RabbitMQ 3.10; rabbitmq-server issue 10070). A queue
/// that has a leader stays as it is, and one that cannot be asked does not stop the others.
const ELECT_LEADERS: &str = "[(catch ra:trigger_election(amqqueue:get_pid(Q))) || Q <- rabbit_amqqueue:list(), amqqueue:get_type(Q) =:= rabbit_quorum_queue].";

/// The node's ports, all on 127.0.0.1.
#[derive(Debug, Clone, Copy)]
pub(super) struct NodePorts {
    pub(super) amqp: u16,
    pub(super) management: u16,
    pub(super) prometheus: u16,
    pub(super) distribution: u16,
    pub(super) epmd: u16,
}

/// A node in a data folder, running or not.
#[derive(Debug)]
pub(super) struct Node {
    programs: RabbitPrograms,
    folder: PathBuf,
    log: PathBuf,
    ports: NodePorts,
    password: String,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    /// The Erlang VM itself, see [`Node::command`].
    broker: Child,
    /// Dropped, and so ended, after the broker.
    epmd: Child,
}

impl Node {
    /// Writes the node's configuration. Does not start it.
    pub(super) fn prepare(
        programs: RabbitPrograms,
        data: &DataDir,
        ports: NodePorts,
        password: &str,
    ) -> Result<Self, StackError> {
        let folder = data.folder("rabbitmq")?;
        data.folder("rabbitmq/home")?;
        let log = data.folder("log")?.join("rabbitmq.log");
        let node = Self { programs, folder, log, ports, password: password.into(), running: Mutex::default() };
        node.configure()?;
        Ok(node)
    }

    pub(super) fn amqp_url(&self, vhost: &str) -> String {
        format!("amqp://{USER}:{}@127.0.0.1:{}/{vhost}", self.password, self.ports.amqp)
    }

    pub(super) fn management_url(&self) -> String {
        format!("http://{USER}:{}@127.0.0.1:{}", self.password, self.ports.management)
    }

    pub(super) fn prometheus_url(&self) -> String {
        format!("http://127.0.0.1:{}/metrics", self.ports.prometheus)
    }

    pub(super) async fn pids(&self) -> Vec<u32> {
        let running = self.running.lock().await;
        running.iter().flat_map(|it| [it.broker.pid(), it.epmd.pid()]).collect()
    }

    /// Starts the node and waits until it takes AMQP connections, and messages for the queues it had. Does nothing while it runs.
    pub(super) async fn start(&self) -> Result<(), StackError> {
        let mut slot = self.running.lock().await;
        if slot.as_ref().is_some_and(|it| it.broker.status().is_none()) {
            return Ok(());
        }
        let had_queues = self.folder.join(DATABASE).exists();
        // The last one's epmd, if any, goes first: it would hold the port.
        if let Some(last) = slot.take() {
            last.epmd.kill().await;
        }
        let epmd = Child::spawn(self.epmd_command()?, Signal::Kill).await.doing("start epmd")?;
        // RabbitMQ would start an epmd of its own, as a daemon that outlives everything, if it did not find ours.
        self.listens(&epmd, "epmd", self.ports.epmd).await?;
        let broker = Child::spawn(self.command()?, Signal::Kill).await.doing("start rabbitmq-server")?;
        self.listens(&broker, "rabbitmq", self.ports.amqp).await?;
        if had_queues {
            self.control(&["eval", ELECT_LEADERS]).await?;
        }
        *slot = Some(Running { broker, epmd });
        Ok(())
    }

    /// The orderly stop; takes some seconds.
    pub(super) async fn stop(&self) {
        if let Some(running) = self.running.lock().await.take() {
            running.broker.stop(Signal::Terminate, Duration::from_secs(60)).await;
            running.epmd.kill().await;
        }
    }

    /// As a power cut would.
    pub(super) async fn kill(&self) {
        if let Some(running) = self.running.lock().await.take() {
            running.broker.kill().await;
            running.epmd.kill().await;
        }
    }

    /// Runs `rabbitmqctl` against the node, at most a minute. Its words are an error's tail if it fails.
    pub(super) async fn control(&self, arguments: &[&str]) -> Result<(), StackError> {
        let mut command = self.bare_command(&self.programs.control)?;
        command.env("ERL_EPMD_PORT", self.ports.epmd.to_string()).env("RABBITMQ_NODENAME", NODE).args(arguments);
        let child = Child::spawn(command, Signal::Kill).await.doing("start rabbitmqctl")?;
        match tokio::time::timeout(Duration::from_secs(60), child.ended()).await {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(StackError::Died { name: "rabbitmqctl".into(), status, tail: tail(&self.log) }),
            Err(_) => Err(StackError::NotReady { name: "rabbitmqctl".into(), seconds: 60, tail: tail(&self.log) }),
        }
    }

    /// Freezes or thaws the broker.
    pub(super) async fn signal(&self, signal: Signal) {
        if let Some(running) = self.running.lock().await.as_ref() {
            running.broker.signal(signal);
        }
    }

    pub(super) fn stop_blocking(&mut self) {
        if let Some(running) = self.running.get_mut() {
            running.broker.kill_blocking(Duration::from_secs(10));
            running.epmd.kill_blocking(Duration::from_secs(1));
        }
    }

    fn configure(&self) -> Result<(), StackError> {
        let NodePorts { amqp, management, prometheus, .. } = self.ports;
        let definitions = self.folder.join("definitions.json");
        // Applied at every boot. With it, the node makes neither the user guest nor a default virtual host.
        let user = serde_json::json!({"users": [{"name": USER, "password": self.password, "tags": "administrator"}]});
        write_private(&definitions, user.to_string().as_bytes())?;
        let configuration = format!(
            "listeners.tcp.1 = 127.0.0.1:{amqp}\n\
             management.tcp.ip = 127.0.0.1\n\
             management.tcp.port = {management}\n\
             prometheus.tcp.ip = 127.0.0.1\n\
             prometheus.tcp.port = {prometheus}\n\
             load_definitions = {}\n\
             disk_free_limit.absolute = 50MB\n\
             vm_memory_high_watermark.absolute = 1GiB\n\
             # The management UI follows within a second.\n\
             collect_statistics_interval = 1000\n",
            definitions.display()
        );
        self.write("rabbitmq.conf", &configuration)?;
        self.write("advanced.config", "[{rabbit, [{quorum_tick_interval, 1000}]}].\n")?;
        self.write("enabled_plugins", "[rabbitmq_management,rabbitmq_prometheus].\n")
    }

    fn write(&self, name: &str, text: &str) -> Result<(), StackError> {
        let file = self.folder.join(name);
        fs::write(&file, text).doing_with("write", &file)
    }

    fn command(&self) -> Result<Command, StackError> {
        let at = |name: &str| self.folder.join(name);
        let mut command = self.bare_command(&self.programs.server)?;
        command
            // Makes the start script exec the Erlang VM instead of waiting for it. So the VM is our child, and gets the signal when we die.
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .env("ERL_EPMD_PORT", self.ports.epmd.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_CRASH_DUMP", at("erl_crash.dump"))
            .env("RABBITMQ_NODENAME", NODE)
            .env("RABBITMQ_DIST_PORT", self.ports.distribution.to_string())
            // The machine's own files would be merged in if these did not point elsewhere. They need not exist.
            .env("RABBITMQ_CONFIG_FILES", at("conf.d"))
            .env("RABBITMQ_CONFIG_FILE", at("rabbitmq.conf"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", at("advanced.config"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", at("enabled_plugins"))
            .env("RABBITMQ_MNESIA_BASE", at(DATABASE))
            .env("RABBITMQ_LOG_BASE", at("log"))
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}");
        Ok(command)
    }

    fn epmd_command(&self) -> Result<Command, StackError> {
        let mut command = self.bare_command(&self.programs.epmd)?;
        command.args(["-port", &self.ports.epmd.to_string(), "-address", "127.0.0.1"]);
        Ok(command)
    }

    /// From an empty environment, and without the machine's own settings: several of the caller's variables would change what the
    /// scripts do.
    fn bare_command(&self, program: &Path) -> Result<Command, StackError> {
        let log = File::options().create(true).append(true).open(&self.log).doing_with("open", &self.log)?;
        let errors = log.try_clone().doing_with("open", &self.log)?;
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
        command.env("RABBITMQ_CONF_ENV_FILE", self.folder.join("none-env.conf"));
        // The node keeps its cookie there, and dies in prelaunch without one.
        command.env("HOME", self.folder.join("home")).env("LANG", "C.UTF-8");
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(log).stderr(errors);
        Ok(command)
    }

    /// Waits for a port: the start script's exit code says nothing, it is 0 on every failure.
    async fn listens(&self, child: &Child, name: &str, port: u16) -> Result<(), StackError> {
        let deadline = Instant::now() + READY_WITHIN;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            if let Some(status) = child.status() {
                return Err(StackError::Died { name: name.into(), status, tail: tail(&self.log) });
            }
            if Instant::now() > deadline {
                return Err(StackError::NotReady {
                    name: name.into(),
                    seconds: READY_WITHIN.as_secs(),
                    tail: tail(&self.log),
                });
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}
