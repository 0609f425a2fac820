//! The way out of a queue whose head the AMQP client cannot read.
//!
//! The client ends the whole connection when a text among a message's properties is no UTF-8, before anybody sees the
//! message; it would do so again, with the same message, for ever. A salvage reads the queue over a connection of its own
//! with a reader of its own, hands out what the client cannot read, and leaves the rest: it is not acked, so it is back in
//! the queue when the connection ends. Two salvages of one queue at once get different messages.

mod frame;
#[cfg(test)]
mod fuzz;
mod header;
mod wire;

use super::Link;
use crate::envelope::RawMessage;
use tokio_util::sync::CancellationToken;
use wire::{Got, Wire};

/// Why a queue could not be salvaged. It is tried again when the client fails again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SalvageError {
    /// The socket failed.
    #[error("salvage: the connection failed: {0}")]
    Io(#[from] std::io::Error),
    /// No answer in time.
    #[error("salvage: no answer in time")]
    Silent,
    /// The broker has closed the connection or the channel.
    #[error("salvage: the broker refused: {code} {text}")]
    Refused {
        /// AMQP's reply code.
        code: u16,
        /// The broker's words.
        text: String,
    },
    /// What came is no AMQP, or not what was to come.
    #[error("salvage: what the broker sent makes no sense: {0}")]
    Garbled(&'static str),
    /// The URL asks for TLS or for a login other than PLAIN.
    #[error("salvage: only plain connections with a password are supported")]
    Unsupported,
}

/// A look into one queue.
pub(crate) struct Salvage {
    wire: Wire,
    queue: String,
    left: usize,
    stop: CancellationToken,
}

/// A message the client cannot read; it goes back if it is not acked.
#[derive(Debug)]
pub(crate) struct Unread {
    /// Why not.
    pub(crate) reason: &'static str,
    /// What can be read of it; what is no UTF-8 in its texts is replaced.
    pub(crate) raw: RawMessage,
    tag: u64,
}

impl Salvage {
    /// Begins to look at up to `most` messages of the queue, fewer when the service stops, on a connection
    /// `<service>/salvage@<host>:<pid>`.
    pub(crate) async fn open(
        link: &Link,
        queue: &str,
        most: usize,
        stop: &CancellationToken,
    ) -> Result<Self, SalvageError> {
        let wire = Wire::open(link.uri(), &super::link::connection_name(link.service(), "salvage")).await?;
        Ok(Self { wire, queue: queue.to_owned(), left: most, stop: stop.clone() })
    }

    /// The next message the client cannot read, if one is among those that are looked at.
    pub(crate) async fn next(&mut self) -> Result<Option<Unread>, SalvageError> {
        while self.left > 0 && !self.stop.is_cancelled() {
            self.left -= 1;
            match self.wire.get(&self.queue).await? {
                None => return Ok(None),
                Some(Got::Readable) => {}
                Some(Got::Unreadable { tag, reason, raw }) => return Ok(Some(Unread { reason, raw, tag })),
                Some(Got::TooLarge { bytes }) => tracing::error!(
                    queue = %self.queue, bytes,
                    "a message that cannot be read is too large to be parked; it stops this queue until it is removed"
                ),
            }
        }
        Ok(None)
    }

    /// It is parked or waits: the broker may forget it.
    pub(crate) async fn ack(&mut self, unread: &Unread) -> Result<(), SalvageError> {
        self.wire.ack(unread.tag).await
    }

    /// Ends in order; what was not acked is back in the queue then.
    pub(crate) async fn close(self) -> Result<(), SalvageError> {
        self.wire.close().await
    }
}
