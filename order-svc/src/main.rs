//! order-svc: takes orders, owns their sagas.

use clap::Parser;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let config = order_svc::Config::parse();
    saga_common::telemetry::init(&config.engine);
    match order_svc::run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("order-svc: {error}");
            ExitCode::FAILURE
        }
    }
}
