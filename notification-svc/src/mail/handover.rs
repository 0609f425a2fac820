//! E-mails on their way through memory, from the step that notes them to the task that sends them. They are written as taken
//! already, which saves finding and marking them. What gets lost here, because the process ends or the task is slow, is due when that
//! lease is over, for whoever looks then.

use super::Mail;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// E-mails in memory at most; more are due at once, in the database.
const ROOM: usize = 4_096;

/// Where steps hand e-mails over. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Handover {
    room: Arc<Semaphore>,
    sender: mpsc::UnboundedSender<Handed>,
}

/// The end at which they arrive.
#[derive(Debug)]
pub(crate) struct Arriving {
    receiver: mpsc::UnboundedReceiver<Handed>,
    next: VecDeque<Handed>,
}

#[derive(Debug)]
struct Handed {
    mail: Mail,
    since: Instant,
    _room: OwnedSemaphorePermit,
}

/// Room for the e-mails of one transaction, until it has committed. Dropped, it is free again.
#[derive(Debug)]
pub(crate) struct Room {
    permits: OwnedSemaphorePermit,
    sender: mpsc::UnboundedSender<Handed>,
    /// From before the lease was written.
    since: Instant,
}

pub(crate) fn handover() -> (Handover, Arriving) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Handover { room: Arc::new(Semaphore::new(ROOM)), sender }, Arriving { receiver, next: VecDeque::new() })
}

impl Handover {
    /// Room for so many, if there is: then they are to be written as taken.
    pub(crate) fn room_for(&self, mails: usize) -> Option<Room> {
        let permits = Arc::clone(&self.room).try_acquire_many_owned(u32::try_from(mails).ok()?).ok()?;
        Some(Room { permits, sender: self.sender.clone(), since: Instant::now() })
    }
}

impl Room {
    /// Hands them over; they are committed.
    pub(crate) fn fill(mut self, mails: Vec<Mail>) {
        for mail in mails {
            let Some(room) = self.permits.split(1) else { return };
            // A task that has ended sends nothing more.
            drop(self.sender.send(Handed { mail, since: self.since, _room: room }));
        }
    }
}

impl Arriving {
    /// Those that were handed over within this time, at most so many. Older ones are left to whoever leases them next.
    pub(super) fn take(&mut self, at_most: usize, within: Duration) -> Vec<Mail> {
        while let Ok(handed) = self.receiver.try_recv() {
            self.next.push_back(handed);
        }
        let mut mails = Vec::new();
        while mails.len() < at_most
            && let Some(handed) = self.next.pop_front()
        {
            if handed.since.elapsed() < within {
                mails.push(handed.mail);
            }
        }
        mails
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn mail(n: u128) -> Mail {
        Mail {
            message_id: Uuid::from_u128(n),
            attempt: 1,
            customer_id: "anna".to_owned(),
            order_id: Uuid::from_u128(7),
            kind: "confirmed".to_owned(),
            text: String::new(),
            created_at: Default::default(),
        }
    }

    fn ids(mails: &[Mail]) -> Vec<u128> {
        mails.iter().map(|mail| mail.message_id.as_u128()).collect()
    }

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn what_is_committed_arrives_in_order_and_what_is_not_leaves_no_trace() {
        let (handover, mut arriving) = handover();
        drop(handover.room_for(ROOM));
        handover.room_for(2).expect("room").fill(vec![mail(1), mail(2)]);
        handover.room_for(1).expect("room").fill(vec![mail(3)]);
        assert_eq!(ids(&arriving.take(2, SOON)), [1, 2]);
        assert_eq!(ids(&arriving.take(2, SOON)), [3]);
        assert!(arriving.take(2, SOON).is_empty());
    }

    #[test]
    fn there_is_no_room_for_more_than_memory_is_for_until_some_are_taken() {
        let (handover, mut arriving) = handover();
        handover.room_for(ROOM - 1).expect("room").fill((1..ROOM as u128).map(mail).collect());
        assert!(handover.room_for(2).is_none());
        arriving.take(1, SOON);
        handover.room_for(2).expect("one was taken").fill(vec![mail(0), mail(0)]);
        assert!(handover.room_for(1).is_none());
    }

    #[test]
    fn what_was_handed_over_too_long_ago_is_left_to_others() {
        let (handover, mut arriving) = handover();
        let mut room = handover.room_for(1).expect("room");
        room.since = room.since.checked_sub(SOON).expect("the machine has run for longer");
        room.fill(vec![mail(1)]);
        handover.room_for(1).expect("room").fill(vec![mail(2)]);
        assert_eq!(ids(&arriving.take(9, SOON)), [2], "the first one's lease was counted from before its commit");
    }
}
