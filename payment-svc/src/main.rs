//! The program `payment-svc`: settings, logs, and then the service until SIGTERM or SIGINT.

use clap::Parser;
use payment_svc::Config;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let config = Config::parse();
    saga_common::telemetry::init(&config.engine);
    match payment_svc::run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("payment-svc: {}", saga_common::error::chain(&error));
            ExitCode::FAILURE
        }
    }
}
