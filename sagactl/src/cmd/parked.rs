//! `sagactl parked`: messages that wait for a person, at all services.

use std::process::ExitCode;

use futures::future::join_all;
use serde::Serialize;
use uuid::Uuid;

use super::show::{moment, table};
use super::{Failure, Session};
use crate::client::{ClientError, ParkedMessage, Redriven, Service};

/// Flags of `sagactl parked`.
#[derive(Debug, clap::Subcommand)]
pub enum Parked {
    /// List them, oldest first
    List {
        /// Only at this service
        #[arg(long)]
        service: Option<Service>,
        /// At most this many at each service
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Show one with its body
    Show {
        /// Which
        message_id: Uuid,
        /// Only at this service
        #[arg(long)]
        service: Option<Service>,
    },
    /// Let them be tried again, through their normal steps
    Redrive {
        /// Which
        #[arg(required = true)]
        message_ids: Vec<Uuid>,
        /// Only at this service
        #[arg(long)]
        service: Option<Service>,
    },
}

/// A message and who holds it.
#[derive(Debug, Serialize)]
struct Held<T> {
    service: Service,
    #[serde(flatten)]
    message: T,
}

impl Parked {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Failure> {
        let client = &session.client;
        match self {
            Parked::List { service, limit } => {
                let answers = ask(service, |service| client.parked(service, limit)).await;
                let (lists, errors) = split(answers);
                let mut all: Vec<Held<ParkedMessage>> = lists
                    .into_iter()
                    .flat_map(|Held { service, message: list }| {
                        list.into_iter().map(move |message| Held { service, message })
                    })
                    .collect();
                all.sort_by_key(|held| held.message.first_seen_at);
                if errors.is_empty() || !all.is_empty() {
                    session.print(&all, |all| list(all))?;
                }
                incomplete(errors)
            }
            Parked::Show { message_id, service } => {
                let answers = ask(service, |service| client.parked_show(service, message_id)).await;
                let (found, errors) = split(answers);
                let errors = some(&found, message_id, errors)?;
                session.print(&found, |found| found.iter().map(one).collect::<Vec<_>>().join("\n"))?;
                incomplete(errors)
            }
            Parked::Redrive { message_ids, service } => {
                let (mut redriven, mut errors): (Vec<Held<Redriven>>, Vec<ClientError>) = Default::default();
                for message_id in message_ids {
                    let answers = ask(service, |service| client.redrive(service, message_id)).await;
                    let (found, failed) = split(answers);
                    errors.extend(some(&found, message_id, failed)?);
                    redriven.extend(found);
                }
                session.print(&redriven, |redriven| {
                    let line =
                        |held: &Held<Redriven>| format!("{}: {} is due now", held.service, held.message.message_id);
                    redriven.iter().map(line).collect::<Vec<_>>().join("\n")
                })?;
                incomplete(errors)
            }
        }
    }
}

/// Asks one service, or all at once.
async fn ask<T, F>(service: Option<Service>, question: impl Fn(Service) -> F) -> Vec<(Service, Result<T, ClientError>)>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let asked = service.map_or_else(|| Service::ALL.to_vec(), |service| vec![service]);
    let answers = join_all(asked.iter().map(|service| question(*service))).await;
    asked.into_iter().zip(answers).collect()
}

/// What was found, and who could not tell. Not having the message is an answer.
fn split<T>(answers: Vec<(Service, Result<T, ClientError>)>) -> (Vec<Held<T>>, Vec<ClientError>) {
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for (service, answer) in answers {
        match answer {
            Ok(message) => found.push(Held { service, message }),
            Err(error) if error.is_not_found() => {}
            Err(error) => errors.push(error),
        }
    }
    (found, errors)
}

/// Finding nothing is an error; else those who could not tell are returned.
fn some<T>(found: &[Held<T>], message_id: Uuid, errors: Vec<ClientError>) -> Result<Vec<ClientError>, Failure> {
    match (found, &errors[..]) {
        ([], []) => Err(Failure::Failed(format!("no service has message {message_id} parked"))),
        ([], _) => Err(Failure::all(errors)),
        _ => Ok(errors),
    }
}

/// An answer without all services is shown, but it is not success.
fn incomplete(errors: Vec<ClientError>) -> Result<ExitCode, Failure> {
    if errors.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(Failure::all(errors)) }
}

fn list(all: &[Held<ParkedMessage>]) -> String {
    if all.is_empty() {
        return "nothing is parked".to_owned();
    }
    let mut parked = table(["service", "message", "type", "step", "attempts", "since", "reason"], &["attempts"]);
    for Held { service, message } in all {
        parked.add_row([
            service.to_string(),
            message.message_id.to_string(),
            message.kind.clone().unwrap_or_default(),
            message.step.clone(),
            message.attempts.to_string(),
            moment(message.first_seen_at),
            message.reason.clone().unwrap_or_default(),
        ]);
    }
    parked.to_string()
}

fn one(Held { service, message }: &Held<ParkedMessage>) -> String {
    let saga = message.saga_id.map_or("(none)".to_owned(), |id| id.to_string());
    let hopeless = if message.redrivable { "" } else { " (trying again cannot help)" };
    let (attempts, since) = (message.attempts, moment(message.first_seen_at));
    [
        format!("message   {} at {service}, {}", message.message_id, message.state),
        format!("type      {}", message.kind.as_deref().unwrap_or("(none)")),
        format!("saga      {saga}"),
        format!("step      {}, {attempts} attempts since {since}", message.step),
        format!("reason    {}{hopeless}", message.reason.as_deref().unwrap_or("(none)")),
        format!("body      {}", message.body.as_deref().unwrap_or("(none)")),
    ]
    .join("\n")
}
