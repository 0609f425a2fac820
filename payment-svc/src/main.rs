//! payment-svc as a process.

use clap::Parser;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let config = payment_svc::Config::parse();
    saga_common::telemetry::init(&config.engine);
    match payment_svc::run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("payment-svc: {error}");
            ExitCode::FAILURE
        }
    }
}
