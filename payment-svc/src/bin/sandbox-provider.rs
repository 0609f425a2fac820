//! The sandbox payment provider as a process; see `payment_svc::sandbox`.

use std::{
    error::Error,
    io::{IsTerminal, stderr},
};

use clap::Parser;
use payment_svc::sandbox::{self, Settings};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings::parse();
    // Stdout is for the address.
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&settings.log)?)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .init();
    if let Err(error) = sandbox::run(settings).await {
        tracing::error!(error = &error as &dyn Error, "the sandbox provider ends");
        std::process::exit(1);
    }
    Ok(())
}
