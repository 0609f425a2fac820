//! The program `order-svc`: settings, logs, and then the service until SIGTERM or SIGINT.

use clap::Parser;
use order_svc::Config;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let config = Config::parse();
    saga_common::telemetry::init(&config.engine);
    match order_svc::run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("order-svc: {}", saga_common::error::chain(&error));
            ExitCode::FAILURE
        }
    }
}
