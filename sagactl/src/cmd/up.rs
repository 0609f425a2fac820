//! `sagactl up`: start everything and serve until Ctrl-C.

use std::process::ExitCode;

/// Flags of `sagactl up`.
#[derive(Debug, clap::Args)]
pub struct Up {}

impl Up {
    /// Starts the stack and serves until Ctrl-C.
    pub async fn run(self) -> ExitCode {
        ExitCode::SUCCESS
    }
}
