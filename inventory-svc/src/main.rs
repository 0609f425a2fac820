//! The program `inventory-svc`: settings, logs, and then the service until SIGTERM or SIGINT.

use clap::Parser;
use inventory_svc::Config;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let config = Config::parse();
    saga_common::telemetry::init(&config.engine);
    match inventory_svc::run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("inventory-svc: {}", saga_common::error::chain(&error));
            ExitCode::FAILURE
        }
    }
}
