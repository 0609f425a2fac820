//! One service process of a stack: it can be killed, stopped, frozen and started again on the same port.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::child::Child;
use super::data::tail;
use super::error::Doing;
use super::unix::Signal;
use super::{Instance, StackError};

const READY_WITHIN: Duration = Duration::from_secs(60);
/// Longer than the services' own drain limit.
const STOPS_WITHIN: Duration = Duration::from_secs(30);

/// Of our own environment, services see this only: a stray `DATABASE_URL` must not decide what a test does.
const INHERITED: [&str; 6] = ["PATH", "HOME", "TZ", "TMPDIR", "RUST_BACKTRACE", "LLVM_PROFILE_FILE"];

/// A service process, running or not.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) instance: Instance,
    pub(super) port: u16,
    pub(super) log: PathBuf,
    binary: PathBuf,
    env: Mutex<BTreeMap<String, String>>,
    child: Mutex<Option<Arc<Child>>>,
}

impl Process {
    pub(super) fn new(
        instance: Instance,
        binary: PathBuf,
        port: u16,
        log: PathBuf,
        env: BTreeMap<String, String>,
    ) -> Self {
        Self { instance, port, log, binary, env: Mutex::new(env), child: Mutex::default() }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process id; `None` once it has ended.
    pub(super) fn pid(&self) -> Option<u32> {
        self.running().ok().map(|child| child.pid())
    }

    /// Changes a setting; it counts from the next start on.
    pub(super) fn set(&self, variable: &str, value: Option<&str>) {
        let mut env = lock(&self.env);
        match value {
            Some(value) => env.insert(variable.into(), value.into()),
            None => env.remove(variable),
        };
    }

    /// Starts it and does not wait. Does nothing while it runs.
    pub(super) async fn launch(&self) -> Result<(), StackError> {
        if self.running().is_ok() {
            return Ok(());
        }
        let log = File::options().create(true).append(true).open(&self.log).doing_with("open", &self.log)?;
        let errors = log.try_clone().doing_with("open", &self.log)?;
        let mut command = Command::new(&self.binary);
        command.env_clear().stdin(Stdio::null()).stdout(log).stderr(errors);
        command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(lock(&self.env).iter());
        let child = Child::spawn(command, Signal::Kill).await.doing_with("start", &self.binary)?;
        *lock(&self.child) = Some(Arc::new(child));
        Ok(())
    }

    /// Waits until it says that it can work.
    pub(super) async fn ready(&self) -> Result<(), StackError> {
        let deadline = Instant::now() + READY_WITHIN;
        let url = format!("{}{}", self.url(), self.instance.program.ready_path());
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build();
        let http = http.map_err(|error| StackError::Setting(format!("no HTTP client: {error}")))?;
        loop {
            let child = self.child()?;
            if let Some(status) = child.status() {
                return Err(StackError::Died { name: self.instance.to_string(), status, tail: tail(&self.log) });
            }
            if http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let seconds = READY_WITHIN.as_secs();
                return Err(StackError::NotReady { name: self.instance.to_string(), seconds, tail: tail(&self.log) });
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// `kill -9`, and waits until it is gone.
    pub(super) async fn kill(&self) -> Result<(), StackError> {
        self.running()?.kill().await;
        Ok(())
    }

    /// Asks it to drain and stop. Returns how it ended: signal 9 if it took longer than 30 s.
    pub(super) async fn terminate(&self) -> Result<ExitStatus, StackError> {
        Ok(self.running()?.stop(Signal::Terminate, STOPS_WITHIN).await)
    }

    /// Waits until it ends by itself.
    pub(super) async fn ended(&self) -> Result<ExitStatus, StackError> {
        Ok(self.child()?.ended().await)
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<(), StackError> {
        self.running()?.signal_group(signal);
        Ok(())
    }

    /// For drops: ends it at once.
    pub(super) fn kill_blocking(&self) {
        if let Ok(child) = self.running() {
            child.kill_blocking(Duration::from_secs(5));
        }
    }

    fn running(&self) -> Result<Arc<Child>, StackError> {
        self.child().and_then(|child| if child.status().is_none() { Ok(child) } else { Err(self.not_running()) })
    }

    /// The last child, running or not.
    fn child(&self) -> Result<Arc<Child>, StackError> {
        lock(&self.child).clone().ok_or_else(|| self.not_running())
    }

    fn not_running(&self) -> StackError {
        StackError::NoSuchService(self.instance.to_string())
    }
}

/// What these locks guard is replaced in one step, so a panic elsewhere leaves it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
