//! A private PostgreSQL cluster.

use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::error::SqlState;

use super::StackError;
use super::account::{Account, home};
use super::child::Child;
use super::data::{DataDir, tail, write_private};
use super::error::Doing;
use super::shortage::Shortage;
use super::socket::Socket;
use super::unix::{Signal, effective_user};

const READY_WITHIN: Duration = Duration::from_secs(60);
const SUPERUSER: &str = "ordersaga";

/// What is changed from PostgreSQL's defaults. Durability is not: `fsync`, `full_page_writes` and `synchronous_commit` stay on.
const CONFIGURATION: [&str; 3] = ["listen_addresses=127.0.0.1", "max_connections=500", "log_line_prefix=%m [%p] %q%d "];

/// The same for speed, each measured (docs/performance.md); compose.yaml has them, too.
const MEASURED: [&str; 3] = ["shared_buffers=256MB", "max_wal_size=4GB", "checkpoint_timeout=15min"];

/// A cluster in a data folder, running or not.
#[derive(Debug)]
pub(super) struct Cluster {
    bin: PathBuf,
    cluster: PathBuf,
    port: u16,
    socket: Option<Socket>,
    password: String,
    log: PathBuf,
    run_as: Option<Account>,
    child: Mutex<Option<Child>>,
}

impl Cluster {
    /// Makes the cluster if the data folder has none yet. Does not start it.
    pub(super) async fn prepare(bin: PathBuf, data: &DataDir, port: u16, password: &str) -> Result<Self, StackError> {
        let run_as = if effective_user() == 0 { Some(Account::for_postgres()?) } else { None };
        let home = home(data, run_as)?;
        let log = data.folder("log")?.join("postgres.log");
        let folder = home.join("cluster");
        let cluster = Self {
            bin,
            socket: Socket::of(&folder, port),
            cluster: folder,
            port,
            password: password.into(),
            log,
            run_as,
            child: Mutex::default(),
        };
        if !cluster.cluster.join("PG_VERSION").exists() {
            cluster.init(&home).await?;
        }
        Ok(cluster)
    }

    /// The superuser's URL of a database.
    pub(super) fn url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// The same database as those reach it best who only want its answers.
    pub(super) fn by_socket(&self, url: &str) -> Result<String, StackError> {
        self.socket.as_ref().map_or_else(|| Ok(url.to_owned()), |socket| socket.url(url))
    }

    pub(super) async fn pid(&self) -> Option<u32> {
        self.child.lock().await.as_ref().map(Child::pid)
    }

    pub(super) async fn runs(&self) -> bool {
        self.child.lock().await.as_ref().is_some_and(|child| child.status().is_none())
    }

    /// Starts the server and waits until it answers. Does nothing while it runs.
    pub(super) async fn start(&self) -> Result<(), StackError> {
        let mut slot = self.child.lock().await;
        if slot.as_ref().is_some_and(|child| child.status().is_none()) {
            return Ok(());
        }
        self.clear_stale_pid_file().await;
        let mut command = self.command("postgres", &self.cluster)?;
        command.arg("-D").arg(&self.cluster).args(["-p", &self.port.to_string()]);
        command.arg("-c").arg(Socket::setting(self.socket.as_ref()));
        for setting in CONFIGURATION.into_iter().chain(MEASURED) {
            command.args(["-c", setting]);
        }
        // Not SIGKILL: that would leave the backends behind for a moment, and the next start would meet them.
        let child = Child::spawn(command, Signal::Quit).await.doing("start postgres")?;
        self.ready(&child).await?;
        *slot = Some(child);
        Ok(())
    }

    /// Lets no process of the server write beyond the first pages of any file. New ones inherit it.
    pub(super) async fn begin_shortage(&self) -> Result<(), StackError> {
        self.each_process(|pid| Shortage::FileSize.begin(pid, self.run_as)).await
    }

    /// Lets them write again.
    pub(super) async fn end_shortage(&self) -> Result<(), StackError> {
        self.each_process(|pid| Shortage::FileSize.end(pid, self.run_as)).await
    }

    async fn each_process(&self, act: impl Fn(u32) -> Result<(), StackError>) -> Result<(), StackError> {
        let child = self.child.lock().await;
        let Some(postmaster) = child.as_ref().filter(|child| child.status().is_none()).map(Child::pid) else {
            return Ok(());
        };
        act(postmaster)?;
        let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"));
        for child in children.unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse().ok()) {
            // It may have ended meanwhile.
            let _ = act(child);
        }
        Ok(())
    }

    /// Stops with `signal`: [`Signal::Interrupt`] is the orderly stop, [`Signal::Quit`] the crash.
    pub(super) async fn stop(&self, signal: Signal) {
        if let Some(child) = self.child.lock().await.take() {
            child.stop(signal, Duration::from_secs(30)).await;
        }
    }

    pub(super) fn stop_blocking(&mut self) {
        if let Some(child) = self.child.get_mut() {
            child.kill_blocking(Duration::from_secs(10));
        }
    }

    async fn init(&self, home: &Path) -> Result<(), StackError> {
        // Into another folder first: a killed initdb must not look like a cluster.
        let new = home.join("cluster.new");
        if new.exists() {
            fs::remove_dir_all(&new).doing_with("remove", &new)?;
        }
        fs::DirBuilder::new().mode(0o700).create(&new).doing_with("create", &new)?;
        let password_file = home.join("password");
        write_private(&password_file, self.password.as_bytes())?;
        if let Some(account) = self.run_as {
            account.give(&new)?;
            account.give(&password_file)?;
        }
        let mut command = self.command("initdb", home)?;
        command.arg("-D").arg(&new).args(["-U", SUPERUSER, "-E", "UTF8", "--no-locale", "--no-sync"]);
        command.args(["--auth-local=scram-sha-256", "--auth-host=scram-sha-256"]).arg("--pwfile").arg(&password_file);
        let child = Child::spawn(command, Signal::Kill).await.doing("start initdb")?;
        let status = child.ended().await;
        let _ = fs::remove_file(&password_file);
        if !status.success() {
            return Err(StackError::Died { name: "initdb".into(), status, tail: tail(&self.log) });
        }
        fs::rename(&new, &self.cluster).doing_with("create", &self.cluster)
    }

    fn command(&self, program: &str, folder: &Path) -> Result<Command, StackError> {
        let log = File::options().create(true).append(true).open(&self.log).doing_with("open", &self.log)?;
        let errors = log.try_clone().doing_with("open", &self.log)?;
        let mut command = Command::new(self.bin.join(program));
        // The user it runs as may not be able to enter our own working directory.
        command.current_dir(folder).env("LC_ALL", "C").stdin(Stdio::null()).stdout(log).stderr(errors);
        for variable in ["PGDATA", "PGPORT", "PGOPTIONS", "PGHOST", "PGUSER", "PGDATABASE", "PGPASSWORD"] {
            command.env_remove(variable);
        }
        if let Some(account) = self.run_as {
            command.uid(account.uid).gid(account.gid);
        }
        Ok(command)
    }

    /// The folder is locked by us, so a process that the pid file names is either the last one, still stopping, or somebody else by now.
    async fn clear_stale_pid_file(&self) {
        let file = self.cluster.join("postmaster.pid");
        let deadline = Instant::now() + Duration::from_secs(10);
        while let Ok(text) = fs::read_to_string(&file) {
            let pid = text.lines().next().unwrap_or_default();
            let command_line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let still_stopping = String::from_utf8_lossy(&command_line).contains(&*self.cluster.to_string_lossy());
            if !still_stopping || Instant::now() > deadline {
                let _ = fs::remove_file(&file);
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
        if let Some(socket) = &self.socket {
            socket.clear_stale();
        }
    }

    async fn ready(&self, child: &Child) -> Result<(), StackError> {
        let deadline = Instant::now() + READY_WITHIN;
        let url = self.url("postgres");
        loop {
            if let Some(status) = child.status() {
                return Err(StackError::Died { name: "postgres".into(), status, tail: tail(&self.log) });
            }
            let attempt = timeout(Duration::from_secs(2), tokio_postgres::connect(&url, tokio_postgres::NoTls));
            match attempt.await {
                Ok(Ok(_)) => return Ok(()),
                // A cluster of other hands: waiting will not make it ours.
                Ok(Err(source)) if source.code() == Some(&SqlState::INVALID_PASSWORD) => {
                    return Err(StackError::Postgres { doing: "enter its own cluster".into(), source });
                }
                _ => {}
            }
            if Instant::now() > deadline {
                return Err(StackError::NotReady {
                    name: "postgres".into(),
                    seconds: READY_WITHIN.as_secs(),
                    tail: tail(&self.log),
                });
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::MEASURED;

    #[test]
    fn compose_gives_postgresql_the_settings_that_were_measured() {
        let compose = include_str!("../../../compose.yaml");
        for setting in MEASURED {
            assert!(compose.contains(&format!("-c, {setting}")), "{setting}");
        }
    }
}
