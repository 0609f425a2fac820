//! `cargo demo`: starts everything, places six orders, shows their stories, audits, serves until Ctrl-C.

use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    sagactl::demo::Demo::parse().run().await
}
