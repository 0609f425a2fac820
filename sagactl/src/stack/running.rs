//! A stack: the services as processes, on given servers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;

use futures::future::{join_all, try_join_all};
use reqwest::header::{self, HeaderMap, HeaderValue};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::process::Process;
use super::supervisor::{Restart, Restarts, supervise};
use super::unix::Signal;
use super::{Instance, Program, Servers, StackError, StackOptions, admin};
use crate::audit::{AuditConfig, DatabaseUrls, ProviderAccount};
use crate::client::{Client, Endpoints, Service, TokenRequest};

/// The services, running as processes of their own. Dropping a stack ends them; so does the death of this process.
#[derive(Debug)]
pub struct Stack {
    pub(super) servers: Arc<Servers>,
    pub(super) options: StackOptions,
    pub(super) databases: BTreeMap<Program, String>,
    pub(super) amqp_url: String,
    pub(super) provider_key: String,
    /// An operator's, once the issuer runs.
    pub(super) token: String,
    pub(super) processes: BTreeMap<Instance, Arc<Process>>,
    pub(super) restarts: Arc<Restarts>,
    /// One for each process, if the stack is supervised.
    pub(super) supervisors: JoinSet<()>,
}

impl Stack {
    /// A stack of its own on the process's shared servers: what a test wants.
    pub async fn up(options: StackOptions) -> Result<Self, StackError> {
        Self::up_on(Servers::shared().await?, options).await
    }

    /// Makes databases and virtual host, starts the programs and waits until all are ready.
    ///
    /// A program that ends or is not ready after 60 s is an error with the end of its log; what was started is stopped then.
    pub async fn up_on(servers: Arc<Servers>, options: StackOptions) -> Result<Self, StackError> {
        let mut stack = Self::lay_out(servers, options).await?;
        try_join_all(stack.processes.values().map(|process| async {
            process.launch().await?;
            process.ready().await
        }))
        .await?;
        if let Ok(issuer) = stack.url(Program::Issuer) {
            stack.token = TokenRequest::operator().ask(&issuer).await?.access_token;
        }
        // Not before: a program that cannot even start is an error, not a crash.
        if stack.options.supervise {
            for process in stack.processes.values() {
                stack.supervisors.spawn(supervise(process.clone(), stack.restarts.clone()));
            }
        }
        Ok(stack)
    }

    /// The servers this stack runs on.
    pub fn servers(&self) -> &Arc<Servers> {
        &self.servers
    }

    /// A process's base URL, such as `http://127.0.0.1:20007`.
    ///
    /// # Errors
    /// If the stack has no such process.
    pub fn url(&self, instance: impl Into<Instance>) -> Result<String, StackError> {
        Ok(self.process(instance)?.url())
    }

    /// Where a client finds the services; empty for those that this stack does not have.
    pub fn endpoints(&self) -> Endpoints {
        let url = |service: Service| self.url(service).unwrap_or_default();
        Endpoints {
            order: url(Service::Order),
            payment: url(Service::Payment),
            inventory: url(Service::Inventory),
            notification: url(Service::Notification),
        }
    }

    /// A client of this stack's services, as an operator.
    pub fn client(&self) -> Client {
        Client::new(self.endpoints()).with_token(Some(self.token.clone()))
    }

    /// An operator's bearer token, which is good for a day.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Any HTTP client, as an operator.
    pub fn http(&self) -> reqwest::Client {
        let bearer = HeaderValue::from_str(&format!("Bearer {}", self.token));
        let headers = bearer.map(|bearer| HeaderMap::from_iter([(header::AUTHORIZATION, bearer)])).unwrap_or_default();
        reqwest::Client::builder().no_proxy().default_headers(headers).build().unwrap_or_default()
    }

    /// A customer's bearer token, which is good for a day.
    ///
    /// # Errors
    /// When the issuer does not run.
    pub async fn token_of(&self, customer_id: &str) -> Result<String, StackError> {
        Ok(TokenRequest::customer(customer_id).ask(&self.url(Program::Issuer)?).await?.access_token)
    }

    /// A service's database, as its own role.
    pub fn database_url(&self, service: Service) -> &str {
        // Every service has one.
        self.databases.get(&service.into()).map_or("", String::as_str)
    }

    /// The virtual host's AMQP URL.
    pub fn amqp_url(&self) -> &str {
        &self.amqp_url
    }

    /// The virtual host's name.
    pub fn vhost(&self) -> String {
        self.options.vhost()
    }

    /// What an auditor needs to check this stack: its databases, and the provider if the stack runs it.
    pub fn audit_config(&self) -> AuditConfig {
        let url = |service| self.database_url(service).to_owned();
        let databases = DatabaseUrls {
            orders: url(Service::Order),
            inventory: url(Service::Inventory),
            payment: url(Service::Payment),
            notification: url(Service::Notification),
        };
        let provider = self.url(Program::SandboxProvider).ok();
        let provider = provider.map(|url| ProviderAccount { url, key: self.provider_key.clone() });
        AuditConfig::new(databases, provider)
    }

    /// The sandbox provider's bearer key.
    pub fn provider_key(&self) -> &str {
        &self.provider_key
    }

    /// The processes this stack has, running or not.
    pub fn instances(&self) -> Vec<Instance> {
        self.processes.keys().copied().collect()
    }

    /// A process's id; `None` while it does not run.
    pub fn pid(&self, instance: impl Into<Instance>) -> Option<u32> {
        self.process(instance).ok()?.pid()
    }

    /// A process's log file.
    ///
    /// # Errors
    /// If the stack has no such process.
    pub fn log(&self, instance: impl Into<Instance>) -> Result<PathBuf, StackError> {
        Ok(self.process(instance)?.log.clone())
    }

    /// `kill -9`; returns when the process is gone. It stays so, also in a supervised stack, until it is started.
    pub async fn kill9(&self, instance: impl Into<Instance>) -> Result<(), StackError> {
        self.process(instance)?.kill().await
    }

    /// `kill -9` as if by somebody else: a supervised stack starts the process again. Returns when the process is gone.
    ///
    /// # Errors
    /// If it does not run, as in the moment before it is started again.
    pub async fn kill_supervised(&self, instance: impl Into<Instance>) -> Result<(), StackError> {
        self.process(instance)?.crash().await
    }

    /// How often a process was started again because it had ended by itself.
    pub fn restarts(&self, instance: impl Into<Instance>) -> u64 {
        let instance = instance.into();
        self.follow_restarts().borrow().iter().fold(0, |count, it| count + u64::from(it.instance() == instance))
    }

    /// Every restart of a process that had ended by itself, in the order in which they happened.
    pub fn restart_log(&self) -> Vec<Restart> {
        self.follow_restarts().borrow().clone()
    }

    /// As [`Stack::restart_log`], and tells when it changes.
    pub fn follow_restarts(&self) -> watch::Receiver<Vec<Restart>> {
        self.restarts.follow()
    }

    /// Asks a process to drain and stop (SIGTERM); returns how it ended. After 30 s it is killed, which the status shows. It stays
    /// stopped, also in a supervised stack, until it is started.
    pub async fn terminate(&self, instance: impl Into<Instance>) -> Result<ExitStatus, StackError> {
        self.process(instance)?.terminate().await
    }

    /// Waits until a process ends by itself, as at a fault point; at once if it already has.
    pub async fn ended(&self, instance: impl Into<Instance>) -> Result<ExitStatus, StackError> {
        self.process(instance)?.ended().await
    }

    /// Starts a process again on its port and waits until it is ready. Does nothing while it runs.
    pub async fn start(&self, instance: impl Into<Instance>) -> Result<(), StackError> {
        let instance = instance.into();
        self.launch(instance).await?;
        self.ready(instance).await
    }

    /// As [`Stack::start`], but does not wait: for starts that are meant to fail or to find a server missing.
    pub async fn launch(&self, instance: impl Into<Instance>) -> Result<(), StackError> {
        self.process(instance)?.launch().await
    }

    /// Waits until a process says that it is ready. Its end before that is an error, unless a supervisor starts it again.
    pub async fn ready(&self, instance: impl Into<Instance>) -> Result<(), StackError> {
        let process = self.process(instance)?;
        if self.options.supervise { process.ready_again().await } else { process.ready().await }
    }

    /// Freezes a process (SIGSTOP): its connections stay open and nothing answers.
    pub fn pause(&self, instance: impl Into<Instance>) -> Result<(), StackError> {
        self.process(instance)?.signal(Signal::Stop)
    }

    /// Ends what [`Stack::pause`] began.
    pub fn resume(&self, instance: impl Into<Instance>) -> Result<(), StackError> {
        self.process(instance)?.signal(Signal::Continue)
    }

    /// Lets a process open neither file nor socket; it keeps what it has.
    pub fn begin_file_shortage(&self, instance: impl Into<Instance>) -> Result<(), StackError> {
        self.process(instance)?.begin_shortage()
    }

    /// Ends what [`Stack::begin_file_shortage`] began.
    pub fn end_file_shortage(&self, instance: impl Into<Instance>) -> Result<(), StackError> {
        self.process(instance)?.end_shortage()
    }

    /// Sets, or with `None` removes, an environment variable of a process; it counts from its next start on.
    pub fn set_env(
        &self,
        instance: impl Into<Instance>,
        variable: &str,
        value: Option<&str>,
    ) -> Result<(), StackError> {
        self.process(instance)?.set(variable, value);
        Ok(())
    }

    /// Asks all processes to drain and stop, and waits for that. Returns those that did not end with status 0.
    pub async fn stop(&self) -> Vec<(Instance, ExitStatus)> {
        let called = [Program::Issuer, Program::SandboxProvider];
        let (called, services): (Vec<_>, Vec<_>) =
            self.processes().partition(|process| called.contains(&process.instance.program));
        // Those that others call last: a draining service still does.
        let mut ended = stop_all(services).await;
        ended.extend(stop_all(called).await);
        ended.into_iter().filter(|(_, status)| !status.success()).collect()
    }

    pub(super) fn database_of(&self, program: Program) -> Option<String> {
        self.databases.get(&program).cloned()
    }

    pub(super) fn processes(&self) -> impl Iterator<Item = &Process> {
        self.processes.values().map(Arc::as_ref)
    }

    fn process(&self, instance: impl Into<Instance>) -> Result<&Process, StackError> {
        let instance = instance.into();
        self.processes.get(&instance).map(Arc::as_ref).ok_or_else(|| StackError::NoSuchService(instance.to_string()))
    }
}

async fn stop_all(processes: Vec<&Process>) -> Vec<(Instance, ExitStatus)> {
    let stopping = processes.into_iter().map(async |it| Some((it.instance, it.terminate().await.ok()?)));
    join_all(stopping).await.into_iter().flatten().collect()
}

impl Drop for Stack {
    fn drop(&mut self) {
        // First, or they would start again what ends here. What one of them is just starting ends with its `Arc`.
        self.supervisors.abort_all();
        for process in self.processes.values() {
            process.kill_blocking();
        }
        if self.options.is_unique() {
            admin::remove_in_background(self.servers.clone(), &self.options.prefix, self.options.vhost());
        }
    }
}
