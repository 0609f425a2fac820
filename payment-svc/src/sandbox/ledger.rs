//! The ledger file: one JSON line per request that changed something or has a key to remember, never rewritten.
//!
//! ```json
//! {"at_ms":1700000000000,"change":{"kind":"intent_succeeded","intent":"pi_..","charge":"ch_.."},
//!  "answer":{"key":"..","request":"POST /v1/..","status":200,"body":{}}}
//! ```
//!
//! Change and answer of a request share its line, so a crash keeps both or neither. A line counts when its newline is there: what
//! follows the last newline was never answered for, and is cut off at the start. Any other damage is a refusal to start, because
//! a book with a hole would deny charges that were made.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    answer::Answer,
    idempotency::Keyed,
    intents::{Change, Impossible},
};

/// One line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Unix time.
    pub(super) at_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) change: Option<Change>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) answer: Option<KeyedAnswer>,
}

/// The first answer to an idempotency key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeyedAnswer {
    key: String,
    request: String,
    status: u16,
    body: Box<RawValue>,
}

impl KeyedAnswer {
    pub(super) fn new(keyed: Keyed, answer: Answer) -> Self {
        Self { key: keyed.key, request: keyed.request, status: answer.status, body: answer.body }
    }

    pub(super) fn split(self) -> (Keyed, Answer) {
        (Keyed { key: self.key, request: self.request }, Answer { status: self.status, body: self.body })
    }
}

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file system said no.
    #[error("cannot use the ledger {path:?}")]
    Io {
        /// The ledger file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// Another process writes it.
    #[error("the ledger {path:?} is in use by another process")]
    InUse {
        /// The ledger file.
        path: PathBuf,
    },
    /// A complete line is not what was written: repair or replace the file by hand.
    #[error("the ledger {path:?} is corrupt at line {line}: {why}")]
    Corrupt {
        /// The ledger file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// What is wrong with the line.
        why: String,
    },
}

/// Opens the ledger for this process alone, gives every entry to `take` in order, and returns the file ready to be appended to.
/// Everything that `take` has seen is durable when this returns.
pub(super) fn open(path: &Path, take: impl FnMut(Entry) -> Result<(), Impossible>) -> Result<File, LedgerError> {
    let failed = |source| LedgerError::Io { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed)?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => LedgerError::InUse { path: path.to_owned() },
        TryLockError::Error(source) => failed(source),
    })?;
    replay(&file, path, take)?;
    // Lines of a killed process may be in the page cache only, and a new file's name in its folder's.
    file.sync_all().and_then(|()| File::open(folder)?.sync_all()).map_err(failed)?;
    Ok(file)
}

fn replay(file: &File, path: &Path, mut take: impl FnMut(Entry) -> Result<(), Impossible>) -> Result<(), LedgerError> {
    let failed = |source| LedgerError::Io { path: path.to_owned(), source };
    let corrupt = |line, why: &dyn ToString| LedgerError::Corrupt { path: path.to_owned(), line, why: why.to_string() };
    let mut reader = BufReader::new(file);
    let (mut line, mut number, mut complete_bytes) = (Vec::new(), 0, 0);
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line).map_err(failed)? as u64;
        if line.last() != Some(&b'\n') {
            if length > 0 {
                tracing::warn!(ledger = %path.display(), bytes = length, "dropped the torn end of the ledger, which was never answered for");
                file.set_len(complete_bytes).map_err(failed)?;
            }
            return Ok(());
        }
        number += 1;
        complete_bytes += length;
        let entry = serde_json::from_slice(&line).map_err(|error| corrupt(number, &error))?;
        take(entry).map_err(|impossible| corrupt(number, &impossible))?;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use uuid::Uuid;

    /// A path for a ledger, removed at the end of the test.
    pub(in super::super) struct TempLedger(pub(in super::super) PathBuf);

    impl TempLedger {
        pub(in super::super) fn new() -> Self {
            Self(std::env::temp_dir().join(format!("sandbox-ledger-{}", Uuid::now_v7())))
        }
    }

    impl Drop for TempLedger {
        fn drop(&mut self) {
            fs::remove_file(&self.0).ok();
        }
    }

    const CANCELED: &str = "{\"at_ms\":1,\"change\":{\"kind\":\"intent_canceled\",\"intent\":\"pi_1\"}}\n";
    const ANSWER: &str =
        "{\"at_ms\":2,\"answer\":{\"key\":\"k\",\"request\":\"r\",\"status\":500,\"body\":{\"b\": 1, \"a\":2}}}\n";

    fn reopened(path: &Path) -> Result<Vec<String>, LedgerError> {
        let mut seen = Vec::new();
        open(path, |entry| {
            seen.push(serde_json::to_string(&entry).expect("json"));
            Ok(())
        })?;
        Ok(seen)
    }

    #[test]
    fn entries_come_back_as_they_were_written() {
        let ledger = TempLedger::new();
        assert_eq!(reopened(&ledger.0).expect("a new ledger"), Vec::<String>::new());
        fs::write(&ledger.0, [CANCELED, ANSWER].concat()).expect("write");
        assert_eq!(reopened(&ledger.0).expect("two entries"), [CANCELED.trim_end(), ANSWER.trim_end()]);
    }

    #[test]
    fn a_torn_end_is_cut_off_wherever_it_is_torn() {
        let ledger = TempLedger::new();
        for torn in 1..ANSWER.len() {
            fs::write(&ledger.0, [CANCELED, &ANSWER[..torn]].concat()).expect("write");
            assert_eq!(reopened(&ledger.0).expect("torn"), [CANCELED.trim_end()]);
            assert_eq!(fs::read_to_string(&ledger.0).expect("read"), CANCELED);
        }
    }

    #[test]
    fn damage_before_the_end_is_a_refusal_that_names_the_line() {
        let ledger = TempLedger::new();
        for damaged in ["{\"at_ms\":1,\"chan\n", "\n", "{}\n", "\u{0}\u{0}\n"] {
            fs::write(&ledger.0, [CANCELED, damaged, ANSWER].concat()).expect("write");
            assert!(matches!(reopened(&ledger.0), Err(LedgerError::Corrupt { line: 2, .. })), "{damaged:?}");
        }
        fs::write(&ledger.0, CANCELED).expect("write");
        let impossible = open(&ledger.0, |_| Err(Impossible));
        assert!(matches!(impossible, Err(LedgerError::Corrupt { line: 1, .. })));
    }

    #[test]
    fn a_ledger_has_one_writer() {
        let ledger = TempLedger::new();
        let first = open(&ledger.0, |_| Ok(())).expect("free");
        assert!(matches!(open(&ledger.0, |_| Ok(())), Err(LedgerError::InUse { .. })));
        drop(first);
        assert!(open(&ledger.0, |_| Ok(())).is_ok());
    }
}
