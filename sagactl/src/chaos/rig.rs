//! What faults are injected into: the running stack, its links, the load, and what is known of the messages.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use uuid::Uuid;

use super::load::Load;
use super::proxy::{Mode, Proxy};
use super::wiretap::Wiretap;
use crate::client::{Client, Service};
use crate::stack::{Program, ServerSettings, Servers, Stack, StackError, StackOptions, Upstream};

/// Everything a fault may need.
#[derive(Debug)]
pub struct Rig {
    /// The stack.
    pub stack: Stack,
    /// Speaks to its services.
    pub client: Client,
    /// The proxies between its programs and their servers.
    pub links: BTreeMap<(Program, Upstream), Proxy>,
    /// The orders.
    pub load: Arc<Load>,
    /// The messages.
    pub wiretap: Wiretap,
    /// Messages that were made to be parked.
    junk: Mutex<Vec<Uuid>>,
    /// True when the run is to end before its time.
    stop: watch::Receiver<bool>,
}

/// A stack with a proxy on every link.
#[derive(Debug)]
pub struct Proxied {
    /// The stack.
    pub stack: Stack,
    /// The proxies.
    pub links: BTreeMap<(Program, Upstream), Proxy>,
}

impl Proxied {
    /// Starts servers in `data`, proxies, and a supervised stack with failure injection. The folder goes with the servers.
    ///
    /// # Errors
    /// When something does not start; nothing is left running then.
    pub async fn start(data: &Path, deadline: Duration, programs: Option<&Path>) -> Result<Self, StackError> {
        // Servers that were given by URL could not be stopped and started.
        let given = ServerSettings::from_env()?;
        let private = ServerSettings { postgres_url: None, amqp_url: None, management_url: None, ..given };
        let servers = Arc::new(Servers::in_folder(&private, data).await?);
        servers.remove_data_at_the_end(true);
        let options = StackOptions::lasting()
            .supervise(true)
            .programs_folder(programs.map(Path::to_path_buf))
            .env_all("FAULTS", "on")
            .env(Program::OrderSvc, "DEADLINE_MS", deadline.as_millis());
        let (options, links) = through_proxies(&servers, options).await?;
        Ok(Self { stack: Stack::up_on(servers, options).await?, links })
    }
}

type Links = BTreeMap<(Program, Upstream), Proxy>;

async fn through_proxies(servers: &Servers, options: StackOptions) -> Result<(StackOptions, Links), StackError> {
    let database = port_of(&servers.postgres_url())?;
    let broker = port_of(&servers.create_vhost("ordersaga").await?)?;
    let provider = servers.take_port()?;
    let mut options = options.port(Program::SandboxProvider, provider);
    let mut wanted = vec![((Program::PaymentSvc, Upstream::Provider), provider)];
    for service in Service::ALL.map(Program::from) {
        wanted.push(((service, Upstream::Database), database));
        wanted.push(((service, Upstream::Broker), broker));
    }
    let mut links = BTreeMap::new();
    for ((program, upstream), port) in wanted {
        let failed = |source: io::Error| StackError::Io { doing: "open a proxy's port".to_owned(), source };
        let proxy = Proxy::to(port).await.map_err(failed)?;
        options = options.through(program, upstream, proxy.port());
        links.insert((program, upstream), proxy);
    }
    Ok((options, links))
}

fn port_of(url: &str) -> Result<u16, StackError> {
    let url: Option<reqwest::Url> = url.parse().ok();
    let port = url.and_then(|url| url.port());
    port.ok_or_else(|| StackError::Setting("a private server's URL names no port".to_owned()))
}

impl Rig {
    pub(super) fn new(proxied: Proxied, load: Arc<Load>, wiretap: Wiretap, stop: watch::Receiver<bool>) -> Self {
        let Proxied { stack, links } = proxied;
        let client = stack.client();
        Self { stack, client, links, load, wiretap, junk: Mutex::default(), stop }
    }

    /// Lets a fault last; shorter if the run is to end.
    pub async fn hold(&self, time: Duration) {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    /// The proxy on this link, if there is one.
    #[must_use]
    pub fn link(&self, program: Program, upstream: Upstream) -> Option<&Proxy> {
        self.links.get(&(program, upstream))
    }

    /// Remembers a message that must end up parked.
    pub fn made_junk(&self, message: Uuid) {
        locked(&self.junk).push(message);
    }

    /// Messages that must be parked.
    pub fn junk(&self) -> Vec<Uuid> {
        locked(&self.junk).clone()
    }

    /// Ends whatever faults may have left: proxies pass, directives are cleared, processes and servers run, alarms are over.
    /// Returns what could not be put right.
    pub async fn heal(&self) -> Vec<String> {
        let mut left = Vec::new();
        for proxy in self.links.values() {
            proxy.set(Mode::Pass);
        }
        for instance in self.stack.instances() {
            // Fails for those that are just being started again, which are not frozen.
            let _ = self.stack.resume(instance);
            let _ = self.stack.end_file_shortage(instance);
        }
        let servers = self.stack.servers();
        let _ = servers.resume_broker().await;
        let mut put_right = |what: &str, result: Result<(), StackError>| {
            if let Err(error) = result {
                left.push(format!("{what}: {error}"));
            }
        };
        put_right("PostgreSQL's disk", servers.end_disk_shortage().await);
        put_right("PostgreSQL", servers.start_postgres().await);
        put_right("RabbitMQ", servers.start_broker().await);
        put_right("RabbitMQ's application", servers.control_broker(&["start_app"]).await);
        put_right("memory alarm", super::kinds::broker::end_memory_alarm(servers).await);
        put_right("disk alarm", super::kinds::broker::end_disk_alarm(servers).await);
        if let Err(error) = super::kinds::database::heal(self).await {
            left.push(error.to_string());
        }
        for instance in self.stack.instances() {
            let started = self.stack.start(instance).await;
            left.extend(started.err().map(|error| error.to_string()));
        }
        for service in Service::ALL {
            left.extend(super::kinds::points::clear(self, service).await.err().map(|error| error.to_string()));
        }
        left
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A push is whole or not there.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
