//! The data folder of a stack: one owner at a time, and what must survive a restart.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::StackError;
use super::error::Doing;

const TEMPORARY: &str = "ordersaga-servers-";

/// A locked data folder. The kernel releases the lock when this process ends, whatever way.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    /// Removed on drop.
    temporary: AtomicBool,
    _lock: File,
}

/// What a restart needs again.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) ports_base: Option<u16>,
    pub(super) postgres_password: Option<String>,
    pub(super) broker_password: Option<String>,
}

impl DataDir {
    /// Makes the folder if need be and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, StackError> {
        fs::create_dir_all(path).doing_with("create", path)?;
        let path = path.canonicalize().doing_with("open", path)?;
        let file = path.join("lock");
        let lock = File::options().create(true).append(true).open(&file).doing_with("open", &file)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, temporary: false.into(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StackError::Locked(path)),
            Err(TryLockError::Error(error)) => Err(error).doing_with("lock", &file),
        }
    }

    /// As [`DataDir::open`]; when the folder is in use, the first free one of `<path>-2`, `<path>-3`, ..
    pub(super) fn open_or_beside(path: &Path) -> Result<Self, StackError> {
        let beside = |n: u32| {
            let mut name = path.as_os_str().to_owned();
            name.push(format!("-{n}"));
            PathBuf::from(name)
        };
        let mut candidate = Self::open(path);
        for n in 2..100 {
            match candidate {
                Err(StackError::Locked(_)) => candidate = Self::open(&beside(n)),
                settled => return settled,
            }
        }
        candidate
    }

    /// A new folder that vanishes with its owner. Removes those whose owner was killed before it could.
    pub(super) fn temporary() -> Result<Self, StackError> {
        let parent = std::env::temp_dir();
        remove_orphans(&parent);
        let path = parent.join(format!("{TEMPORARY}{:016x}", rand::random::<u64>()));
        let data = Self::open(&path)?;
        data.set_temporary(true);
        Ok(data)
    }

    pub(super) fn set_temporary(&self, temporary: bool) {
        self.temporary.store(temporary, Ordering::Relaxed);
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A folder in it, made if need be.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf, StackError> {
        let folder = self.path.join(name);
        fs::create_dir_all(&folder).doing_with("create", &folder)?;
        Ok(folder)
    }

    /// Puts the logs of the run before aside; they may tell why it ended.
    pub(super) fn begin_new_logs(&self) -> Result<(), StackError> {
        let (log, previous) = (self.path.join("log"), self.path.join("log.previous"));
        if log.exists() {
            let _ = fs::remove_dir_all(&previous);
            fs::rename(&log, &previous).doing_with("put aside", &log)?;
        }
        Ok(())
    }

    pub(super) fn kept(&self) -> Kept {
        let stored = fs::read(self.path.join("kept.json")).ok();
        stored.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    pub(super) fn keep(&self, kept: &Kept) -> Result<(), StackError> {
        write_private(
            &self.path.join("kept.json"),
            &serde_json::to_vec_pretty(kept).map_err(io::Error::other).doing("write kept.json")?,
        )
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        if self.temporary.load(Ordering::Relaxed) {
            remove(&self.path);
        }
    }
}

/// Replaces `file` in one step by one that only its owner can read.
pub(super) fn write_private(file: &Path, text: &[u8]) -> Result<(), StackError> {
    let new = file.with_extension("new");
    // The mode applies to a file that is made here; one left by a crash could have another.
    let _ = fs::remove_file(&new);
    let written =
        File::options().create_new(true).write(true).mode(0o600).open(&new).and_then(|mut it| it.write_all(text));
    written.doing_with("write", &new)?;
    fs::rename(&new, file).doing_with("write", file)
}

/// A password that needs no escaping in a URL.
pub(super) fn password() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// The last lines of a log file; of a panic its message rather than the end of its backtrace.
pub(super) fn tail(log: &Path) -> String {
    const LINES: usize = 25;
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.len().saturating_sub(LINES);
    let panic = lines.iter().rposition(|line| line.contains("panicked at")).unwrap_or(last);
    let begin = panic.min(last);
    lines[begin..lines.len().min(begin + LINES)].join("\n")
}

fn remove_orphans(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(TEMPORARY));
        let orphaned = || File::open(entry.path().join("lock")).is_ok_and(|lock| lock.try_lock().is_ok());
        if ours && orphaned() {
            remove(&entry.path());
        }
    }
}

/// Removes a temporary folder, and the cluster that may lie elsewhere. Best effort: what cannot be removed now goes with the next start.
fn remove(path: &Path) {
    if let Ok(elsewhere) = fs::read_link(path.join("postgres")) {
        let _ = fs::remove_dir_all(elsewhere);
    }
    let _ = fs::remove_dir_all(path);
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn a_folder_in_use_is_left_alone_and_the_one_beside_it_taken() -> Outcome {
        let parent = DataDir::temporary()?;
        let wanted = parent.path().join("demo");
        let first = DataDir::open_or_beside(&wanted)?;
        let second = DataDir::open_or_beside(&wanted)?;
        assert_eq!(first.path(), wanted);
        assert_eq!(second.path(), parent.path().join("demo-2"));
        assert!(matches!(DataDir::open(&wanted), Err(StackError::Locked(_))));
        drop(first);
        assert_eq!(DataDir::open_or_beside(&wanted)?.path(), wanted);
        Ok(())
    }

    #[test]
    fn what_is_kept_comes_back_and_only_its_owner_can_read_it() -> Outcome {
        let data = DataDir::temporary()?;
        assert!(data.kept().broker_password.is_none());
        data.keep(&Kept { broker_password: Some(password()), ..Kept::default() })?;
        assert!(data.kept().broker_password.is_some_and(|it| it.len() == 32));
        let mode = fs::metadata(data.path().join("kept.json"))?.permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        Ok(())
    }
}
