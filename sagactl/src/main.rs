//! The operator's and developer's command.

use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    sagactl::cmd::Cli::parse().run().await
}
