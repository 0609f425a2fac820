//! All SQL that writes.

use crate::domain::Note;
use saga_common::{DbError, MessageId, Tx};
use uuid::Uuid;

/// Adds notes, each under the message that was the reason for it.
///
/// # Errors
/// The database's, also when a message has its note already: its guard row would have been there, too.
pub(crate) async fn add(tx: &Tx, notes: &[(MessageId, Note)]) -> Result<(), DbError> {
    let messages: Vec<Uuid> = notes.iter().map(|(message_id, _)| message_id.as_uuid()).collect();
    let orders: Vec<Uuid> = notes.iter().map(|(_, note)| note.order_id.0).collect();
    let kinds: Vec<&str> = notes.iter().map(|(_, note)| note.kind).collect();
    let texts: Vec<&str> = notes.iter().map(|(_, note)| note.text.as_str()).collect();
    tx.execute(
        "insert into notifications (message_id, order_id, kind, text)
         select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[])",
        &[&messages, &orders, &kinds, &texts],
    )
    .await?;
    Ok(())
}
