//! Where requests meet the books: keys are admitted, commands carried out, and nothing is answered before it is durable.
//!
//! Reads wait, too: what is seen in the books may not be in the ledger yet, and a charge that was seen must survive a crash.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::{
    answer::Answer,
    books::{Books, Decision, Delivery},
    idempotency::{Admission, Keyed, Keys},
    journal::{Durable, Journal, JournalLost},
    ledger::{self, Entry, KeyedAnswer, LedgerError},
    refusal::Refusal,
    request::Command,
};

/// How long a withheld answer is withheld from a client that never gives up.
const WITHHELD: Duration = Duration::from_secs(60);

/// The provider without its HTTP.
#[derive(Debug)]
pub(super) struct Desk {
    state: Mutex<State>,
    durable: Durable,
    slow: Duration,
    /// Requests under way, which go on when their client has left.
    requests: TaskTracker,
    /// Ends the withholding of answers, so that a stop need not wait for it.
    stopping: CancellationToken,
}

#[derive(Debug)]
struct State {
    books: Books,
    keys: Keys,
    journal: Journal,
}

/// An answer on its way out.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) answer: Answer,
    /// It was given before.
    pub(super) replayed: bool,
    delivery: Delivery,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self { answer, replayed: false, delivery: Delivery::Normal }
    }
}

impl Desk {
    /// Opens the ledger and replays it.
    pub(super) fn open(path: &Path, slow: Duration, stopping: CancellationToken) -> Result<Self, LedgerError> {
        let (mut books, mut keys) = (Books::default(), Keys::default());
        let file = ledger::open(path, |entry| {
            if let Some(change) = &entry.change {
                books.apply(change, entry.at_ms)?;
            }
            if let Some((keyed, answer)) = entry.answer.map(KeyedAnswer::split) {
                keys.settle(keyed, answer);
            }
            Ok(())
        })?;
        tracing::info!(ledger = %path.display(), intents = books.len(), keys = keys.len(), "the ledger is open");
        let started = Journal::start(file).map_err(|source| LedgerError::Io { path: path.to_owned(), source });
        let (journal, durable) = started?;
        let state = Mutex::new(State { books, keys, journal });
        Ok(Self { state, durable, slow, requests: TaskTracker::new(), stopping })
    }

    /// Carries out a command to its end, also when the caller stops waiting for it.
    pub(super) async fn carry_out(self: &Arc<Self>, command: Command, keyed: Option<Keyed>) -> Reply {
        let desk = Arc::clone(self);
        let done = self.requests.spawn(async move { desk.execute(&command, keyed).await }).await;
        match done {
            Ok(Ok(Reply { delivery: Delivery::Withheld, .. })) => {
                // Whoever leaves, drops this future here.
                self.stopping.run_until_cancelled(tokio::time::sleep(WITHHELD)).await;
                Answer::api_error(504, "The answer was withheld.").into()
            }
            Ok(Ok(reply)) => reply,
            Ok(Err(lost)) => Answer::api_error(500, &lost.to_string()).into(),
            Err(broken) => {
                tracing::error!(error = %broken, "a request broke down");
                Answer::api_error(500, "The request broke down.").into()
            }
        }
    }

    /// Answers from the books as they are, once they are durable.
    pub(super) async fn read(&self, look: impl FnOnce(&Books) -> Result<Answer, Refusal>) -> Answer {
        let (answer, seen) = {
            let state = self.state();
            (look(&state.books), state.journal.appended())
        };
        match self.durable.reached(seen).await {
            Ok(()) => answer.unwrap_or_else(Answer::from),
            Err(lost) => Answer::api_error(500, &lost.to_string()),
        }
    }

    /// Returns when nothing can become durable any more.
    pub(super) async fn lost(&self) -> JournalLost {
        self.durable.lost().await
    }

    /// Returns when the requests under way have ended, also those whose clients have left.
    pub(super) async fn finished(&self) {
        self.requests.close();
        self.requests.wait().await;
    }

    async fn execute(&self, command: &Command, keyed: Option<Keyed>) -> Result<Reply, JournalLost> {
        if let Some(keyed) = &keyed {
            let (admission, seen) = {
                let mut state = self.state();
                (state.keys.admit(keyed), state.journal.appended())
            };
            match admission {
                Ok(Admission::Run) => {}
                Ok(Admission::Replay(answer)) => {
                    self.durable.reached(seen).await?;
                    return Ok(Reply { answer, replayed: true, delivery: Delivery::Normal });
                }
                Err(refusal) => return Ok(Answer::from(refusal).into()),
            }
        }
        if self.state().books.is_slow(command) {
            tokio::time::sleep(self.slow).await;
        }
        let (reply, written) = self.state().settle(command, keyed);
        self.durable.reached(written).await?;
        Ok(reply)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the books")
    }
}

impl State {
    /// Decides, remembers and queues the ledger's line in one go, so that the ledger has the order of the decisions.
    fn settle(&mut self, command: &Command, keyed: Option<Keyed>) -> (Reply, u64) {
        let at_ms = chrono::Utc::now().timestamp_millis();
        let Decision { change, answer, delivery } = self.books.execute(command, at_ms, Uuid::now_v7());
        if let Some(keyed) = &keyed {
            self.keys.settle(keyed.clone(), answer.clone());
        }
        if change.is_some() || keyed.is_some() {
            let keyed = keyed.map(|keyed| KeyedAnswer::new(keyed, answer.clone()));
            self.journal.append(&Entry { at_ms, change, answer: keyed });
        }
        (Reply { answer, replayed: false, delivery }, self.journal.appended())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs::File};

    use super::*;
    use crate::sandbox::{ledger::tests::TempLedger, request::Params};

    /// A desk whose ledger takes no line.
    fn desk_without_ledger(path: &TempLedger) -> Arc<Desk> {
        std::fs::write(&path.0, "").expect("write");
        let read_only = File::open(&path.0).expect("open");
        let (journal, durable) = Journal::start(read_only).expect("a thread");
        let (books, keys) = (Books::default(), Keys::default());
        let state = Mutex::new(State { books, keys, journal });
        let (requests, stopping) = (TaskTracker::new(), CancellationToken::new());
        Arc::new(Desk { state, durable, slow: Duration::ZERO, requests, stopping })
    }

    #[tokio::test]
    async fn nothing_is_answered_that_is_not_in_the_ledger() {
        let path = TempLedger::new();
        let desk = desk_without_ledger(&path);
        let create = Command::Create {
            amount: 1_000,
            currency: "eur".into(),
            payment_method: "pm_card_visa".into(),
            metadata: BTreeMap::new(),
        };
        let keyed = Keyed { key: "k".into(), request: "r".into() };
        for (what, keyed) in [("first", Some(keyed.clone())), ("replay", Some(keyed)), ("no key", None)] {
            assert_eq!(desk.carry_out(create.clone(), keyed).await.answer.status, 500, "{what}");
        }
        let Ok(newest) = Params::parse(b"limit=1").page() else { panic!("a good page") };
        assert_eq!(desk.read(|books| books.list_intents(&newest)).await.status, 500, "read");
        assert_eq!(desk.lost().await, JournalLost);
    }
}
