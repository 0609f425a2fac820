//! What every service tells about its part of a saga: its lines of the story, its parked messages.

use chrono::{DateTime, Utc};
use reqwest::Method;
use saga_choreography::Expectation;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{Client, ClientError, Service, receive};

/// One service's part of a saga, from `GET /sagas/{saga_id}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Story {
    /// Whose part it is, such as `inventory`.
    pub service: String,
    /// The saga.
    pub saga_id: Uuid,
    /// Its guard rows.
    pub steps: Vec<StoryStep>,
    /// Messages of this saga that the service has set aside.
    #[serde(default)]
    pub waiting: Vec<WaitingMessage>,
    /// What the service says again and again until it is answered.
    #[serde(default)]
    pub announced: Vec<Announced>,
}

/// An announcement that is not answered yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Announced {
    /// Such as `order.cancelling.v1`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The event's id, the same each time.
    pub message_id: Uuid,
    /// How often it was repeated.
    #[serde(default)]
    pub repeats: i32,
    /// When it is repeated next.
    pub due_at: DateTime<Utc>,
}

/// One guard row: what became of one step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoryStep {
    /// Such as `reserve-stock`, or `notify:<message id>`.
    pub step: String,
    /// `done`, `rejected`, `superseded`, `intent`, `undoing`, `undone`, `fenced` or `nothing-to-undo`.
    pub verdict: String,
    /// The message that decided it.
    #[serde(default)]
    pub message_id: Option<Uuid>,
    /// The message that caused that one.
    #[serde(default)]
    pub causation_id: Option<Uuid>,
    /// What the step said, if anything.
    #[serde(default)]
    pub said: Option<Said>,
    /// Why, where the verdict does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When it was first written, by this service's database.
    #[serde(default)]
    pub begun_at: Option<DateTime<Utc>>,
    /// When it became what it is now.
    pub at: DateTime<Utc>,
}

/// An event that a step published.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Said {
    /// Such as `stock.reserved.v1`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The event's id.
    pub message_id: Uuid,
    /// The event itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
}

/// A message that a service has set aside, to be tried later or by hand.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WaitingMessage {
    /// The message.
    pub message_id: Uuid,
    /// The step that could not take it.
    pub step: String,
    /// `suspect`, `waiting` or `parked`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i32,
    /// What the last try said.
    #[serde(default)]
    pub reason: Option<String>,
    /// When it is tried next.
    #[serde(default)]
    pub due_at: Option<DateTime<Utc>>,
}

/// An order's story as order-svc stitches it together, from `GET /orders/{id}/timeline`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Timeline {
    /// The saga.
    pub saga_id: Uuid,
    /// The saga of the order's return, whose steps are told here too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_id: Option<Uuid>,
    /// What happened, oldest first by the services' own clocks.
    pub entries: Vec<TimelineEntry>,
    /// What comes next, by the choreography.
    #[serde(default)]
    pub expected: Vec<Expectation>,
    /// The events of which one would end the saga; none if it has ended.
    #[serde(default)]
    pub terminal: Vec<String>,
    /// Services that did not answer, so whose part is missing.
    #[serde(default)]
    pub silent: Vec<String>,
    /// Messages of this saga that wait for a person.
    #[serde(default)]
    pub parked: Vec<HeldMessage>,
    /// Messages of this saga that wait for another try.
    #[serde(default)]
    pub waiting: Vec<HeldMessage>,
}

/// One line of a [`Timeline`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// When, by the clock of that service's database.
    pub at: DateTime<Utc>,
    /// Who.
    pub service: String,
    /// The step.
    pub step: String,
    /// What became of it; see [`StoryStep::verdict`].
    pub verdict: String,
    /// What it reacted to.
    #[serde(default)]
    pub reacted_to: Option<MessageRef>,
    /// What it said.
    #[serde(default)]
    pub said: Option<Said>,
    /// Why, where the verdict does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Points to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRef {
    /// Its id.
    pub message_id: Uuid,
    /// Its type, where somebody tells that they said it.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// A message that some service has set aside, as a [`Timeline`] shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HeldMessage {
    /// Who holds it.
    pub service: String,
    /// The message.
    pub message_id: Uuid,
    /// The step that could not take it.
    pub step: String,
    /// How often it was tried.
    pub attempts: i32,
    /// What the last try said.
    #[serde(default)]
    pub reason: Option<String>,
    /// When it is tried next.
    #[serde(default)]
    pub due_at: Option<DateTime<Utc>>,
}

/// A message that waits for a person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ParkedMessage {
    /// The message.
    pub message_id: Uuid,
    /// The step that could not take it.
    pub step: String,
    /// Its saga, if it names one.
    #[serde(default)]
    pub saga_id: Option<Uuid>,
    /// Such as `order.placed.v1`; as the sender wrote it.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Why it is here.
    #[serde(default)]
    pub reason: Option<String>,
    /// How often it was tried.
    pub attempts: i32,
    /// `parked`, or `waiting` when a redrive is under way.
    pub state: String,
    /// Whether trying again can help.
    #[serde(default)]
    pub redrivable: bool,
    /// When it first failed.
    pub first_seen_at: DateTime<Utc>,
    /// When it is tried next, if it is.
    #[serde(default)]
    pub due_at: Option<DateTime<Utc>>,
    /// The message itself, as text; only [`Client::parked_show`] brings it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// The answer to [`Client::redrive`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Redriven {
    /// The message.
    pub message_id: Uuid,
    /// How many parked rows of it are due now.
    pub redriven: u64,
}

impl Client {
    /// `GET /sagas/{saga_id}` of one service: its own part of the story.
    ///
    /// # Errors
    /// A problem 404 if the service has never heard of the saga and says so that way; transport errors.
    pub async fn saga(&self, service: Service, saga_id: Uuid) -> Result<Story, ClientError> {
        self.get(service, &["sagas", &saga_id.to_string()]).await
    }

    /// `GET /readyz` of one service.
    ///
    /// # Errors
    /// A problem 503 while it is not ready; transport errors.
    pub async fn ready(&self, service: Service) -> Result<(), ClientError> {
        let request = self.request(Method::GET, service, &["readyz"])?;
        let transport = |source| ClientError::transport(service, source);
        let response = request.send().await.map_err(transport)?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let body = response.bytes().await.map_err(transport)?;
        Err(ClientError::Problem(super::Problem::read(service, status, &body)))
    }

    /// `GET /parked` of one service, oldest first, at most `limit` of them.
    ///
    /// # Errors
    /// Transport errors.
    pub async fn parked(&self, service: Service, limit: u32) -> Result<Vec<ParkedMessage>, ClientError> {
        #[derive(Deserialize)]
        struct Body {
            parked: Vec<ParkedMessage>,
        }
        let request = self.request(Method::GET, service, &["parked"])?.query(&[("limit", limit)]);
        let answer = receive::<Body>(service, request).await?;
        Ok(answer.body.parked)
    }

    /// `GET /parked/{message_id}` of one service, with the message itself.
    ///
    /// # Errors
    /// A problem 404 if nothing of that id is parked there; transport errors.
    pub async fn parked_show(&self, service: Service, message_id: Uuid) -> Result<ParkedMessage, ClientError> {
        self.get(service, &["parked", &message_id.to_string()]).await
    }

    /// `POST /parked/{message_id}/redrive`: makes the service try the message again, through its normal handler.
    ///
    /// # Errors
    /// A problem 404 if nothing of that id is parked there, 409 if it can never be tried again; transport errors.
    pub async fn redrive(&self, service: Service, message_id: Uuid) -> Result<Redriven, ClientError> {
        let request = self.request(Method::POST, service, &["parked", &message_id.to_string(), "redrive"])?;
        Ok(receive(service, request).await?.body)
    }
}
