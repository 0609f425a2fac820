//! What all verbs share: the global flags, whom they speak to, and how they fail.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use crate::audit::AuditError;
use crate::client::{Client, ClientError, Endpoints, NoToken, TokenRequest};
use crate::stack::{StackError, StackRecord, default_data};

/// Flags of every verb.
#[derive(clap::Args)]
pub(super) struct Global {
    /// Print JSON, for machines
    #[arg(long, global = true)]
    json: bool,
    /// Data folder of a running private stack [default: that of `cargo demo`, if it runs]
    #[arg(long, global = true, env = "ORDERSAGA_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Base URL of order-svc
    #[arg(long, global = true, env = "ORDER_URL", value_name = "URL", help_heading = "Services")]
    order_url: Option<String>,
    /// Base URL of payment-svc
    #[arg(long, global = true, env = "PAYMENT_URL", value_name = "URL", help_heading = "Services")]
    payment_url: Option<String>,
    /// Base URL of inventory-svc
    #[arg(long, global = true, env = "INVENTORY_URL", value_name = "URL", help_heading = "Services")]
    inventory_url: Option<String>,
    /// Base URL of notification-svc
    #[arg(long, global = true, env = "NOTIFICATION_URL", value_name = "URL", help_heading = "Services")]
    notification_url: Option<String>,
    /// Bearer token to send to the services [default: an operator's, from the private stack's issuer]
    #[arg(long, global = true, env = "ORDERSAGA_TOKEN", hide_env_values = true, help_heading = "Services")]
    token: Option<String>,
    /// File with the bearer token, which somebody renews; `--token` goes before it
    #[arg(long, global = true, env = "ORDERSAGA_TOKEN_FILE", value_name = "FILE", help_heading = "Services")]
    token_file: Option<PathBuf>,
}

impl Global {
    /// Is JSON wanted?
    pub(super) fn json(&self) -> bool {
        self.json
    }
}

/// Whom a verb speaks to, and how it prints.
pub struct Session {
    /// Speaks to the services.
    pub client: Client,
    /// The private stack that was found, if any.
    pub stack: Option<StackRecord>,
    /// Was it said where order-svc is?
    pub(super) names_order_svc: bool,
    token: TokenSource,
    json: bool,
}

/// Where tokens come from, the first as well as those after it has expired.
enum TokenSource {
    Given(Option<String>),
    File(PathBuf),
    Issuer(String),
}

impl TokenSource {
    async fn token(&self) -> Result<Option<String>, Failure> {
        match self {
            Self::Given(token) => Ok(token.clone()),
            Self::File(path) => match std::fs::read_to_string(path) {
                Ok(token) => Ok(Some(token.trim().to_owned())),
                Err(error) => Err(Failure::Failed(format!("the token in {} cannot be read: {error}", path.display()))),
            },
            Self::Issuer(url) => Ok(Some(TokenRequest::operator().ask(url).await?.access_token)),
        }
    }
}

impl Session {
    /// Finds the services: a URL that was given, else those of a running private stack, else the default ports.
    /// Without a token it gets an operator's from the stack's issuer.
    pub(super) async fn open(global: Global) -> Result<Self, Failure> {
        let stack = discover(global.data.as_deref())?;
        let found = stack.as_ref().map_or_else(Endpoints::default, StackRecord::endpoints);
        let names_order_svc = global.order_url.is_some();
        let endpoints = Endpoints {
            order: global.order_url.unwrap_or(found.order),
            payment: global.payment_url.unwrap_or(found.payment),
            inventory: global.inventory_url.unwrap_or(found.inventory),
            notification: global.notification_url.unwrap_or(found.notification),
        };
        let token = match (global.token, global.token_file, stack.as_ref().and_then(StackRecord::issuer_url)) {
            (None, Some(file), _) => TokenSource::File(file),
            (None, None, Some(issuer)) => TokenSource::Issuer(issuer.to_owned()),
            (token, ..) => TokenSource::Given(token),
        };
        let client = Client::new(endpoints).with_token(token.token().await?);
        Ok(Self { client, stack, names_order_svc, token, json: global.json })
    }

    /// The client with a token that is new, where tokens are to be had: they last for minutes, some verbs for days.
    pub(super) async fn renewed_client(&self) -> Result<Client, Failure> {
        Ok(self.client.clone().with_token(self.token.token().await?))
    }

    /// Prints `value` as JSON, or what `people` makes of it.
    pub fn print<T: Serialize>(&self, value: &T, people: impl FnOnce(&T) -> String) -> Result<ExitCode, Failure> {
        let text = if self.json {
            serde_json::to_string_pretty(value).map_err(|error| Failure::Failed(error.to_string()))?
        } else {
            people(value)
        };
        show(&text);
        Ok(ExitCode::SUCCESS)
    }
}

impl Session {
    /// As [`Session::print`], with JSON on one line: for what prints again and again.
    pub(super) fn print_line<T: Serialize>(&self, value: &T, people: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        let json = || serde_json::to_string(value).map_err(|error| Failure::Failed(error.to_string()));
        show(&if self.json { json()? } else { people(value) });
        Ok(())
    }
}

/// A reader that has seen enough (`| head`) is no failure.
pub(super) fn show(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A folder that was named must have a running stack; the default one may.
fn discover(data: Option<&Path>) -> Result<Option<StackRecord>, Failure> {
    match data {
        Some(data) => Ok(Some(StackRecord::discover(data)?)),
        None => match StackRecord::discover(&default_data()) {
            Ok(record) => Ok(Some(record)),
            Err(StackError::NotRunning(_)) => Ok(None),
            Err(error) => Err(error.into()),
        },
    }
}

/// Why a verb did not do what it was asked. One sentence each.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The arguments make no sense together.
    #[error("{0}")]
    Usage(String),
    /// A service said no, or nothing.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The audit could not be made.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The private stack could not be found.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The issuer gives no token.
    #[error(transparent)]
    NoToken(#[from] NoToken),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

impl Failure {
    /// Of what several services failed with: one sentence if none of them is there, else all that they said.
    pub(super) fn all(mut errors: Vec<ClientError>) -> Self {
        if errors.iter().all(ClientError::nobody_listens) && !errors.is_empty() {
            return errors.swap_remove(0).into();
        }
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::Failed(errors.join("; "))
    }

    /// Says why on stderr, and what to do about it if nobody is there. Returns [`Failure::status`].
    pub(super) fn tell(&self, stack: Option<&StackRecord>) -> ExitCode {
        let nobody_at = match self {
            Failure::Client(ClientError::NobodyListens { url, .. }) => Some(url),
            Failure::Audit(AuditError::NobodyListens { address, .. }) => Some(address),
            _ => None,
        };
        let part_of = |stack: &&StackRecord, address: &str| {
            stack.postgres_url.contains(address) || stack.processes.iter().any(|process| process.url == address)
        };
        let advice = match nobody_at.map(|address| stack.filter(|stack| part_of(stack, address))) {
            None => String::new(),
            Some(None) => ": is a stack running? start one with `cargo demo` or `sagactl up`".to_owned(),
            Some(Some(stack)) => format!(": is it just starting again? the logs are in {}/log", stack.data.display()),
        };
        eprintln!("error: {self}{advice}");
        self.status()
    }

    /// 2 when the command itself was wrong, else 1.
    #[must_use]
    pub fn status(&self) -> ExitCode {
        ExitCode::from(if matches!(self, Failure::Usage(_)) { 2 } else { 1 })
    }
}
