//! `stack.json`: how other commands find a running stack.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::data::write_private;
use super::error::Doing;
use super::{Management, Program, Restart, Stack, StackError, binaries};
use crate::client::{Endpoints, Service};

/// A running stack as its data folder describes it. Holds passwords; the file is readable by its owner only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StackRecord {
    /// The process that started everything; when it ends, all ends.
    pub pid: u32,
    /// The data folder.
    pub data: PathBuf,
    /// PostgreSQL's administrator.
    pub postgres_url: String,
    /// PostgreSQL's process, if it is private.
    pub postgres_pid: Option<u32>,
    /// The virtual host's AMQP URL.
    pub amqp_url: String,
    /// The virtual host's name.
    pub vhost: String,
    /// RabbitMQ's processes, if it is private.
    pub broker_pids: Vec<u32>,
    /// RabbitMQ's metrics, if it is private.
    pub broker_metrics_url: Option<String>,
    /// RabbitMQ's management UI and API.
    pub management: Management,
    /// The sandbox provider's bearer key.
    pub provider_key: String,
    /// The services, in the order they were started.
    pub processes: Vec<ProcessRecord>,
    /// Every restart of a service that had ended by itself.
    pub restarts: Vec<Restart>,
}

/// One process of a running stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// Which program.
    pub program: Program,
    /// Which of its replicas, from 0.
    pub replica: usize,
    /// Base URL of its HTTP.
    pub url: String,
    /// Its process id; `None` if it was not running.
    pub pid: Option<u32>,
    /// Its log file.
    pub log: PathBuf,
    /// Its database, as its own role.
    pub database_url: Option<String>,
}

impl Stack {
    /// Describes this stack.
    pub async fn record(&self) -> StackRecord {
        let servers = self.servers();
        let processes = self.processes().map(|process| ProcessRecord {
            program: process.instance.program,
            replica: process.instance.replica,
            url: process.url(),
            pid: process.pid(),
            log: process.log.clone(),
            database_url: self.database_of(process.instance.program),
        });
        StackRecord {
            pid: std::process::id(),
            data: servers.data().into(),
            postgres_url: servers.postgres_url(),
            postgres_pid: servers.postgres_pid().await,
            amqp_url: self.amqp_url().into(),
            vhost: self.vhost(),
            broker_pids: servers.broker_pids().await,
            broker_metrics_url: servers.broker_metrics_url(),
            management: servers.management().clone(),
            provider_key: self.provider_key().into(),
            processes: processes.collect(),
            restarts: self.restart_log(),
        }
    }
}

impl StackRecord {
    /// The stack that runs in this data folder.
    ///
    /// # Errors
    /// [`StackError::NotRunning`] if nobody has the folder, or its stack is not complete yet.
    pub fn discover(data: &Path) -> Result<Self, StackError> {
        let not_running = || StackError::NotRunning(data.into());
        let lock = File::open(data.join("lock")).map_err(|_| not_running())?;
        // A running stack holds this lock; the kernel takes it away from a dead one.
        if lock.try_lock_shared().is_ok() {
            return Err(not_running());
        }
        let text = fs::read(data.join("stack.json")).map_err(|_| not_running())?;
        serde_json::from_slice(&text).map_err(std::io::Error::other).doing_with("read stack.json in", data)
    }

    /// Writes it where [`StackRecord::discover`] looks.
    pub fn write(&self) -> Result<(), StackError> {
        let text = serde_json::to_vec_pretty(self).map_err(std::io::Error::other).doing("write stack.json")?;
        write_private(&self.data.join("stack.json"), &text)
    }

    /// Forgets the stack that ran in this folder before.
    pub(crate) fn remove(data: &Path) {
        let _ = fs::remove_file(data.join("stack.json"));
    }

    /// Where tokens are given out.
    pub fn issuer_url(&self) -> Option<&str> {
        self.process(Program::Issuer).map(|process| process.url.as_str())
    }

    /// A program's first process.
    pub fn process(&self, program: impl Into<Program>) -> Option<&ProcessRecord> {
        let program = program.into();
        self.processes.iter().find(|it| it.program == program && it.replica == 0)
    }

    /// Where a client finds the services.
    pub fn endpoints(&self) -> Endpoints {
        let url = |service: Service| self.process(service).map(|it| it.url.clone()).unwrap_or_default();
        Endpoints {
            order: url(Service::Order),
            payment: url(Service::Payment),
            inventory: url(Service::Inventory),
            notification: url(Service::Notification),
        }
    }
}

/// Where `cargo demo` and `sagactl up` keep their data unless told otherwise.
pub fn default_data() -> PathBuf {
    binaries::workspace().join(".data").join("demo")
}
