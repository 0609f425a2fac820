//! What the load client asked and was told, on disk before it counts: the other side's word, against which the system's is held.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use uuid::Uuid;

/// One line of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// By this process's clock.
    pub at: DateTime<Utc>,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What the client did, or was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// An order is about to be asked for, for the first time.
    Asked {
        /// Its Idempotency-Key.
        key: String,
        /// Who orders.
        customer: String,
        /// The body, as JSON.
        body: String,
    },
    /// An answer to that came, whatever it says.
    Told {
        /// Its Idempotency-Key.
        key: String,
        /// The HTTP status.
        status: u16,
        /// The order, if one was named.
        order: Option<Uuid>,
        /// The order's status, if one was named.
        state: Option<String>,
    },
    /// An order was read.
    Seen {
        /// The order.
        order: Uuid,
        /// Its status.
        state: String,
    },
    /// A cancellation is about to be asked for.
    AskedToCancel {
        /// The order.
        order: Uuid,
    },
    /// An answer to that came.
    ToldOfCancel {
        /// The order.
        order: Uuid,
        /// The HTTP status: 202 for yes, 409 for too late.
        status: u16,
    },
}

type Entry = (Line, oneshot::Sender<()>);

/// Appends to the history file. Lines that come together share one fsync.
#[derive(Debug)]
pub struct History {
    lines: mpsc::Sender<Entry>,
    writing: Option<JoinHandle<io::Result<()>>>,
}

impl History {
    /// Begins a new file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = File::options().create_new(true).append(true).open(path)?;
        let (lines, incoming) = mpsc::channel();
        let writing = thread::Builder::new().name("history".into()).spawn(move || write_all(file, &incoming))?;
        Ok(Self { lines, writing: Some(writing) })
    }

    /// Writes a line; returns when it is on disk.
    ///
    /// # Errors
    /// When it cannot be written: the history is worth nothing then.
    pub async fn write(&self, what: What) -> io::Result<()> {
        let (written, on_disk) = oneshot::channel();
        let gone = || io::Error::other("the history cannot be written any more");
        self.lines.send((Line { at: Utc::now(), what }, written)).map_err(|_| gone())?;
        on_disk.await.map_err(|_| gone())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// What went wrong while writing.
    pub fn close(mut self) -> io::Result<()> {
        let writing = self.writing.take();
        drop(self);
        writing.map_or(Ok(()), |it| it.join().unwrap_or_else(|_| Err(io::Error::other("the writer died"))))
    }
}

fn write_all(mut file: File, incoming: &mpsc::Receiver<Entry>) -> io::Result<()> {
    while let Ok(first) = incoming.recv() {
        let entries: Vec<Entry> = std::iter::once(first).chain(incoming.try_iter()).collect();
        let mut text = Vec::new();
        for (line, _) in &entries {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        file.write_all(&text)?;
        file.sync_data()?;
        for (_, written) in entries {
            // Whoever asked may have been stopped meanwhile.
            let _ = written.send(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_written_is_what_is_read() -> io::Result<()> {
        let path = std::env::temp_dir().join(format!("ordersaga-history-{}", Uuid::now_v7()));
        let history = History::create(&path)?;
        let order = Uuid::now_v7();
        let asked = What::Asked { key: "k".into(), customer: "anna".into(), body: "{}".into() };
        let told = What::Told { key: "k".into(), status: 202, order: Some(order), state: Some("pending".into()) };
        for what in [asked.clone(), told.clone(), What::ToldOfCancel { order, status: 409 }] {
            history.write(what).await?;
        }
        history.close()?;
        let read: Vec<What> = std::fs::read_to_string(&path)?
            .lines()
            .map(|line| serde_json::from_str::<Line>(line).map(|line| line.what))
            .collect::<Result<_, _>>()?;
        assert_eq!(read, [asked, told, What::ToldOfCancel { order, status: 409 }]);
        std::fs::remove_file(&path)
    }
}
