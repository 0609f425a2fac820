//! E-mails: one for each note, at least once, always under the same Message-ID. A mail server that is away keeps notes
//! waiting, and nothing else.

mod address;
mod letter;
mod mbox;
mod post;
mod sender;

pub use post::PostError;

pub(crate) use post::Post;
pub(crate) use sender::{deliver, observe};

use chrono::{DateTime, Utc};
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
