//! The only writer of the ledger: one thread, which writes whatever waits in one go and makes it durable with one `fdatasync`.

use std::{
    fs::File,
    io::{self, Write},
    sync::mpsc,
    thread::JoinHandle,
};

use tokio::sync::watch;

use super::ledger::Entry;

/// Above this a group is written although more waits, so that the first in it need not wait for ever.
const GROUP_BYTES: usize = 1 << 20;

/// The end of the ledger. Dropping it writes what is left and closes the file.
#[derive(Debug)]
pub(super) struct Journal {
    /// `None` only while it is dropped.
    lines: Option<mpsc::Sender<Vec<u8>>>,
    writer: Option<JoinHandle<()>>,
    appended: u64,
}

/// How many entries are durable. Once the writer has failed nothing becomes durable any more, and this side says so.
#[derive(Debug, Clone)]
pub(super) struct Durable(watch::Receiver<u64>);

/// The writer has failed; its log line says why. What was appended and not answered may or may not be in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ledger cannot be written any more")]
pub(super) struct JournalLost;

impl Journal {
    /// Starts the writer at the end of an opened ledger.
    pub(super) fn start(file: File) -> io::Result<(Self, Durable)> {
        let (lines, waiting) = mpsc::channel();
        let (durable, seen) = watch::channel(0);
        let writer = std::thread::Builder::new().name("ledger-writer".to_owned()).spawn(move || {
            if let Err(error) = write_groups(file, &waiting, &durable) {
                tracing::error!(%error, "the ledger cannot be written any more");
            }
        })?;
        Ok((Self { lines: Some(lines), writer: Some(writer), appended: 0 }, Durable(seen)))
    }

    /// Queues an entry. It counts once [`Durable::reached`] its number, which [`appended`](Self::appended) now gives.
    pub(super) fn append(&mut self, entry: &Entry) {
        let mut line = serde_json::to_vec(entry).expect("an entry has only string keys and valid JSON");
        line.push(b'\n');
        self.appended += 1;
        // When the writer is gone, nobody who waits for this number will be told that it was reached.
        self.lines.as_ref().map(|lines| lines.send(line).ok());
    }

    /// How many entries have been queued so far: the number of the last one.
    pub(super) fn appended(&self) -> u64 {
        self.appended
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.lines = None;
        if let Some(writer) = self.writer.take() {
            writer.join().ok();
        }
    }
}

impl Durable {
    /// Returns when the first `entries` entries are durable.
    pub(super) async fn reached(&self, entries: u64) -> Result<(), JournalLost> {
        self.0.clone().wait_for(|durable| *durable >= entries).await.map(|_| ()).map_err(|_| JournalLost)
    }

    /// Returns when the writer has failed.
    pub(super) async fn lost(&self) -> JournalLost {
        let mut durable = self.0.clone();
        while durable.changed().await.is_ok() {}
        JournalLost
    }
}

fn write_groups(mut file: File, waiting: &mpsc::Receiver<Vec<u8>>, durable: &watch::Sender<u64>) -> io::Result<()> {
    let (mut group, mut written) = (Vec::new(), 0);
    while let Ok(first) = waiting.recv() {
        group.clear();
        group.extend_from_slice(&first);
        written += 1;
        while group.len() < GROUP_BYTES
            && let Ok(next) = waiting.try_recv()
        {
            group.extend_from_slice(&next);
            written += 1;
        }
        file.write_all(&group)?;
        file.sync_data()?;
        durable.send_replace(written);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{
        intents::Change,
        ledger::{self, tests::TempLedger},
    };

    fn entry(at_ms: i64) -> Entry {
        Entry { at_ms, change: Some(Change::IntentCanceled { intent: "pi_1".into() }), answer: None }
    }

    #[tokio::test]
    async fn what_was_reached_is_in_the_file_in_order() {
        let path = TempLedger::new();
        let file = ledger::open(&path.0, |_| Ok(())).expect("a new ledger");
        let (mut journal, durable) = Journal::start(file).expect("a thread");
        for at_ms in 1..=1_000 {
            journal.append(&entry(at_ms));
        }
        durable.reached(journal.appended()).await.expect("written");
        drop(journal);
        let mut seen = Vec::new();
        ledger::open(&path.0, |entry| {
            seen.push(entry.at_ms);
            Ok(())
        })
        .expect("a good ledger");
        assert_eq!(seen, (1..=1_000).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_failed_write_is_never_reported_as_durable() {
        let path = TempLedger::new();
        std::fs::write(&path.0, "").expect("write");
        let read_only = File::open(&path.0).expect("open");
        let (mut journal, durable) = Journal::start(read_only).expect("a thread");
        journal.append(&entry(1));
        assert_eq!(durable.reached(journal.appended()).await, Err(JournalLost));
        assert_eq!(durable.lost().await, JournalLost);
        journal.append(&entry(2));
        assert_eq!(durable.reached(journal.appended()).await, Err(JournalLost));
    }
}
