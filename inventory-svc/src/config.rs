//! Settings of inventory-svc: the engine's, and none of its own.

use clap::Parser;
use saga_common::Settings;

/// Keeps the stock of the order system.
#[derive(Debug, Clone, Parser)]
#[command(version)]
pub struct Config {
    /// What every participant can be told; it listens on 127.0.0.1:8082 unless told otherwise.
    #[command(flatten)]
    pub engine: Settings,
}
