//! What clients asked for and were told, in a file that they wrote and synced line by line: a line stands before its request is
//! sent, and after its answer has come.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use uuid::Uuid;

use super::AuditError;

mod claims;

pub(super) use claims::check;

/// One line. Fields that are not known here, such as the time, are for people.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub(super) enum Line {
    /// An order is about to be asked for. Every key is one customer's.
    Asked {
        key: String,
        /// The request's, as it is sent.
        body: String,
    },
    /// An answer to that came, whatever it says.
    Told { key: String, status: u16, order: Option<Uuid>, state: Option<String> },
    /// An order was read.
    Seen { order: Uuid, state: String },
    /// A cancellation is about to be asked for.
    AskedToCancel { order: Uuid },
    /// An answer to that came.
    ToldOfCancel { order: Uuid, status: u16 },
}

/// Lines, of which some were there before the databases were read.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Everything that was asked for.
    pub(super) lines: Vec<Line>,
    /// How many of the lines, from the first, were there before.
    pub(super) before: usize,
}

impl History {
    /// What was on record when the databases were read.
    pub(super) fn told(&self) -> &[Line] {
        &self.lines[..self.before]
    }
}

/// Notes how much there is before the databases are read, and reads it all afterwards.
pub(super) struct Reader {
    file: PathBuf,
    bytes_before: usize,
}

impl Reader {
    pub(super) fn open(file: &Path) -> Result<Self, AuditError> {
        let length = fs::metadata(file).map_err(|error| wrong(file, &error))?.len();
        Ok(Self { file: file.to_owned(), bytes_before: usize::try_from(length).unwrap_or(usize::MAX) })
    }

    pub(super) fn read(&self) -> Result<History, AuditError> {
        let text = fs::read_to_string(&self.file).map_err(|error| wrong(&self.file, &error))?;
        parse(&text, self.bytes_before).map_err(|reason| wrong(&self.file, &reason))
    }
}

fn wrong(file: &Path, reason: &dyn ToString) -> AuditError {
    AuditError::History { file: file.display().to_string(), reason: reason.to_string() }
}

/// A last line without an end is no line: its writer died, or is still writing it.
fn parse(text: &str, bytes_before: usize) -> Result<History, String> {
    let mut history = History::default();
    let mut end = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        end += line.len();
        let Some(line) = line.strip_suffix('\n') else { break };
        let line = serde_json::from_str(line).map_err(|error| format!("line {}: {error}", number + 1))?;
        history.lines.push(line);
        if end <= bytes_before {
            history.before = history.lines.len();
        }
    }
    Ok(history)
}

#[cfg(test)]
mod tests;
