//! The command line: one module per verb.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod up;

/// The operator's and developer's command of OrderSaga.
#[derive(Debug, Parser)]
#[command(name = "sagactl", version)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

/// What `sagactl` can do.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Start private servers and all services, and serve until Ctrl-C
    Up(up::Up),
}

impl Cli {
    /// Runs the verb. Status 0: done; 1: it failed or found something wrong; 2: it could not begin.
    pub async fn run(self) -> ExitCode {
        match self.verb {
            Verb::Up(up) => up.run().await,
        }
    }
}
