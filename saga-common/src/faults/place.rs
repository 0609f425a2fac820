//! Fault points: named places, and what can be made to go wrong at each.

use super::Fault;
use super::injector::{SCOPE, Scope};

/// What a point stands at: decides which actions mean something there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A subscription to a queue.
    Subscription,
    /// Deliveries being settled, outside of their transaction.
    Delivery,
    /// Inside of a transaction, or about to open one.
    Database,
    /// Just after a COMMIT.
    Commit,
    /// The acks of a queue.
    Ack,
    /// Publication.
    Publish,
    /// The sweeper's look for what was left over: no message passes yet.
    Sweep,
    /// Repeats of announcements.
    Announcement,
    /// Around a call outside of the database.
    Call,
}

/// A named place in the code where something can be made to go wrong.
#[derive(Debug)]
pub struct FaultPoint {
    /// Its name within the participant.
    pub name: &'static str,
    /// What it is at.
    pub place: Place,
    /// What a crash there means.
    pub stands_for: &'static str,
}

impl FaultPoint {
    /// A point. Name it after the moment: `after-charge`.
    #[must_use]
    pub const fn new(name: &'static str, place: Place, stands_for: &'static str) -> Self {
        Self { name, place, stands_for }
    }

    /// The actions that mean something here, by name.
    #[must_use]
    pub fn actions(&self) -> Vec<&'static str> {
        let mut actions = vec!["crash", "error", "delay", "drop"];
        if self.can_hold() {
            actions.push("hold");
        }
        if self.is_before_a_taker() {
            actions.push("duplicate");
        }
        if matches!(self.place, Place::Ack) {
            actions.push("skip-ack");
        }
        actions
    }

    /// Does somebody look, after this point, for what is to be handled once more? At an ack it has been handled already.
    pub(super) fn is_before_a_taker(&self) -> bool {
        !matches!(self.place, Place::Subscription | Place::Ack | Place::Sweep | Place::Announcement)
    }

    /// May a saga be held here? Not in a loop that serves all sagas at once.
    pub(super) fn can_hold(&self) -> bool {
        !matches!(self.place, Place::Subscription | Place::Sweep | Place::Announcement)
    }

    /// Lets happen here what is to happen here. Costs one look at a task-local where injection is off.
    ///
    /// # Errors
    /// When a fault says that what follows fails.
    pub async fn reached(&'static self) -> Result<(), Fault> {
        match SCOPE.try_with(Scope::clone) {
            Ok(scope) => scope.reach(self).await,
            Err(_) => Ok(()),
        }
    }
}

impl Place {
    /// The place's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subscription => "subscription",
            Self::Delivery => "delivery",
            Self::Database => "database",
            Self::Commit => "commit",
            Self::Ack => "ack",
            Self::Publish => "publish",
            Self::Sweep => "sweep",
            Self::Announcement => "announcement",
            Self::Call => "call",
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::faults::ENGINE;

    #[test]
    fn hold_is_offered_where_it_stops_no_loop_that_serves_everybody() {
        let without = ENGINE.iter().filter(|point| !point.actions().contains(&"hold")).map(|point| point.name);
        assert_eq!(
            without.collect::<Vec<_>>(),
            ["before-subscribe", "before-sweep", "before-announce", "after-announce"]
        );
    }

    #[test]
    fn duplicate_is_offered_where_somebody_handles_again_what_passes() {
        let without = ENGINE.iter().filter(|point| !point.actions().contains(&"duplicate")).map(|point| point.name);
        assert_eq!(
            without.collect::<Vec<_>>(),
            ["before-subscribe", "before-ack", "after-ack", "before-sweep", "before-announce", "after-announce"]
        );
    }
}
