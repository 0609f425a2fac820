//! The engine's fault points: one before or after every await that touches the database or the broker. They are there
//! once and serve every participant.

use super::{FaultPoint, Place};

macro_rules! points {
    ($($name:ident $text:literal $place:ident $stands_for:literal)*) => {
        $(pub(crate) static $name: FaultPoint = FaultPoint::new($text, Place::$place, $stands_for);)*
        /// All of them, in the order in which a message meets them.
        pub(crate) static ENGINE: &[&FaultPoint] = &[$(&$name),*];
    };
}

points! {
    BEFORE_SUBSCRIBE "before-subscribe" Subscription "the connection is made, topology and consumer are not declared anew"
    AFTER_DELIVERY "after-delivery" Delivery "messages are delivered, nothing is done with them yet"
    BEFORE_SUSPECT "before-suspect" Delivery "messages were delivered again, and are not marked suspect yet"
    AFTER_SUSPECT "after-suspect" Delivery "messages that were delivered again are marked suspect, and not handled yet"
    AFTER_COUNT "after-count" Delivery "the attempt at a suspect or waiting message is counted, its handler has not started"
    BEFORE_BEGIN "before-begin" Database "a batch is about to be handled, nothing is done with it yet"
    BEFORE_GUARDS "before-guards" Database "the batch is read, its transaction and guard rows are about to be asked for"
    AFTER_GUARDS "after-guards" Database "the guard rows are inserted, no step has run; shared rows are locked if no copies of the messages were likely"
    AFTER_LOCKS "after-locks" Database "shared rows are locked, no step has run"
    AFTER_STEPS "after-steps" Database "the steps (or undos) have run, what ends the unit is being made"
    BEFORE_COMMIT "before-commit" Database "the engine's last rows and COMMIT are about to be sent, in one go"
    AFTER_COMMIT "after-commit" Commit "the transaction is committed; nothing is published, acked or answered"
    BEFORE_WAIT "before-wait" Delivery "an event failed, the row that makes it wait is not written"
    AFTER_WAIT "after-wait" Delivery "an event waits, its delivery is not acked"
    BEFORE_PARK "before-park" Delivery "an event cannot be handled, the row that parks it is not written"
    AFTER_PARK "after-park" Delivery "an event is parked, its delivery is not acked"
    BEFORE_ACK "before-ack" Ack "a batch is settled, its ack is not sent"
    AFTER_ACK "after-ack" Ack "a batch is acked, the next one not yet taken"
    BEFORE_PUBLISH "before-publish" Publish "a batch of the outbox is about to be sent"
    BEFORE_CONFIRM "before-confirm" Publish "a batch is sent, its confirms have not come"
    AFTER_CONFIRM "after-confirm" Publish "a batch is confirmed, its outbox rows are not deleted"
    BEFORE_SWEEP "before-sweep" Sweep "the sweeper is about to lease what others left in the outbox"
    AFTER_SWEEP "after-sweep" Publish "the sweeper has leased rows and has not published them"
    BEFORE_ANNOUNCE "before-announce" Announcement "an announcement is due again, its repeat is about to be committed"
    AFTER_ANNOUNCE "after-announce" Announcement "a repeat of an announcement is committed, not published"
    AFTER_DUE "after-due" Delivery "a waiting message has been taken because it is due, nothing is done with it"
    AFTER_LEASE "after-lease" Call "a job is leased, its call has not begun"
    AFTER_CALL "after-call" Call "a job's call has ended, nothing is settled"
    BEFORE_SETTLE "before-settle" Database "the transaction that settles a job has its locks, nothing is written"
    AFTER_SETTLE "after-settle" Call "a job is settled, its messages are on their way"
}
