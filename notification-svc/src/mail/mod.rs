//! E-mails: one for each note, at least once, always under the same Message-ID. A mail server that is away keeps notes
//! waiting, and nothing else.

mod address;
mod handover;
mod letter;
mod mbox;
mod post;
mod sender;

pub use post::PostError;

pub(crate) use handover::{Arriving, Handover, handover};
pub(crate) use post::Post;
pub(crate) use sender::{LEASE, deliver, observe};

use crate::domain::Note;
use chrono::{DateTime, Utc};
use saga_common::MessageId;
use uuid::Uuid;

/// An e-mail that is to be sent now.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    /// The message that was the reason for the note.
    pub(crate) message_id: Uuid,
    /// Which attempt this is, from 1.
    pub(crate) attempt: i32,
    pub(crate) customer_id: String,
    pub(crate) order_id: Uuid,
    pub(crate) kind: String,
    pub(crate) text: String,
    pub(crate) created_at: DateTime<Utc>,
}

impl Mail {
    /// The first attempt at a note's e-mail.
    pub(crate) fn first(message_id: MessageId, note: Note, created_at: DateTime<Utc>) -> Self {
        let Note { order_id, customer_id, kind, text } = note;
        let (message_id, kind) = (message_id.as_uuid(), kind.to_owned());
        Self { message_id, attempt: 1, customer_id: customer_id.0, order_id: order_id.0, kind, text, created_at }
    }
}
