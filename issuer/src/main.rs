//! The program `issuer`: publishes keys until SIGTERM or SIGINT, or prints one token.

use clap::Parser;
use issuer::Config;
use std::error::Error;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let config = Config::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    match issuer::run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("issuer: {error}{}", error.source().map(|why| format!(": {why}")).unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}
