//! One participant's part of a saga, read off its guard rows and its waiting messages.

use crate::choreography::{Choreography, Held, Line, Part, Said};
use crate::db::DbError;
use crate::ids::{MessageId, SagaId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::PgPool;

/// What one participant knows of a saga: what `GET /sagas/{saga_id}` answers, to be read by the other services, too.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct SagaPart {
    /// The participant.
    pub service: String,
    /// The saga.
    #[cfg_attr(feature = "http", schema(value_type = uuid::Uuid))]
    pub saga_id: SagaId,
    /// Its steps here, oldest first.
    pub steps: Vec<StepLine>,
    /// What waits or is parked here.
    pub waiting: Vec<WaitingLine>,
    /// What is said again and again until it is answered.
    #[serde(default)]
    pub announced: Vec<AnnouncedLine>,
    /// Calls outside that are to be made or under way here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<CallLine>,
    /// Fault directives that the saga carries for this participant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultLine>,
}

impl SagaPart {
    /// The same as a part of a story, in which `service` is called so and has this map.
    #[must_use]
    pub fn told<'a>(&'a self, service: &'a str, map: &'a Choreography) -> Part<'a> {
        let held = |row: &WaitingLine| Held { message_id: row.message_id.as_uuid(), parked: row.is_parked() };
        let said = |row: &'a AnnouncedLine| Said::new(&row.event_type, row.message_id.as_uuid(), row.due_at);
        Part {
            service,
            map,
            silent: false,
            lines: self.steps.iter().map(StepLine::told).collect(),
            held: self.waiting.iter().map(held).collect(),
            announced: self.announced.iter().map(said).collect(),
        }
    }
}

/// One guard row.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct StepLine {
    /// The step; `compensate` for the line of the participant's answer.
    pub step: String,
    /// What became of it: a word of [`Verdict`](crate::Verdict). Text, so that a newer participant may have more of them.
    pub verdict: String,
    /// The message it reacted to (for the step that started the saga: the one it said).
    #[cfg_attr(feature = "http", schema(value_type = uuid::Uuid))]
    pub message_id: MessageId,
    /// What caused that message.
    #[cfg_attr(feature = "http", schema(value_type = Option<uuid::Uuid>))]
    pub causation_id: Option<MessageId>,
    /// What it said.
    pub said: Option<SaidLine>,
    /// Why, where the verdict does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When it was settled, or begun.
    pub at: DateTime<Utc>,
    /// When its guard row was made: of a step that was undone since, when it had taken effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun_at: Option<DateTime<Utc>>,
}

/// What a step said.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct SaidLine {
    /// The wire type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The message.
    #[cfg_attr(feature = "http", schema(value_type = uuid::Uuid))]
    pub message_id: MessageId,
    /// The event, as it was written.
    #[cfg_attr(feature = "http", schema(value_type = Object))]
    pub body: Option<Box<RawValue>>,
}

/// One waiting or parked message.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct WaitingLine {
    /// The message.
    #[cfg_attr(feature = "http", schema(value_type = uuid::Uuid))]
    pub message_id: MessageId,
    /// The step it waits for.
    pub step: String,
    /// `suspect`, `waiting` or `parked`.
    pub state: String,
    /// Attempts so far.
    pub attempts: i32,
    /// Why it waits.
    pub reason: String,
    /// When it is tried next.
    pub due_at: DateTime<Utc>,
}

/// An announcement that is not answered yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct AnnouncedLine {
    /// The wire type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The message, the same each time.
    #[cfg_attr(feature = "http", schema(value_type = uuid::Uuid))]
    pub message_id: MessageId,
    /// How often it was repeated.
    pub repeats: i32,
    /// When it is repeated next.
    pub due_at: DateTime<Utc>,
}

impl StepLine {
    /// The same as a line of a story.
    #[must_use]
    pub fn told(&self) -> Line<'_> {
        Line {
            step: &self.step,
            verdict: &self.verdict,
            message_id: Some(self.message_id.as_uuid()),
            said: self.said.as_ref().map(|said| Said::new(&said.event_type, said.message_id.as_uuid(), self.at)),
            detail: self.detail.as_deref(),
        }
    }
}

/// One call outside that has not ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct CallLine {
    /// Whose call it is.
    pub step: String,
    /// `call`, or `undo` when it reverses one.
    pub phase: String,
    /// Attempts so far; leases in which nobody was asked do not count.
    pub attempts: i32,
    /// What the last one failed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When it is tried next.
    pub due_at: DateTime<Utc>,
}

/// One fault directive of a saga.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct FaultLine {
    /// Such as `payment-svc/after-charge=crash`.
    pub directive: String,
    /// How often it may still fire here.
    pub times_left: i32,
    /// When it first fired here, if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fired_at: Option<DateTime<Utc>>,
    /// When somebody ended a hold for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released_at: Option<DateTime<Utc>>,
}

impl WaitingLine {
    /// Does it wait for a person? Else for its time.
    #[must_use]
    pub fn is_parked(&self) -> bool {
        self.state == "parked"
    }
}

pub(super) async fn read(reads: &PgPool, participant: &str, saga_id: SagaId) -> Result<SagaPart, DbError> {
    let id = saga_id.as_uuid();
    let steps = sqlx::query!(
        r#"select k.step, k.verdict, k.message_id, k.causation_id, k.said_type, k.said_id, k.detail,
                  s.bodies[array_position(s.ids, k.said_id)] as said_body, coalesce(k.settled_at, k.created_at) as "at!",
                  k.created_at
           from saga.idempotency_keys k left join saga.said s on s.unit = k.said_unit
           where k.saga_id = $1 order by k.created_at, k.step"#,
        id
    )
    .fetch_all(reads)
    .await?;
    let waiting = sqlx::query!(
        "select message_id, step, state, attempts, reason, due_at from saga.waiting where saga_id = $1 order by due_at",
        id
    )
    .fetch_all(reads)
    .await?;
    let announced = sqlx::query!(
        "select type as event_type, message_id, repeats, due_at from saga.announcements where saga_id = $1",
        id
    )
    .fetch_all(reads)
    .await?;
    let calls = sqlx::query_as!(
        CallLine,
        r#"select step, phase, attempts - held as "attempts!", last_error, due_at from saga.jobs where saga_id = $1 order by step"#,
        id
    )
    .fetch_all(reads)
    .await?;
    // Every participant is told of all directives of a saga; only its own can fire in it.
    let faults = sqlx::query_as!(
        FaultLine,
        "select directive, times_left, fired_at, released_at from saga.faults
         where saga_id = $1 and (directive like $2 or directive like '*/%') order by n",
        id,
        format!("{participant}-svc/%")
    )
    .fetch_all(reads)
    .await?;
    let steps = steps.into_iter().map(|row| StepLine {
        step: row.step,
        verdict: row.verdict,
        message_id: row.message_id.into(),
        causation_id: row.causation_id.map(Into::into),
        said: row.said_id.zip(row.said_type).map(|(message_id, event_type)| SaidLine {
            event_type,
            message_id: message_id.into(),
            body: row.said_body.as_deref().and_then(|body| serde_json::from_slice(body).ok()),
        }),
        detail: row.detail,
        at: row.at,
        begun_at: Some(row.created_at),
    });
    let waiting = waiting.into_iter().map(|row| WaitingLine {
        message_id: row.message_id.into(),
        step: row.step,
        state: row.state,
        attempts: row.attempts,
        reason: row.reason,
        due_at: row.due_at,
    });
    let announced = announced.into_iter().map(|row| AnnouncedLine {
        event_type: row.event_type,
        message_id: row.message_id.into(),
        repeats: row.repeats,
        due_at: row.due_at,
    });
    let service = participant.to_owned();
    let (steps, waiting, announced) = (steps.collect(), waiting.collect(), announced.collect());
    Ok(SagaPart { service, saga_id, steps, waiting, announced, calls, faults })
}
