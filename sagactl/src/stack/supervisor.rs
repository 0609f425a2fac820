//! Starts a process again that ends without having been asked to, and remembers that it did.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::child::Child;
use super::process::Process;
use super::{Instance, Program};

/// A process that ended by itself and was started again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// Which program.
    pub program: Program,
    /// Which of its replicas, from 0.
    pub replica: usize,
    /// When it was seen to have ended.
    pub ended_at: DateTime<Utc>,
    /// How it ended, such as `signal: 9 (SIGKILL)` or `exit status: 1`.
    pub status: String,
    /// Milliseconds from its end until it was ready again. `None` while it is not, and for ever if it ended again before.
    pub ready_after_ms: Option<u64>,
}

impl Restart {
    /// Whose restart it is.
    #[must_use]
    pub fn instance(&self) -> Instance {
        Instance { program: self.program, replica: self.replica }
    }
}

/// All restarts of a stack, in the order in which they happened.
#[derive(Debug, Default)]
pub(super) struct Restarts(watch::Sender<Vec<Restart>>);

impl Restarts {
    /// All of them so far, and every change from now on.
    pub(super) fn follow(&self) -> watch::Receiver<Vec<Restart>> {
        self.0.subscribe()
    }

    /// Returns its place, for [`Restarts::ready`].
    fn begun(&self, restart: Restart) -> usize {
        self.0.send_modify(|all| all.push(restart));
        self.0.borrow().len().saturating_sub(1)
    }

    fn ready(&self, place: usize, after: Duration) {
        let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        self.0.send_modify(|all| {
            if let Some(restart) = all.get_mut(place) {
                restart.ready_after_ms = Some(after_ms);
            }
        });
    }
}

/// Keeps a process running, as long as it is meant to run. Drop it to let the process alone.
pub(super) async fn supervise(process: Arc<Process>, restarts: Arc<Restarts>) {
    let mut children = process.children();
    let mut pace = Pace::default();
    let Some(mut child) = next(&mut children, None).await else { return };
    loop {
        let status = child.ended().await;
        let (ended, ended_at) = (Instant::now(), Utc::now());
        let Some(again) = start_again(&process, &mut pace, child.age()).await else {
            // Stopped on purpose: that says nothing about how long it can live.
            pace = Pace::default();
            let Some(other) = next(&mut children, Some(&child)).await else { return };
            child = other;
            continue;
        };
        let Instance { program, replica } = process.instance;
        let status = status.to_string();
        let place = restarts.begun(Restart { program, replica, ended_at, status, ready_after_ms: None });
        tokio::select! {
            answers = process.answers() => if answers.is_ok() { restarts.ready(place, ended.elapsed()) },
            _ = again.ended() => {}
        }
        child = again;
    }
}

/// The child that follows `last`, which may be there already. `None` when there will be none.
async fn next(children: &mut watch::Receiver<Option<Arc<Child>>>, last: Option<&Arc<Child>>) -> Option<Arc<Child>> {
    let is_last = |now: &Arc<Child>| last.is_some_and(|last| Arc::ptr_eq(now, last));
    let next = children.wait_for(|now| now.as_ref().is_some_and(|now| !is_last(now))).await;
    next.ok().and_then(|now| now.clone())
}

/// `None` if the process is not meant to run, or somebody else has started it.
async fn start_again(process: &Process, pace: &mut Pace, mut lived: Duration) -> Option<Arc<Child>> {
    loop {
        sleep(pace.pause(lived)).await;
        match process.launch_if_wanted().await {
            Ok(started) => return started,
            // A program that is just being built anew is there again in a moment.
            Err(error) => tracing::warn!(process = %process.instance, error = %error, "cannot be started again yet"),
        }
        lived = Duration::ZERO;
    }
}

/// How long to wait before a process is started again: not at all the first time, then longer and longer.
#[derive(Debug, Default)]
struct Pace {
    next: Duration,
}

impl Pace {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(2);
    /// Whoever has lived so long ended for another reason than those before.
    const FORGIVEN_AFTER: Duration = Duration::from_secs(10);

    fn pause(&mut self, lived: Duration) -> Duration {
        if lived >= Self::FORGIVEN_AFTER {
            self.next = Duration::ZERO;
        }
        let pause = self.next;
        self.next = (pause * 2).clamp(Self::FIRST, Self::LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ends_again_and_again_is_started_less_and_less_often() {
        let mut pace = Pace::default();
        let pauses: Vec<u128> = (0..8).map(|_| pace.pause(Duration::from_secs(1)).as_millis()).collect();
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(pace.pause(Duration::from_secs(10)).as_millis(), 0, "ten seconds of life are a new beginning");
        assert_eq!(pace.pause(Duration::ZERO).as_millis(), 100);
    }
}
