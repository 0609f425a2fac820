//! Child processes that never outlive this process.
//!
//! Linux signals a child when the *thread* that spawned it ends. So one thread, which lives as long as the process, spawns them all.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use super::unix::{self, Signal};

/// A running child, leader of a process group of its own. Dropping it ends it at once.
#[derive(Debug)]
pub(super) struct Child {
    pid: u32,
    /// What ends it at once without leaving anything behind; also what it gets when we die.
    at_once: Signal,
    born: Instant,
    exit: watch::Receiver<Option<ExitStatus>>,
}

struct Request {
    command: Command,
    at_once: Signal,
    reply: oneshot::Sender<io::Result<Child>>,
}

impl Child {
    /// Starts `command`; `at_once` is the signal that ends it for good, sent by drop and by the kernel when this process dies.
    pub(super) async fn spawn(command: Command, at_once: Signal) -> io::Result<Self> {
        let (reply, answer) = oneshot::channel();
        let request = Request { command, at_once, reply };
        spawner().send(request).map_err(|_| io::Error::other("the spawning thread is gone"))?;
        answer.await.map_err(|_| io::Error::other("the spawning thread gave no answer"))?
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// How long ago it was started.
    pub(super) fn age(&self) -> Duration {
        self.born.elapsed()
    }

    /// How it ended; `None` while it runs.
    pub(super) fn status(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Signals the process alone.
    pub(super) fn signal(&self, signal: Signal) {
        if self.status().is_none() {
            unix::signal_process(self.pid, signal);
        }
    }

    /// Signals the process and all of its group.
    pub(super) fn signal_group(&self, signal: Signal) {
        if self.status().is_none() {
            unix::signal_group(self.pid, signal);
        }
    }

    /// Waits until it has ended.
    pub(super) async fn ended(&self) -> ExitStatus {
        let mut exit = self.exit.clone();
        match exit.wait_for(Option::is_some).await {
            Ok(status) => status.unwrap_or_default(),
            // The reaping thread always reports; without it, nothing more can be known.
            Err(_) => ExitStatus::from_raw(0),
        }
    }

    /// Asks with `signal`, waits at most `patience`, then ends it at once.
    pub(super) async fn stop(&self, signal: Signal, patience: Duration) -> ExitStatus {
        self.signal(signal);
        match tokio::time::timeout(patience, self.ended()).await {
            Ok(status) => status,
            Err(_) => self.kill().await,
        }
    }

    /// Ends it at once and waits for that.
    pub(super) async fn kill(&self) -> ExitStatus {
        self.signal_group(self.at_once);
        self.ended().await
    }

    /// As [`Child::kill`], for drops, where nothing can be awaited; waits at most `patience`.
    pub(super) fn kill_blocking(&self, patience: Duration) {
        self.signal_group(self.at_once);
        let deadline = Instant::now() + patience;
        while self.status().is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal_group(self.at_once);
    }
}

fn spawner() -> &'static mpsc::Sender<Request> {
    static SPAWNER: OnceLock<mpsc::Sender<Request>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        let (sender, requests) = mpsc::channel::<Request>();
        // The sender is static, so the loop ends with the process only.
        let serve = move || {
            for Request { command, at_once, reply } in requests {
                // A refused reply (the asker is gone) drops the child, which ends it.
                let _ = reply.send(start(command, at_once));
            }
        };
        // Without a thread the receiver is dropped, and every `spawn` says so.
        let _ = thread::Builder::new().name("spawner".into()).spawn(serve);
        sender
    })
}

fn start(mut command: Command, at_once: Signal) -> io::Result<Child> {
    // A group of its own: Ctrl-C in the terminal reaches us, and we stop the children in order.
    command.process_group(0);
    unix::signal_when_spawner_ends(&mut command, at_once);
    let mut process = command.spawn()?;
    let (report, exit) = watch::channel(None);
    let child = Child { pid: process.id(), at_once, born: Instant::now(), exit };
    let reap = move || {
        let status = process.wait().unwrap_or_default();
        report.send_replace(Some(status));
    };
    thread::Builder::new().name("reaper".into()).stack_size(128 * 1024).spawn(reap)?;
    Ok(child)
}
