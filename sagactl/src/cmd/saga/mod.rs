//! `sagactl saga`: what became of a saga, asked of every service.

use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::join_all;
use saga_choreography::{Expectation, ExpectedState};
use uuid::Uuid;

use super::show::{moment, table};
use super::{Failure, Session};
use crate::client::{Client, ClientError, Service, Story, built_in_maps};

mod stitch;

/// A frozen service is shown as silent after this long.
const PATIENCE: Duration = Duration::from_secs(2);

pub use stitch::{Line, SagaView, Silence, Waiting, stitch};

/// Flags of `sagactl saga`.
#[derive(Debug, clap::Subcommand)]
pub enum Saga {
    /// Show the story of one saga
    Show {
        /// Which; an order's id is its saga's
        id: Uuid,
    },
}

impl Saga {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Failure> {
        let Saga::Show { id } = self;
        let view = view(&session.client, id).await.map_err(Failure::all)?;
        if view.lines.is_empty() && view.waiting.is_empty() && view.silent.is_empty() {
            return Err(Failure::Failed(format!("no service knows anything of saga {id}")));
        }
        session.print(&view, people)
    }
}

/// Asks every service for its part and its map, all at once, and stitches them together. A service that does not answer is
/// part of the result, not an error.
///
/// # Errors
/// When no service answers: what each of them failed with.
pub async fn view(client: &Client, saga_id: Uuid) -> Result<SagaView, Vec<ClientError>> {
    let client = &client.clone().with_timeout(PATIENCE);
    let asked = join_all(Service::ALL.map(|service| async move {
        let (story, map) = tokio::join!(client.saga(service, saga_id), client.choreography(service));
        let story = match story {
            Err(error) if error.is_not_found() => {
                let service = service.name().to_owned();
                Ok(Story { service, saga_id, steps: Vec::new(), waiting: Vec::new(), announced: Vec::new() })
            }
            story => story,
        };
        (service, story, map)
    }));

    let (mut stories, mut maps, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    let mut built_in = built_in_maps().into_iter();
    for (service, story, map) in asked.await {
        // What a silent service should do is told by the map that this program was built with.
        let built_in = built_in.find(|map| map.participant == service.name());
        maps.extend(map.ok().or(built_in).map(|map| (service, map)));
        match story {
            Ok(story) => stories.push((service, story)),
            Err(error) => errors.push((service, error)),
        }
    }
    if stories.is_empty() {
        return Err(errors.into_iter().map(|(_, error)| error).collect());
    }
    let silence = |(service, error)| Silence { service, reason: reason(&error) };
    Ok(stitch(saga_id, &stories, &maps, errors.into_iter().map(silence).collect(), Utc::now()))
}

fn reason(error: &ClientError) -> String {
    match error {
        ClientError::NobodyListens { url, .. } => format!("nothing listens on {url}"),
        ClientError::Transport { reason, .. } => reason.clone(),
        other => other.to_string(),
    }
}

fn people(view: &SagaView) -> String {
    let mut text = format!("saga {}", view.saga_id);
    let begun = view.lines.iter().map(|line| line.begun_at).min();
    if let Some(begun) = begun {
        text += &format!(", begun {}", moment(begun));
    }

    let mut lines = table(["+ms", "service", "step", "reacted to", "verdict", "said"], &["+ms"]);
    for line in &view.lines {
        lines.add_row([
            after(begun, line.begun_at),
            line.service.to_string(),
            without_id(&line.step).to_owned(),
            line.reacted_to.clone().unwrap_or_default(),
            verdict(line, begun),
            line.said.clone().unwrap_or_default(),
        ]);
    }
    text += &format!("\n{lines}");
    for expected in &view.expected {
        text += &format!("\n{}", next(expected, Utc::now()));
    }
    if !view.terminal.is_empty() {
        text += &format!("\nends with: {}", view.terminal.join(" or "));
    }

    for Waiting { service, message } in &view.waiting {
        let reason = message.reason.as_deref().unwrap_or("no reason");
        let (state, step, attempts) = (&message.state, &message.step, message.attempts);
        text += &format!("\n{state} at {service}: {} for {step}, {attempts} attempts: {reason}", message.message_id);
    }
    for Silence { service, reason } in &view.silent {
        text += &format!("\nsilent: {service} ({reason}); its part is not shown");
    }
    text
}

/// What comes next, and where to look if it does not.
fn next(expected: &Expectation, now: DateTime<Utc>) -> String {
    let Expectation { service, step, reacts_to, message_id, said_at, state } = expected;
    let seconds = (now - said_at).num_milliseconds() as f64 / 1_000.0;
    let what = format!("{service} {step} ({reacts_to}, said {seconds:.1} s ago)");
    let queue = || {
        let maps = built_in_maps();
        let fails = maps.iter().flat_map(|map| &map.steps).any(|it| it.refuses.as_ref() == Some(reacts_to));
        let role = if fails { "failures" } else { "events" };
        format!("{}.{role}", service.trim_end_matches("-svc"))
    };
    match state {
        ExpectedState::Expected => format!("expects next: {what}"),
        ExpectedState::Late => format!(
            "late: {what}; look whether the queue {} has a consumer and runs empty, and at the metric saga_outbox_messages of who said it",
            queue()
        ),
        ExpectedState::Waiting => format!("waits for another attempt: {what}; its reason is below"),
        ExpectedState::Parked => format!("parked: {what}; try again with `sagactl parked redrive {message_id}`"),
        ExpectedState::Unknown => format!("unknown: {what}; {service} does not answer"),
    }
}

/// What became of the step, and since when if that is not what it was at first.
fn verdict(line: &Line, begun: Option<DateTime<Utc>>) -> String {
    let mut verdict = line.verdict.clone();
    if line.at > line.begun_at {
        verdict += &format!(" at +{}", after(begun, line.at));
    }
    if let Some(detail) = &line.detail {
        verdict += &format!(" ({detail})");
    }
    verdict
}

/// A listener's step has a message id in its name, to be unique; that tells people nothing.
fn without_id(step: &str) -> &str {
    match step.split_once(':') {
        Some((name, id)) if Uuid::parse_str(id).is_ok() => name,
        _ => step,
    }
}

/// Milliseconds since the earliest line. Several databases' clocks can disagree, so these may run out of order.
fn after(begun: Option<DateTime<Utc>>, at: DateTime<Utc>) -> String {
    begun.map_or_else(String::new, |begun| (at - begun).num_milliseconds().to_string())
}
