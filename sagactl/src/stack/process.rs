//! One service process of a stack: it can be killed, stopped, frozen and started again on the same port.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::child::Child;
use super::data::tail;
use super::error::Doing;
use super::shortage::Shortage;
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
    /// Whether it should be running. Held while it is being started, so that nobody stops what is just coming up unseen.
    wanted: tokio::sync::Mutex<bool>,
    /// The last child, running or not.
    child: watch::Sender<Option<Arc<Child>>>,
}

impl Process {
    pub(super) fn new(
        instance: Instance,
        binary: PathBuf,
        port: u16,
        log: PathBuf,
        env: BTreeMap<String, String>,
    ) -> Self {
        let (child, _) = watch::channel(None);
        Self { instance, port, log, binary, env: Mutex::new(env), wanted: tokio::sync::Mutex::default(), child }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process id; `None` once it has ended.
    pub(super) fn pid(&self) -> Option<u32> {
        self.running().ok().map(|child| child.pid())
    }

    /// Lets it open neither file nor socket.
    pub(super) fn begin_shortage(&self) -> Result<(), StackError> {
        Shortage::OpenFiles.begin(self.child()?.pid(), None)
    }

    /// Lets it open as many as ever.
    pub(super) fn end_shortage(&self) -> Result<(), StackError> {
        Shortage::OpenFiles.end(self.child()?.pid(), None)
    }

    /// Every child it has from now on, and the one it has.
    pub(super) fn children(&self) -> watch::Receiver<Option<Arc<Child>>> {
        self.child.subscribe()
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
        let mut wanted = self.wanted.lock().await;
        *wanted = true;
        if self.running().is_err() {
            self.spawn().await?;
        }
        Ok(())
    }

    /// Starts it, and returns the child, unless it runs or was stopped on purpose.
    pub(super) async fn launch_if_wanted(&self) -> Result<Option<Arc<Child>>, StackError> {
        let wanted = self.wanted.lock().await;
        if *wanted && self.running().is_err() { self.spawn().await.map(Some) } else { Ok(None) }
    }

    async fn spawn(&self) -> Result<Arc<Child>, StackError> {
        let log = File::options().create(true).append(true).open(&self.log).doing_with("open", &self.log)?;
        let errors = log.try_clone().doing_with("open", &self.log)?;
        let mut command = Command::new(&self.binary);
        command.env_clear().stdin(Stdio::null()).stdout(log).stderr(errors);
        command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(lock(&self.env).iter());
        let child = Arc::new(Child::spawn(command, Signal::Kill).await.doing_with("start", &self.binary)?);
        self.child.send_replace(Some(child.clone()));
        Ok(child)
    }

    /// Waits until it says that it can work. Its end before that is an error.
    pub(super) async fn ready(&self) -> Result<(), StackError> {
        let child = self.child()?;
        tokio::select! {
            ready = self.ready_again() => ready,
            status = child.ended() => {
                Err(StackError::Died { name: self.instance.to_string(), status, tail: tail(&self.log) })
            }
        }
    }

    /// As [`Process::ready`], also if it ends meanwhile: somebody starts it again.
    pub(super) async fn ready_again(&self) -> Result<(), StackError> {
        match timeout(READY_WITHIN, self.answers()).await {
            Ok(answers) => answers,
            Err(_) => {
                let seconds = READY_WITHIN.as_secs();
                Err(StackError::NotReady { name: self.instance.to_string(), seconds, tail: tail(&self.log) })
            }
        }
    }

    /// Waits, however long it takes, until it says that it can work.
    pub(super) async fn answers(&self) -> Result<(), StackError> {
        let url = format!("{}{}", self.url(), self.instance.program.ready_path());
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build();
        let http = http.map_err(|error| StackError::Setting(format!("no HTTP client: {error}")))?;
        while !http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// `kill -9`, and waits until it is gone. It stays so until it is launched.
    pub(super) async fn kill(&self) -> Result<(), StackError> {
        *self.wanted.lock().await = false;
        self.crash().await
    }

    /// As [`Process::kill`], but it is still meant to run: a supervisor sees a crash.
    pub(super) async fn crash(&self) -> Result<(), StackError> {
        self.running()?.kill().await;
        Ok(())
    }

    /// Asks it to drain and stop. Returns how it ended: signal 9 if it took longer than 30 s.
    pub(super) async fn terminate(&self) -> Result<ExitStatus, StackError> {
        *self.wanted.lock().await = false;
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
        self.child.borrow().clone().ok_or_else(|| self.not_running())
    }

    fn not_running(&self) -> StackError {
        StackError::NoSuchService(self.instance.to_string())
    }
}

/// What these locks guard is replaced in one step, so a panic elsewhere leaves it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
