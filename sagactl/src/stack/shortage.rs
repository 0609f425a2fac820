//! Takes something away from a running process, and gives it back: its limits, set with `prlimit` from util-linux, because a
//! limit of another user's process can be set by that user only, root or not.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::StackError;
use super::account::Account;
use super::error::Doing;

/// What a process is short of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shortage {
    /// Nothing can be opened, neither file nor socket. What is open stays open.
    OpenFiles,
    /// No file can be written beyond its first 64 KiB: as if the disk were full, to whoever writes more than that.
    FileSize,
}

impl Shortage {
    fn option(self) -> &'static str {
        match self {
            Self::OpenFiles => "--nofile",
            Self::FileSize => "--fsize",
        }
    }

    /// Lets this process suffer from it. What it starts inherits it.
    pub(super) fn begin(self, pid: u32, owner: Option<Account>) -> Result<(), StackError> {
        let limit = match self {
            Self::OpenFiles => 0,
            Self::FileSize => 64 * 1024,
        };
        prlimit(pid, owner, &[&format!("{}={limit}:", self.option())]).map(drop)
    }

    /// Gives the process back as much as it ever may have.
    pub(super) fn end(self, pid: u32, owner: Option<Account>) -> Result<(), StackError> {
        let most = prlimit(pid, owner, &[self.option(), "--output=HARD", "--noheadings"])?;
        prlimit(pid, owner, &[&format!("{}={}:", self.option(), most.trim())]).map(drop)
    }
}

fn prlimit(pid: u32, owner: Option<Account>, arguments: &[&str]) -> Result<String, StackError> {
    let mut command = Command::new("prlimit");
    command.arg(format!("--pid={pid}")).args(arguments).stdin(Stdio::null());
    if let Some(account) = owner {
        command.uid(account.uid).gid(account.gid);
    }
    let output = command.output().doing("run prlimit (package util-linux)")?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(std::io::Error::other(said)).doing("limit a process")
}
