//! Settings of the issuer.

use crate::token::Role;
use clap::{Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Signs tokens for demos and tests, and publishes the keys they are checked with.
#[derive(Debug, Clone, Parser)]
#[command(version)]
pub struct Config {
    /// Address of the HTTP server.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8085", global = true)]
    pub listen: SocketAddr,

    /// Folder of the private keys; made if it is not there.
    #[arg(long, env = "KEYS_DIR", default_value = ".data/issuer", global = true)]
    pub keys_dir: PathBuf,

    /// The claim `iss` of every token.
    #[arg(long, env = "JWT_ISSUER", default_value = "https://issuer.ordersaga.example", global = true)]
    pub jwt_issuer: String,

    /// The claim `aud` of every token.
    #[arg(long, env = "JWT_AUDIENCE", default_value = "ordersaga", global = true)]
    pub jwt_audience: String,

    /// Hours a token lives at most; a key that signs no more is published so much longer.
    #[arg(long, env = "TOKEN_HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=8_760), global = true)]
    pub token_hours: u32,

    /// Hours after which a new key signs.
    #[arg(long, env = "ROTATE_HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=8_760), global = true)]
    pub rotate_hours: u32,

    /// Give whoever asks over HTTP a token for whatever they want to be. For demos.
    #[arg(long, env = "DEMO_TOKENS", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", global = true)]
    pub demo_tokens: bool,

    /// File that always holds a token with the role `service`, for services that ask each other.
    #[arg(long, env = "SERVICE_TOKEN_FILE", global = true)]
    pub service_token_file: Option<PathBuf>,

    /// File that always holds a token with the role `operator`, for an auditor that watches.
    #[arg(long, env = "OPERATOR_TOKEN_FILE", global = true)]
    pub operator_token_file: Option<PathBuf>,

    /// Folder that always has the two newest public keys as `current.pem` and `previous.pem`, for a gateway that reads files.
    #[arg(long, env = "PUBLIC_KEYS_DIR", global = true)]
    pub public_keys_dir: Option<PathBuf>,

    /// What to do, if not to serve.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do instead of serving.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Print a token, signed with the newest key in the folder.
    Token {
        /// Whose token: for a customer, their id.
        subject: String,
        /// What they may do.
        #[arg(long = "role", value_enum, default_value = "customer")]
        roles: Vec<Role>,
        /// Minutes until it expires [default: the longest there is].
        #[arg(long)]
        minutes: Option<u32>,
    },
}
