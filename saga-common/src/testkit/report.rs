//! What the engine's rows say of a message or a saga, for assertions.

use super::{Bench, Message};
use crate::db::DbError;
use crate::error::Error;
use crate::guard::Verdict;
use crate::ids::{MessageId, SagaId};
use std::time::Duration;
use tokio_postgres::Row;
use uuid::Uuid;

/// What has become of a message: its guard row, or the row in which it waits, or neither.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The step part of the guard key; `compensate` for a failure; `None` if no step reacts to the message.
    pub step: Option<String>,
    /// What the guard row says.
    pub verdict: Option<Verdict>,
    /// What the step said, or what the participant answered.
    pub said: Option<Said>,
    /// If it waits or is parked.
    pub waiting: Option<Waiting>,
}

/// Something that was said.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// The wire type.
    pub event_type: String,
    /// The message's id.
    pub message_id: MessageId,
    /// The event.
    pub body: serde_json::Value,
    /// In the outbox: which repeat of an announcement it is; 0 for what is said once.
    pub announcement: u32,
}

/// A message that waits for another attempt or for a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// `suspect`, `waiting` or `parked`.
    pub state: String,
    /// Attempts counted so far; the first delivery is not.
    pub attempts: u32,
    /// Why.
    pub reason: String,
    /// When it is tried again, from now; zero if it is due.
    pub due_in: Duration,
}

impl<App: Send + Sync + 'static> Bench<App> {
    /// What has become of a message that was delivered before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn report(&self, message: &Message) -> Result<Report, Error> {
        let step = self.step_of(message);
        let guard = match (&step, &message.envelope.saga_id) {
            (Some(step), Ok(saga_id)) => self.guards(*saga_id).await?.into_iter().find(|guard| guard.0 == *step),
            _ => None,
        };
        let (verdict, said) = guard.map_or((None, None), |(_, verdict, said)| (Some(verdict), said));
        Ok(Report { step, verdict, said, waiting: self.waiting(message.id()).await? })
    }

    /// The saga's guard rows, oldest first: step, verdict, what was said.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn guards(&self, saga_id: SagaId) -> Result<Vec<(String, Verdict, Option<Said>)>, Error> {
        let sql = "select k.step, k.verdict, k.said_type, k.said_id, s.bodies[array_position(s.ids, k.said_id)], 0
                   from saga.idempotency_keys k left join saga.said s on s.unit = k.said_unit
                   where k.saga_id = $1 order by k.created_at, k.step";
        let rows = self.db().query(sql, &[&saga_id.as_uuid()]).await?;
        let guard = |row: &Row| {
            let said = row.get::<_, Option<String>>(2).map(|_| said(row, 2));
            Ok((row.get(0), Verdict::parse(row.get(1))?, said))
        };
        Ok(rows.iter().map(guard).collect::<Result<_, DbError>>()?)
    }

    /// What was said in the saga and is still in the outbox, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn outbox(&self, saga_id: SagaId) -> Result<Vec<Said>, Error> {
        let sql = "select type, id, body, announcement from saga.unsent where saga_id = $1 order by created_at, id";
        let rows = self.db().query(sql, &[&saga_id.as_uuid()]).await?;
        Ok(rows.iter().map(|row| said(row, 0)).collect())
    }

    async fn waiting(&self, message_id: MessageId) -> Result<Option<Waiting>, Error> {
        let sql = "select state, attempts, reason, extract(epoch from due_at - clock_timestamp())::float8
                   from saga.waiting where message_id = $1 order by step limit 1";
        let rows = self.db().query(sql, &[&message_id.as_uuid()]).await?;
        let waiting = |row: &Row| Waiting {
            state: row.get(0),
            attempts: row.get::<_, i32>(1).unsigned_abs(),
            reason: row.get(2),
            due_in: Duration::from_secs_f64(row.get::<_, f64>(3).max(0.0)),
        };
        Ok(rows.first().map(waiting))
    }
}

/// Reads type, id, body and announcement from this column on.
fn said(row: &Row, from: usize) -> Said {
    Said {
        event_type: row.get(from),
        message_id: row.get::<_, Uuid>(from + 1).into(),
        body: serde_json::from_slice(row.get(from + 2)).unwrap_or_default(),
        announcement: row.get::<_, i32>(from + 3).unsigned_abs(),
    }
}
