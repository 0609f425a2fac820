//! `sagactl token`: somebody to be, in a private stack.

use std::process::ExitCode;

use clap::Args;

use super::{Failure, Session};
use crate::client::TokenRequest;

/// Print a bearer token that the private stack's issuer has signed
#[derive(Debug, Args)]
pub struct Token {
    /// Whose token: for a customer, their id
    subject: String,
    /// What they may do: customer, operator or service; several times for several
    #[arg(long = "role", value_parser = ["customer", "operator", "service"], default_value = "customer")]
    roles: Vec<String>,
    /// Minutes until it expires [default: a day]
    #[arg(long)]
    minutes: Option<u32>,
}

impl Token {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Failure> {
        let no_issuer = || {
            Failure::Failed(
                "there is no private stack with an issuer: start one with `cargo demo` or `sagactl up`".to_owned(),
            )
        };
        let issuer = session.stack.as_ref().and_then(|stack| stack.issuer_url()).ok_or_else(no_issuer)?;
        let request = TokenRequest { subject: self.subject, roles: self.roles, minutes: self.minutes };
        let token = request.ask(issuer).await?;
        session.print(&token, |token| token.access_token.clone())
    }
}
