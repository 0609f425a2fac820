//! The protocol with one clause dropped. A model that does not notice proves nothing: each of these must be caught, by the
//! property that is named, in the smallest configuration that can.

use crate::check::Subject;
use crate::config::{Config, Money, Reply};
use crate::message::{Queue, Service};
use crate::properties::name;
use crate::state::Budget;

/// A mutant: its rule, what it drops, and the property that breaks.
#[derive(Debug, Clone, Copy)]
pub struct Clause {
    /// Which one.
    pub mutant: Mutant,
    /// Which rule the clause belongs to.
    pub rule: &'static str,
    /// What it does instead, in words.
    pub instead: &'static str,
    /// What must be found broken.
    pub breaks: &'static str,
}

macro_rules! mutants {
    ($($mutant:ident $rule:literal $breaks:ident $instead:literal)*) => {
        /// A clause that is dropped. What each does instead is in [`CLAUSES`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum Mutant {
            $($mutant,)*
        }

        /// All of them, by rule.
        pub const CLAUSES: &[Clause] = &[
            $(Clause { mutant: Mutant::$mutant, rule: $rule, instead: $instead, breaks: name::$breaks },)*
        ];
    };
}

mutants! {
    NoGuard "R1" ONCE "an action that was done is done again by a copy of its message"
    NoFence "R1" NO_STOCK_KEPT "an undo that finds nothing leaves no fence"
    FenceIgnored "R1" NO_STOCK_KEPT "a late action takes the fence for no guard row"
    FenceForgotten "R1" NO_STOCK_KEPT "a fence that has caught one late action is deleted"
    UndoneAgain "R1" ONCE "an undo does not ask whether the step is `done`"
    ReadsFirst "R1" NO_STOCK_KEPT "the guard row is looked for first and written later"
    GuardInOwnTransaction "R1" ONCE "the guard row is committed after the business rows"
    OutboxInOwnTransaction "R1" ALL_DECIDED "what is said is committed after the business rows"
    BodyNotCompared "R1" ONLY_INJECTED "another body under the same key passes for a duplicate"
    AnswersCounted "R1" NO_STOCK_KEPT "answers are counted, whoever they are from"
    ReservationsExpire "R2" CONFIRMED_HAS "inventory lets a reservation expire by itself"
    ConfirmsAnyStatus "R2" CONFIRMED_HAS "confirm-order does not ask whether the order is pending"
    CancelsAnyStatus "R2" FINAL "a cancellation does not ask whether the order is pending"
    RefusesWithoutVerdict "R2" REFUSALS "a service refuses without writing `rejected`"
    AnyAmountConfirms "R2" CONFIRMED_HAS "a charge that differs from the order confirms it"
    JobInMemory "R3" NO_ORPHAN "the job is not committed with the intent"
    CreatesConfirmed "R3" CHARGED_ONCE "the provider's intent is created confirmed"
    ConfirmsBeforeStoring "R3" CHARGED_ONCE "an intent is confirmed before its id is stored"
    StoresWithoutEpoch "R3" CHARGED_ONCE "an intent's id is stored without asking who has the job"
    LeaseKeepsEpoch "R3" CHARGED_ONCE "a lease takes no epoch of its own"
    UndoKeepsEpoch "R3" NO_MONEY_KEPT "an undo takes no epoch of its own"
    EpochsUsedAgain "R3" CHARGED_ONCE "the job of an undo counts its epochs from the start"
    SettlesAnyway "R3" ANSWERS "a worker settles without asking whether guard and job are still its own"
    UnknownIsFailed "R3" NO_MONEY_KEPT "an answer that is not heard is taken for a decline"
    ReplaysKey "R3" NO_ORPHAN "an unclear answer is settled by replaying the key"
    UndoAsksOnly "R3" NO_MONEY_KEPT "an undo asks for the intent and does not cancel it"
    ChargeKept "R3" NO_MONEY_KEPT "an undo that finds the charge succeeded does not refund it"
    RefundsNotListed "R3" REFUNDED_ONCE "after an unclear answer a refund is asked for again unseen"
    WaitsForCustomer "R3" NO_ORPHAN "`requires_action` is not a decline"
    DeclinesUncancelled "R3" NO_MONEY_KEPT "an intent is called declined that can still succeed"
    AnswersWhileUndoing "R3" ANSWERS "a participant answers while its job still undoes"
    EndOfJobSilent "R3" ALL_DECIDED "the transaction that ends the job of an undo does not answer"
    NoDeadline "R4" ALL_DECIDED "no deadline heals what was lost before the pivot"
    CancellingNotAnnounced "R4" ALL_DECIDED "a cancellation is fanned out once and not announced"
    OwnCopyNotAnnounced "R4" ALL_DECIDED "a refusal that the owner has heard of is not announced"
    ConfirmedNotAnnounced "R4" NO_ORPHAN "a confirmation is said once and not announced"
    AnswerNotRepeated "R4" ALL_DECIDED "who has answered stays silent when asked again"
    CommitNotRepeated "R4" NO_ORPHAN "who has committed stock stays silent when asked again"
    EarlyAnswersIgnored "R4" ALL_DECIDED "an answer sets its bit only while the order is cancelling"
    LastAnswerDoesNotLook "R4" ALL_DECIDED "the last answer does not look whether it is the last"
    CancelDoesNotLook "R4" ALL_DECIDED "what sets `cancelling` does not look whether everybody has answered"
    OneAnswerIsEnough "R4" NO_STOCK_KEPT "the first answer makes the order cancelled"
    CancelledAtOnce "R4" NO_STOCK_KEPT "an order is cancelled before anybody has answered"
    WithdrawnTooEarly "R4" ALL_DECIDED "the first answer withdraws the announcement"
    NeverWithdrawn "R4" NO_ORPHAN "the end of a saga does not withdraw its announcement"
    AcksFirst "R5" ALL_DECIDED "a delivery is acked before its transaction commits"
    PublishesBeforeCommit "R5" CONFIRMED_HAS "what is said is published before its transaction commits"
    ForgetsFirst "R5" ALL_DECIDED "an outbox row goes before its message is confirmed"
    NoSweeper "R5" DRAINED "nobody takes up what a dead process has left in the outbox"
    ReturnIgnored "R5" ALL_DECIDED "a message that no queue took passes for published"
    ReturnMisattributed "R5" ALL_DECIDED "a return is believed to belong to the confirm it rides on"
    AbortedCommitBelieved "R5" ALL_DECIDED "nobody looks whether the transaction can still be committed"
    AcksNeighbours "R5" ALL_DECIDED "an ack is multiple above deliveries that are not settled"
    DropsUnfinished "R6" ALL_DECIDED "guard rows of unfinished sagas are dropped"
    DropsByOwnRows "R6" ALL_DECIDED "a participant drops guard rows of sagas that are unfinished elsewhere"
    ExpiredRuns "R6" ONCE "a message of a saga past retention is handled"
    GuardsAsDelivered "R7" NO_DEADLOCK "a batch takes its guard rows in the order of delivery"
    UndosAsDelivered "R7" NO_DEADLOCK "undos lock their guard rows in the order of delivery"
    CancelsRowFirst "R7" NO_DEADLOCK "cancel and deadline take the order row before the guard row"
    JobsRowFirst "R7" NO_DEADLOCK "the end of a job takes shared rows before its guard rows"
    LocksPerEvent "R7" NO_DEADLOCK "a batch locks shared rows event by event"
    LocksPerType "R7" NO_DEADLOCK "a batch locks shared rows event type by event type"
    WaitingAsDelivered "R7" NO_DEADLOCK "the rows of what was handled are locked in the order of delivery"
    AcksBeforeWaiting "R8" ALL_DECIDED "a message that must wait is acked before its row is written"
    ParksUndos "R8" NEVER_PARKED "an undo that fails too often is parked"
    ParksAfterPivot "R8" NEVER_PARKED "a step after the pivot that fails too often is parked"
    NobodyRunsDue "R8" DRAINED "nobody runs what waits"
    NobodySuspect "R8" DEATHS "a message that was delivered before is not suspected"
    DeathsNotCounted "R8" DEATHS "an attempt is not counted before its handler starts"
    StrangeFailuresParked "R8" NEVER_PARKED "a failure of unknown type or body does not undo"
    CopyRunsBesideItsRow "R8" PARKED_NOT_DONE "another copy of what waits or is parked is run beside it"
}

impl Clause {
    /// By its name, as the command line gives it.
    #[must_use]
    pub fn named(mutant: &str) -> Option<&'static Self> {
        CLAUSES.iter().find(|clause| format!("{:?}", clause.mutant).eq_ignore_ascii_case(mutant))
    }

    /// The smallest model in which it is caught.
    #[must_use]
    pub fn subject(&self) -> Subject {
        if self.rule == "R7" { Subject::Locks } else { Subject::Protocol(self.config()) }
    }

    fn config(&self) -> Config {
        let none = Budget::default();
        let (crash, copy, loss) =
            (Budget { crashes: 1, ..none }, Budget { duplicates: 1, ..none }, Budget { losses: 1, ..none });
        let (stall, unheard) = (Budget { stalls: 1, ..none }, Budget { unheard: 1, ..none });
        let twice = Budget { errors: 2, ..none };
        let wallet = Config::new(&format!("{:?}", self.mutant), Money::Wallet);
        let card = Config { money: Money::Card, ..wallet.clone() };
        let two = Config { sagas: 2, balance: vec![2], ..wallet.clone() };
        let poor = Config { balance: vec![0], ..wallet.clone() };
        match self.mutant {
            // There is enough on the shelf to do it again.
            Mutant::NoGuard => Config { stock: vec![2], ..wallet }.faults(copy),
            Mutant::NoFence | Mutant::FenceIgnored | Mutant::ReadsFirst => wallet.deadline(),
            Mutant::FenceForgotten | Mutant::AnswersCounted | Mutant::UndoneAgain => wallet.deadline().faults(copy),
            Mutant::GuardInOwnTransaction => Config { stock: vec![2], ..wallet }.faults(crash),
            Mutant::OutboxInOwnTransaction => wallet.faults(crash),
            Mutant::BodyNotCompared | Mutant::AnyAmountConfirms => wallet.faults(Budget { tampered: 1, ..none }),
            Mutant::ReservationsExpire => wallet,
            Mutant::ConfirmsAnyStatus => wallet.deadline(),
            Mutant::CancelsAnyStatus => Config { cancel: true, ..wallet },
            Mutant::RefusesWithoutVerdict => Config { stock: vec![0, 1], ..wallet },
            Mutant::JobInMemory | Mutant::CreatesConfirmed | Mutant::ConfirmsBeforeStoring => card.faults(crash),
            Mutant::StoresWithoutEpoch | Mutant::LeaseKeepsEpoch => card.faults(stall),
            Mutant::EpochsUsedAgain => card.deadline().faults(stall),
            Mutant::UndoKeepsEpoch
            | Mutant::SettlesAnyway
            | Mutant::UndoAsksOnly
            | Mutant::ChargeKept
            | Mutant::AnswersWhileUndoing
            | Mutant::EndOfJobSilent => card.deadline(),
            Mutant::UnknownIsFailed | Mutant::ReplaysKey => card.faults(unheard),
            Mutant::RefundsNotListed => Config { provider_caps_refunds: false, ..card }.deadline().faults(unheard),
            Mutant::WaitsForCustomer | Mutant::DeclinesUncancelled => {
                Config { replies: vec![Reply::Succeed, Reply::RequireAction], ..card }
            }
            Mutant::NoDeadline
            | Mutant::CancellingNotAnnounced
            | Mutant::ConfirmedNotAnnounced
            | Mutant::AnswerNotRepeated
            | Mutant::CommitNotRepeated
            | Mutant::WithdrawnTooEarly => wallet.deadline().faults(loss),
            Mutant::OwnCopyNotAnnounced => Config { stock: vec![0, 1], ..wallet }.deadline().faults(loss),
            Mutant::EarlyAnswersIgnored | Mutant::CancelDoesNotLook => Config { balance: vec![0, 1], ..poor },
            Mutant::LastAnswerDoesNotLook | Mutant::OneAnswerIsEnough | Mutant::CancelledAtOnce => wallet.deadline(),
            Mutant::NeverWithdrawn => wallet,
            Mutant::AcksFirst | Mutant::PublishesBeforeCommit | Mutant::NoSweeper => wallet.faults(crash),
            Mutant::ForgetsFirst => wallet.faults(stall),
            Mutant::ReturnIgnored => Config { undeclared: vec![events(Service::Payment)], ..wallet },
            Mutant::ReturnMisattributed => Config { undeclared: vec![events(Service::Payment)], ..two },
            Mutant::AbortedCommitBelieved => wallet.faults(Budget { errors: 1, ..none }),
            Mutant::AcksNeighbours => Config { stock: vec![2], ..two }.faults(crash),
            Mutant::DropsUnfinished | Mutant::DropsByOwnRows => Config { retention: true, ..wallet },
            Mutant::ExpiredRuns => Config { retention: true, stock: vec![2], ..wallet }.faults(copy),
            Mutant::AcksBeforeWaiting => wallet.faults(Budget { errors: 1, crashes: 1, ..none }),
            Mutant::GuardsAsDelivered
            | Mutant::UndosAsDelivered
            | Mutant::CancelsRowFirst
            | Mutant::JobsRowFirst
            | Mutant::LocksPerEvent
            | Mutant::LocksPerType
            | Mutant::WaitingAsDelivered => wallet,
            Mutant::NobodyRunsDue => wallet.faults(Budget { errors: 1, ..none }),
            Mutant::NobodySuspect | Mutant::DeathsNotCounted => Config { deadly: true, ..wallet }.deadline(),
            Mutant::StrangeFailuresParked => Config { strange_failures: true, ..wallet }.deadline(),
            Mutant::ParksUndos => wallet.deadline().faults(twice),
            Mutant::ParksAfterPivot => wallet.deadline().faults(twice),
            Mutant::CopyRunsBesideItsRow => wallet.deadline().faults(Budget { duplicates: 1, ..twice }),
        }
    }
}

fn events(service: Service) -> Queue {
    Queue { service, failures: false }
}
